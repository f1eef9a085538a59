//! `cargo xtask fuzz`: every fuzz target for a while, under libFuzzer.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::workspace::workspace;

/// The version that the figures in docs/reliability.md were made with.
const CARGO_FUZZ: &str = "0.13.2";
/// The packages with targets, by their directories.
const PACKAGES: [&str; 2] = ["fuzz", "fuzz-http"];

/// The arguments of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only this target [default: all, one after the other]
    #[arg(long)]
    target: Option<String>,

    /// How long each target is run, in seconds, not counting the build
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// A file in `fuzz_targets`.
struct Target {
    package: &'static str,
    name: String,
}

/// What came of a run.
struct Outcome {
    executions: u64,
    seconds: f64,
    is_clean: bool,
}

/// Runs the targets and prints what came of them; a crash of any is an error.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    check_installed()?;
    let compiler = Command::new("rustc").arg("--version").output().context("cannot run rustc")?;
    let is_nightly = String::from_utf8_lossy(&compiler.stdout).contains("nightly");
    if !is_nightly {
        eprintln!("this compiler is no nightly one: RUSTC_BOOTSTRAP=1 is set, for its sanitizer");
    }
    let mut targets = targets()?;
    if let Some(name) = &options.target {
        let names: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
        targets.retain(|target| target.name == *name);
        ensure!(!targets.is_empty(), "there is no target {name:?}, but {}", names.join(", "));
    }
    let home = workspace().join("target").join("fuzz");
    fs::create_dir_all(&home)?;
    println!("target | executions | seconds | a second | result");
    let mut failed = 0;
    for target in &targets {
        let log = home.join(format!("{}.log", target.name));
        let outcome = target.run(options.seconds, &log, is_nightly)?;
        let result = match outcome.is_clean {
            true => "clean".to_owned(),
            false => format!("FAILED, see {}", log.display()),
        };
        println!(
            "{} | {} | {:.0} | {:.0} | {result}",
            target.name,
            outcome.executions,
            outcome.seconds,
            outcome.executions as f64 / outcome.seconds,
        );
        failed += u32::from(!outcome.is_clean);
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} targets failed", targets.len()),
    }
}

fn check_installed() -> anyhow::Result<()> {
    let version = cargo().args(["fuzz", "--version"]).stderr(Stdio::null()).output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    bail!(
        "cargo-fuzz is missing: `cargo install cargo-fuzz --version {CARGO_FUZZ} --locked` \
         installs it; it needs a C++ compiler as well"
    )
}

fn targets() -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for package in PACKAGES {
        for file in fs::read_dir(workspace().join(package).join("fuzz_targets"))? {
            let name = file?.path().file_stem().context("a name")?.to_string_lossy().into_owned();
            targets.push(Target { package, name });
        }
    }
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(targets)
}

impl Target {
    /// Builds the target and runs it; what it finds goes to `target/fuzz`, a crash beside it.
    fn run(&self, seconds: u64, log: &Path, is_nightly: bool) -> anyhow::Result<Outcome> {
        let found = log.with_extension("corpus");
        fs::create_dir_all(&found)?;
        let status = self.cargo_fuzz("build", is_nightly).status()?;
        ensure!(status.success(), "{} cannot be built", self.name);
        let mut run = self.cargo_fuzz("run", is_nightly);
        // New inputs go to the first; those that are kept in the repository are read.
        run.arg(&found).arg(self.corpus()).arg("--");
        run.args([&format!("-max_total_time={seconds}"), "-print_final_stats=1", "-timeout=20"]);
        let started = Instant::now();
        let status = run.stdout(Stdio::null()).stderr(fs::File::create(log)?).status()?;
        let log = String::from_utf8_lossy(&fs::read(log)?).into_owned();
        let executions = log.lines().find_map(|line| {
            line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok()
        });
        Ok(Outcome {
            executions: executions.unwrap_or_default(),
            seconds: started.elapsed().as_secs_f64(),
            is_clean: status.success(),
        })
    }

    fn corpus(&self) -> PathBuf {
        workspace().join("fuzz").join("corpus").join(&self.name)
    }

    fn cargo_fuzz(&self, verb: &str, is_nightly: bool) -> Command {
        let mut command = cargo();
        command.current_dir(workspace()).args(["fuzz", verb, "--fuzz-dir", self.package]);
        command.args(["--features", "libfuzzer", "--target-dir", "fuzz/target", &self.name]);
        // Linking as for a release takes minutes, and finds nothing.
        command.env("CARGO_PROFILE_RELEASE_LTO", "off");
        if !is_nightly {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
