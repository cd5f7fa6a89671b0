//! What can prove nothing is refused before it runs; what only looks like it is not.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use dj_regress::case::load::load_file;
use rstest::rstest;

/// The second line of a case: `# expect: accepted`, perhaps with a part of the note, or a part of what is said.
#[rstest]
fn what_can_prove_nothing_is_refused_before_it_runs(#[files("tests/planted/refused/*.yaml")] path: PathBuf) {
    let text = fs::read_to_string(&path).unwrap();
    let expected = text.lines().nth(1).unwrap().strip_prefix("# expect: ").unwrap();
    match load_file(&path, Path::new("tests/planted")) {
        Ok(case) => {
            let note = expected.strip_prefix("accepted").unwrap_or_else(|| panic!("accepted, not `{expected}`"));
            let is_noted = case.notes.iter().any(|said| said.contains(note.trim_start_matches(": ")));
            assert!(is_noted || (note.is_empty() && case.notes.is_empty()), "{note}: {:?}", case.notes);
        }
        Err(error) => assert!(error.message.contains(expected), "`{expected}` is not said in\n{}", error.message),
    }
}
