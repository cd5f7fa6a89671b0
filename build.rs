//! Makes the two libraries that the program carries, so that it can be copied anywhere: the clock's (`src/clock.rs`), and the
//! extension module that runs inside Python (`src/actor/worker.rs`).
//!
//! Cargo cannot make them as dependencies. The clock's would be linked, and its `clock_gettime` would stand before the
//! program's own; and a stable Cargo gives a package no library of another one to include. So the compiler is called as
//! Cargo would, and so is Cargo itself.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What can go wrong, in words.
type Made = Result<(), String>;

fn main() -> ExitCode {
    let out = PathBuf::from(variable("OUT_DIR"));
    match clock(&out).and_then(|()| worker(&out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("cargo::error={why}");
            ExitCode::FAILURE
        }
    }
}

/// The library of the arms' clocks. It is always optimised: whoever reads a clock calls it. It has no dependencies, and no
/// `std`.
fn clock(out: &Path) -> Made {
    const SOURCE: &str = "harness/clock/src/lib.rs";
    watch(&["build.rs", "harness/clock/src", "harness/protocol/src/clock.rs"]);
    let mut compile = Command::new(variable("RUSTC"));
    compile.args([SOURCE, "--edition=2024", "--crate-type=cdylib", "--crate-name=dj_regress_clock"]);
    compile.args(["--cfg=dj_regress_preloaded", "--check-cfg=cfg(dj_regress_preloaded)"]);
    compile.args(["-Copt-level=3", "-Cpanic=abort", "-Clto=fat", "-Ccodegen-units=1", "-Cstrip=symbols"]);
    // What it needs is there when it is loaded: later may be in a signal handler.
    compile.arg("-Clink-args=-Wl,-z,now,-z,defs");
    compile.arg("--target").arg(variable("TARGET")).arg("-o").arg(out.join("libdj_regress_clock.so"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        compile.arg(option);
    }
    run(&mut compile, &format!("make the clock's library from {SOURCE}"))
}

/// The extension module, with the profile of this build.
fn worker(out: &Path) -> Made {
    const LIBRARY: &str = "libdj_regress_worker.so";
    watch(&["harness/worker/Cargo.toml", "harness/worker/src", "harness/protocol", "harness/world"]);
    watch(&["Cargo.toml", "Cargo.lock"]);
    let (target, profile) = (variable("TARGET"), variable("PROFILE"));
    // Not the folder of this build, which is locked; and not OUT_DIR: clippy, checks and builds have one each.
    let folder = out.ancestors().nth(4).unwrap_or(out).join("worker");
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--locked", "--quiet", "--package=dj-regress-worker"]);
    cargo.args(["--profile", if profile == "debug" { "dev" } else { "release" }]);
    cargo.arg("--target").arg(&target).arg("--target-dir").arg(&folder);
    // A library of the lints' own would be made beside.
    cargo.env_remove("RUSTC_WORKSPACE_WRAPPER");
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    run(&mut cargo, "make the extension module from harness/worker")?;
    let made = folder.join(target).join(profile).join(LIBRARY);
    fs::copy(&made, out.join(LIBRARY)).map_err(|error| format!("copy {}: {error}", made.display()))?;
    Ok(())
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_default()
}

fn watch(paths: &[&str]) {
    for path in paths {
        println!("cargo::rerun-if-changed={path}");
    }
}

fn run(command: &mut Command, doing: &str) -> Made {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{doing}: it ended with {status}")),
        Err(error) => Err(format!("{doing}: {error}")),
    }
}
