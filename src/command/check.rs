//! `check`: validate, start nothing.

use super::selection::Selection;
use crate::case::Case;
use crate::cli::CaseArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::library::Library;

/// Reads and checks the selected cases in every state.
pub fn check(arguments: &CaseArgs, library: Library) -> Result<Exit> {
    let cases = Selection::find(arguments, library)?.load()?;
    let notes = |case: &Case| case.notes.iter().map(|note| format!("#   note: {note}\n")).collect::<String>();
    let lines: String = cases.iter().map(|case| format!("ok {}\n{}", case.name, notes(case))).collect();
    super::print(&lines)?;
    Ok(Exit::AsDeclared)
}
