//! One file per subcommand.

mod bisect;
mod check;
mod clean;
mod config;
mod doctor;
mod init;
mod list;
mod matrix;
mod new;
mod run;
pub mod selection;
mod shell;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::actor::world;
use crate::case::schema;
use crate::cli::{Cli, Command, RunArgs};
use crate::error::{Error, ErrorKind, Result};
use crate::exit::Exit;
use crate::library::Library;
use crate::project::Section;
use crate::report::terminal::print;
use crate::service::{supervisor, undo};

/// Does what the command line says.
pub fn execute(cli: Cli, library: Library) -> Result<ExitCode> {
    let Some(command) = cli.command else {
        return run::run(&cli.run, library)
            .map(Into::into)
            .map_err(|error| or_command(error, &cli.run.selection.cases));
    };
    match command {
        Command::Run(arguments) => run::run(&arguments, library).map(Into::into),
        Command::Explain(arguments) => run::run(&RunArgs { verbose: true, ..arguments }, library).map(Into::into),
        Command::Matrix(arguments) => matrix::matrix(&arguments, library).map(Into::into),
        Command::Bisect(arguments) => bisect::bisect(&arguments, library).map(Into::into),
        Command::New(arguments) => new::new(&arguments).map(Into::into),
        Command::List(arguments) => list::list(&arguments, library).map(Into::into),
        Command::Check(arguments) => check::check(&arguments, library).map(Into::into),
        Command::Schema { config } => {
            let text = if config { Section::schema() } else { schema::text() };
            print(&text).map(|()| Exit::AsDeclared.into())
        }
        Command::Init(arguments) => init::init(&arguments).map(Into::into),
        Command::Config(arguments) => config::config(arguments).map(Into::into),
        Command::Doctor => doctor::doctor().map(Into::into),
        Command::Clean(arguments) => clean::clean(&arguments).map(Into::into),
        Command::Supervisor { folder } => Ok(supervisor::run(&folder)),
        Command::World { folder } => Ok(world::run(&folder)),
        Command::Undo { folder } => Ok(undo::run(&folder)),
    }
}

/// The error of a run for which no command was named; its only case may have been meant to be one.
fn or_command(error: Error, cases: &[String]) -> Error {
    let ([word], ErrorKind::NothingSelected) = (cases, error.kind) else { return error };
    let cli = Cli::command();
    let near = |name: &&str| strsim::damerau_levenshtein(name, word) <= 2;
    let commands = cli.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    match commands.filter(near).min_by_key(|name| strsim::damerau_levenshtein(name, word)) {
        Some(name) => error.hint(format!("did you mean the command `{name}`?")),
        None => error,
    }
}
