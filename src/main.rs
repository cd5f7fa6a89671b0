//! Arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use dj_regress::cli::Cli;
use dj_regress::command;
use dj_regress::error::ErrorKind;
use dj_regress::exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. A reader that has gone needs no text.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::AsDeclared.into() };
        }
    };
    match command::execute(cli) {
        Ok(exit) => exit,
        Err(error) => {
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "error: {error}");
            if let Some(hint) = &error.hint {
                let _ = writeln!(stderr, "hint: {hint}");
            }
            if error.kind == ErrorKind::Bug {
                let _ =
                    writeln!(stderr, "this is a bug in dj-regress: please report it with the command and this text");
            }
            Exit::from(&error).into()
        }
    }
}
