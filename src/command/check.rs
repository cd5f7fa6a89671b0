//! `check`: validate, start nothing.

use crate::cli::CaseArgs;
use crate::error::Result;
use crate::exit::Exit;

/// Reads and checks the selected cases in every state.
pub fn check(arguments: &CaseArgs) -> Result<Exit> {
    let cases = super::selection::load(arguments)?;
    let lines: String = cases.iter().map(|case| format!("ok {}\n", case.name)).collect();
    super::print(&lines)?;
    Ok(Exit::AsDeclared)
}
