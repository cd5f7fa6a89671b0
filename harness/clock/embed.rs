//! Makes the library of the arms' clocks, which the program carries (`src/clock.rs`).
//!
//! Cargo cannot make it as a dependency: a dependency that can be linked would be, and its `clock_gettime` would stand before
//! the program's own; one that cannot is a warning at every build. So the compiler is called as cargo would. It is always
//! optimised: whoever reads a clock calls it. It has no dependencies, and no `std`.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const SOURCE: &str = "harness/clock/src/lib.rs";

fn main() -> ExitCode {
    for path in ["harness/clock/embed.rs", "harness/clock/src", "harness/protocol/src/clock.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let variable = |name: &str| env::var_os(name).unwrap_or_default();
    let library = PathBuf::from(variable("OUT_DIR")).join("libdj_regress_clock.so");
    let mut compile = Command::new(variable("RUSTC"));
    compile.args([SOURCE, "--edition=2024", "--crate-type=cdylib", "--crate-name=dj_regress_clock"]);
    compile.args(["--cfg=dj_regress_preloaded", "--check-cfg=cfg(dj_regress_preloaded)"]);
    compile.args(["-Copt-level=3", "-Cpanic=abort", "-Clto=fat", "-Ccodegen-units=1", "-Cstrip=symbols"]);
    // What it needs is there when it is loaded: later may be in a signal handler.
    compile.arg("-Clink-args=-Wl,-z,now,-z,defs");
    compile.arg("--target").arg(variable("TARGET")).arg("-o").arg(&library);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("-Clinker=");
        option.push(linker);
        compile.arg(option);
    }
    match compile.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => fail(&format!("the compiler ended with {status}")),
        Err(error) => fail(&format!("the compiler cannot be called: {error}")),
    }
}

fn fail(why: &str) -> ExitCode {
    println!("cargo::error=the clock's library could not be made from {SOURCE}: {why}");
    ExitCode::FAILURE
}
