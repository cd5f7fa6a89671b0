//! One file per subcommand.

mod bisect;
mod check;
mod clean;
mod doctor;
mod list;
mod matrix;
mod new;
mod run;

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::actor::world;
use crate::case::load;
use crate::case::model::Case;
use crate::case::schema;
use crate::cli::{CaseArgs, Cli, Command, RunArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::report;
use crate::service::{keeper, undo};

/// Does what the command line says.
pub fn execute(cli: Cli) -> Result<ExitCode> {
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(arguments) => run::run(&arguments).map(Into::into),
        Command::Explain(arguments) => run::run(&RunArgs { verbose: true, ..arguments }).map(Into::into),
        Command::Matrix(arguments) => matrix::matrix(&arguments).map(Into::into),
        Command::Bisect(arguments) => bisect::bisect(&arguments).map(Into::into),
        Command::New(arguments) => new::new(&arguments).map(Into::into),
        Command::List(arguments) => list::list(&arguments).map(Into::into),
        Command::Check(arguments) => check::check(&arguments).map(Into::into),
        Command::Schema => print(&schema::text()).map(|()| Exit::AsDeclared.into()),
        Command::Doctor => doctor::doctor().map(Into::into),
        Command::Clean(arguments) => clean::clean(&arguments).map(Into::into),
        Command::Keeper { folder } => Ok(keeper::run(&folder)),
        Command::World { folder } => Ok(world::run(&folder)),
        Command::Undo { folder } => Ok(undo::run(&folder)),
    }
}

/// The cases that are selected, read and checked.
fn load(arguments: &CaseArgs) -> Result<Vec<Case>> {
    let paths = load::discover(&arguments.cases, &arguments.cases_dir)?;
    load::load_files(&paths, &arguments.cases_dir)
}

/// Prints to standard output; a reader that has gone is no error.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    report::unless_gone(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}
