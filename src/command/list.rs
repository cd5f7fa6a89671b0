//! `list`: the cases and what they declare.

use std::fmt::Write as _;

use super::selection::Selection;
use crate::case::Case;
use crate::cli::CaseArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::library::Library;
use crate::report::text;

/// Prints a line per case: name, what it declares, title.
pub fn list(arguments: &CaseArgs, library: Library) -> Result<Exit> {
    let cases = Selection::find(arguments, library)?.load()?;
    let width = cases.iter().map(|case| text::columns(&case.name)).max().unwrap_or(0);
    let declares: Vec<String> = cases.iter().map(declares).collect();
    let verdicts = declares.iter().map(String::len).max().unwrap_or(0);
    let text = cases.iter().zip(&declares).fold(String::new(), |mut text, (case, declares)| {
        let _ = writeln!(text, "{}   {declares:<verdicts$}   {}", text::padded(&case.name, width), case.title);
        text
    });
    super::print(&text)?;
    Ok(Exit::AsDeclared)
}

/// `PROVEN`, or for several fixes `PROVEN, NOT FIXED`; for none the case's own.
fn declares(case: &Case) -> String {
    if case.fixes.is_empty() {
        return case.verdict.to_string();
    }
    let verdicts: Vec<String> = case.fixes.values().map(|fix| fix.verdict.to_string()).collect();
    verdicts.join(", ")
}
