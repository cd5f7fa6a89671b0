//! The documentation says what the program does: its reference pages come from the types, its links lead somewhere, and its
//! examples are good cases.
//!
//! `DJ_REGRESS_UPDATE_DOCS=1 cargo test --test docs` writes the reference pages anew.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "docs/command_line.rs"]
mod command_line;
#[path = "docs/language.rs"]
mod language;

use std::fs;
use std::path::{Path, PathBuf};

use dj_regress::case::load::{load_file, load_str};
use rstest::rstest;

/// What a new case gets its packages from in an example that shows only a part.
const HEAD: &str = "title: an example\npackages: {django: 5.2.*, django-q2: 1.11.1}\n";

#[rstest]
#[case("docs/reference/language.md", language::page())]
#[case("docs/reference/command-line.md", command_line::page())]
fn a_reference_page_is_that_of_the_types(#[case] path: &str, #[case] page: String) {
    if std::env::var_os("DJ_REGRESS_UPDATE_DOCS").is_some() {
        fs::create_dir_all("docs/reference").unwrap();
        fs::write(path, &page).unwrap();
    }
    let checked_in = fs::read_to_string(path).unwrap_or_default();
    assert!(checked_in == page, "{path} is stale: run `DJ_REGRESS_UPDATE_DOCS=1 cargo test --test docs`");
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec!["README.md".into(), "ARCHITECTURE.md".into(), "DECISIONS.md".into()];
    for folder in ["docs", "docs/reference"] {
        let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(found.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    pages
}

#[test]
fn every_link_leads_to_a_file() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {link} leads nowhere", page.display());
        }
    }
}

#[test]
fn the_readme_fits_on_a_few_screens() {
    let lines = fs::read_to_string("README.md").unwrap().lines().count();
    assert!(lines < 200, "{lines} lines");
}

/// Blocks of this kind, each with the line it begins at.
fn blocks(text: &str, kind: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() == format!("```{kind}") {
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
            found.push((number + 2, block.join("\n") + "\n"));
        }
    }
    found
}

/// A whole case in the documentation is one that `check` accepts, so that a reader can copy it.
#[test]
fn whole_cases_in_the_documentation_are_good_cases() {
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (line, block) in blocks(&text, "yaml") {
            if !block.contains("\nsteps:") || !block.contains("\ninvariants:") {
                continue;
            }
            let text = if block.contains("packages:") {
                block
            } else {
                block.replacen("title: ", &format!("{HEAD}actors: {{q: {{cluster: simulated}}}}\n# "), 1)
            };
            let loaded = load_str(&text, Path::new("cases/example.yaml"), Path::new("cases"));
            loaded.unwrap_or_else(|error| panic!("{}:{line}: {error}", page.display()));
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked} cases");
}

/// What the page says of the verdicts of incidents is what their cases declare.
#[test]
fn the_incidents_of_the_page_are_those_of_the_cases() {
    let page = fs::read_to_string("docs/incidents.md").unwrap();
    let mut lines = page.lines().skip_while(|line| !line.starts_with("ok + ")).peekable();
    let mut cases = 0;
    while let Some(name) = lines.next().and_then(|line| line.strip_prefix("ok + ")?.split_whitespace().next()) {
        let fixes = lines.next_if(|line| line.starts_with('#'));
        let path = Path::new("cases").join(name).with_extension("yaml");
        let case = load_file(&path, Path::new("cases")).unwrap_or_else(|error| panic!("{error}"));
        let declared: Vec<String> = case.fixes.iter().map(|(name, fix)| format!("{name} {}", fix.verdict)).collect();
        let expected = (case.fixes.len() > 1).then(|| format!("#   as declared: {}", declared.join(" · ")));
        assert_eq!(fixes, expected.as_deref(), "{name}");
        assert!(page.contains(&format!("](../cases/{name}.yaml)")), "{name} has no row");
        cases += 1;
    }
    assert!(cases > 10, "{cases} cases");
}
