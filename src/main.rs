//! Arguments in, exit code out.

use std::collections::BTreeMap;
use std::process::ExitCode;

use dj_regress::cli::Cli;
use dj_regress::command;
use dj_regress::exit::Exit;
use dj_regress::library::Library;
use dj_regress::report::terminal;
use nix::sys::stat::{Mode, umask};
use rust_embed::RustEmbed;

/// The library of cases. It stands here because this file is compiled in no time when a case changes.
#[derive(RustEmbed)]
#[folder = "cases"]
#[exclude = "*__pycache__*"]
struct Cases;

fn cases() -> BTreeMap<String, Vec<u8>> {
    Cases::iter().filter_map(|name| Some((name.to_string(), Cases::get(&name)?.data.into_owned()))).collect()
}

fn main() -> ExitCode {
    // What is made here, and what installers make in the cache, nobody else may change.
    let mask = umask(Mode::empty());
    umask(mask | Mode::S_IWGRP | Mode::S_IWOTH);
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. A reader that has gone needs no text.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::AsDeclared.into() };
        }
    };
    match command::execute(cli, Library::new(cases)) {
        Ok(exit) => exit,
        Err(error) => {
            terminal::error(&error);
            Exit::from(&error).into()
        }
    }
}
