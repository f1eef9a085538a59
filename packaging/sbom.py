"""Prints the SBOM of the program: CycloneDX 1.5, as JSON, from Cargo.lock and `cargo metadata`.

usage: sbom.py TARGET [FEATURES]

In it is what is linked into `meldb` for the target triple, and what builds it, but nothing of tests.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "meldb-cli"


def metadata(target: str, features: str) -> dict:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    command += ["--manifest-path", str(ROOT / "crates" / PROGRAM / "Cargo.toml")]
    command += ["--features", features] if features else []
    return json.loads(subprocess.check_output(command))


def linked(facts: dict) -> tuple[dict, dict]:
    """Returns the packages that the program is built from, by id, and on what each depends."""
    nodes = {node["id"]: node for node in facts["resolve"]["nodes"]}
    packages = {package["id"]: package for package in facts["packages"]}
    root = next(id for id, package in packages.items() if package["name"] == PROGRAM)
    edges, open_ids = {}, [root]
    while open_ids:
        id = open_ids.pop()
        if id in edges:
            continue
        kinds = [(one["pkg"], {kind["kind"] for kind in one["dep_kinds"]}) for one in nodes[id]["deps"]]
        edges[id] = sorted(pkg for pkg, kind in kinds if kind & {None, "build"})
        open_ids += edges[id]
    return {id: packages[id] for id in edges}, edges


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, checksums: dict) -> dict:
    found = {
        "type": "application" if package["name"] == PROGRAM else "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package["license"]:
        # Before SPDX expressions, `/` stood for OR.
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return found


def main() -> None:
    target, features = sys.argv[1], " ".join(sys.argv[2:])
    facts = metadata(target, features)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}
    packages, edges = linked(facts)
    components = {id: component(package, checksums) for id, package in packages.items()}
    (root,) = [one for one in components.values() if one["type"] == "application"]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": root},
        "components": sorted(
            (one for one in components.values() if one is not root), key=lambda one: one["bom-ref"]
        ),
        "dependencies": sorted(
            (
                {"ref": reference(packages[id]), "dependsOn": [reference(packages[one]) for one in to]}
                for id, to in edges.items()
            ),
            key=lambda one: one["ref"],
        ),
    }
    print(json.dumps(bom, indent=1))


if __name__ == "__main__":
    main()
