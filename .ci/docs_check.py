"""Checks the documents: every link leads to a file and a heading that are there, and the book has every page.

Links to other sites are not looked up. With a directory as argument, the links of the book that was built into it are checked.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.M | re.S)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.M)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.M)


def tracked() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    return [path for name in names if (path := ROOT / name).exists()]


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def broken_links(path: Path) -> list[str]:
    broken = []
    text = CODE.sub("", prose(path))
    for match in LINK.finditer(text):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        where = f"{path.relative_to(ROOT)}: {target}"
        if not file.exists() or not file.is_relative_to(ROOT):
            broken.append(f"{where}: there is no such file")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            broken.append(f"{where}: there is no such heading")
    return broken


def missing_pages() -> list[str]:
    docs = ROOT / "docs"
    summary = docs / "SUMMARY.md"
    named = [(docs / target).resolve() for target, _ in LINK.findall(prose(summary))]
    pages = [path for path in tracked() if path.is_relative_to(docs) and path != summary]
    wrong = [f"docs/SUMMARY.md: {path.relative_to(docs)} is not in it" for path in pages if path not in named]
    return wrong + [f"docs/SUMMARY.md: {path.name} is in it twice" for path in set(named) if named.count(path) > 1]


def broken_in_book(book: Path) -> list[str]:
    broken = []
    for page in sorted(book.rglob("*.html")):
        for target in re.findall(r'(?:href|src)="([^"#]+)', page.read_text()):
            file = book / target[1:] if target.startswith("/") else page.parent / target
            if not re.match(r"[a-z]+:", target) and not file.exists():
                broken.append(f"{page.relative_to(book)}: {target}: there is no such file")
    return broken


def main() -> None:
    if sys.argv[1:]:
        broken = broken_in_book(Path(sys.argv[1]))
        print("\n".join(broken) or "every link of the book leads somewhere")
        sys.exit(bool(broken))
    pages = tracked()
    wrong = [line for page in pages for line in broken_links(page)] + missing_pages()
    print("\n".join(wrong) or f"{len(pages)} pages: every link leads somewhere, and the book has every page")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
