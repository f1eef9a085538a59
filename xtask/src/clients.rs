//! `cargo xtask clients`: clients generated from the description that a server serves, by a generator for
//! Python and one for TypeScript, and called: put, merge, get, list, patch, batch and a difference.
//!
//! It needs Python, Node and npm; the generators are installed once below `target/tools`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, ensure};

use crate::{
    programs,
    server::{self, Server},
    workspace::workspace,
};

const PYTHON_GENERATOR: &str = "openapi-python-client==0.29.1";
const NPM_PACKAGES: [&str; 3] =
    ["@hey-api/openapi-ts@0.99.0", "typescript@5.9.3", "esbuild@0.25.12"];
/// The tenant of the key; the demo's.
const TENANT: &str = "tenant-alpha";

/// Runs the command.
#[allow(clippy::print_stdout, reason = "telling how far it has come is what the command is for")]
pub(crate) fn run() -> anyhow::Result<()> {
    let home = workspace().join("target").join("clients");
    if home.exists() {
        fs::remove_dir_all(&home).context("cannot remove what an earlier run left")?;
    }
    fs::create_dir_all(&home)?;
    let meldb = programs::meldb()?;
    let dir = home.join("store");
    let key = server::make_key(&meldb, &dir, TENANT)?;
    let server = Server::start_meldb(&meldb, &dir, &home, &["--log", "warn"])?;
    let description = home.join("openapi.json");
    fs::write(&description, crate::request::send(server.url(), "GET", "/openapi.json", &[], "")?)?;
    for (language, call) in
        [("Python", python(&home, &description)), ("TypeScript", typescript(&home, &description))]
    {
        let mut call =
            call.with_context(|| format!("the client in {language} cannot be generated"))?;
        call.env("MELDB_URL", server.url()).env("MELDB_KEY", &key);
        let said = programs::run(&mut call).with_context(|| format!("the client in {language}"))?;
        print!("{said}");
    }
    Ok(())
}

/// Generates a client in Python, and returns the command that calls it.
fn python(home: &Path, description: &Path) -> anyhow::Result<Command> {
    let program = programs::from_pypi(PYTHON_GENERATOR, "openapi-python-client")?;
    let mut generator = Command::new(&program);
    generator.args(["generate", "--meta", "none", "--output-path"]);
    generator.arg(home.join("meldb_client")).arg("--path").arg(description);
    let output = generator.output().context("cannot run the generator")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    // Of a batch it leaves out that it may be lines of NDJSON. An import is nothing else, and no business of such a
    // client.
    let missing = said.lines().filter(|line| line.contains("Endpoint will not be generated"));
    let missing: Vec<_> = missing.filter(|line| !line.contains("/api/v1/admin/import")).collect();
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    let mut call = Command::new(program.with_file_name("python"));
    fs::write(home.join("call.py"), include_str!("clients/call.py"))?;
    call.current_dir(home).arg("call.py");
    Ok(call)
}

/// Generates a client in TypeScript, and returns the command that calls it.
fn typescript(home: &Path, description: &Path) -> anyhow::Result<Command> {
    let tools = workspace().join("target").join("tools").join("openapi-ts");
    if !tools.join("node_modules").exists() {
        fs::create_dir_all(&tools)?;
        let mut install = Command::new("npm");
        install.args(["install", "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"]);
        programs::run(install.arg("--prefix").arg(&tools).args(NPM_PACKAGES))?;
    }
    let bin = tools.join("node_modules").join(".bin");
    let mut generator = Command::new(bin.join("openapi-ts"));
    generator.current_dir(&tools).arg("--input").arg(description);
    generator.arg("--output").arg(home.join("ts")).args(["--client", "@hey-api/client-fetch"]);
    programs::run(&mut generator)?;
    fs::write(home.join("call.ts"), include_str!("clients/call.ts"))?;
    // Types first: what a caller writes must fit what is described.
    let mut types = Command::new(bin.join("tsc"));
    types.current_dir(home).args(["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]);
    types.args([
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
        "--lib",
        "es2022,dom,dom.iterable",
    ]);
    programs::run(types.arg("call.ts"))?;
    let mut bundle = Command::new(bin.join("esbuild"));
    bundle.current_dir(home).args(["call.ts", "--bundle", "--format=esm", "--platform=node"]);
    programs::run(bundle.arg("--outfile=call.mjs"))?;
    let mut call = Command::new("node");
    call.current_dir(home).arg("call.mjs");
    Ok(call)
}
