//! `list`: the cases and what they declare.

use std::fmt::Write as _;

use super::selection::Selection;
use crate::case::Case;
use crate::cli::CaseArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::library::Library;
use crate::report::text;

/// Above the columns.
const HEADING: [&str; 3] = ["CASE", "DECLARES", "WHAT GOES WRONG"];

/// Prints a line per case: name, what it declares, title.
pub fn list(arguments: &CaseArgs, library: Library) -> Result<Exit> {
    let cases = Selection::find(arguments, library)?.load()?;
    let [name, declared, title] = HEADING;
    let width = cases.iter().map(|case| text::columns(&case.name)).chain([name.len()]).max().unwrap_or(0);
    let declares: Vec<String> = cases.iter().map(declares).collect();
    let verdicts = declares.iter().map(String::len).chain([declared.len()]).max().unwrap_or(0);
    let heading = format!("{name:<width$}   {declared:<verdicts$}   {title}\n");
    let text = cases.iter().zip(&declares).fold(heading, |mut text, (case, declares)| {
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
