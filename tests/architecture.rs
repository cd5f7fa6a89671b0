//! The house stands as ARCHITECTURE.md says: rooms import only what is below them, no two files need each other, and a file
//! can be read in one go.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Crate, Import};
use rstest::rstest;

/// From the ground up: each uses only those before it.
const ROOMS: &[&str] = &[
    "error", "deadline", "input", "case", "judge", "plan", "clock", "proxy", "cache", "service", "project", "python",
    "library", "actor", "probe", "runner", "report", "exit", "cli", "command", "main",
];

/// The most lines of a file: more of them usually hold two things.
const MAX_LINES: usize = 400;

#[test]
fn a_room_imports_only_what_is_below_it() {
    let wrong = upwards(&sources().imports());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_two_files_need_each_other() {
    let wrong = circles(&sources().imports());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_can_be_read_in_one_go() {
    let too_long = ["src", "harness", "tests"].into_iter().flat_map(files).filter_map(|path| {
        let lines = fs::read_to_string(&path).expect("a text").lines().count();
        (lines > MAX_LINES)
            .then(|| format!("{} has {lines} lines, at most {MAX_LINES}: it holds two things", path.display()))
    });
    let too_long: Vec<String> = too_long.collect();
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

/// The imports that lead to a room above.
fn upwards(imports: &[Import]) -> Vec<String> {
    let place = |file: &str| {
        let room = room(file);
        ROOMS.iter().position(|known| *known == room).unwrap_or_else(|| panic!("src/{file}: add the room to ROOMS"))
    };
    let is_root = |file: &str| file == "lib.rs";
    let upwards = imports.iter().filter(|import| !is_root(&import.file) && place(&import.file) < place(&import.target));
    upwards
        .map(|Import { file, line, path, target }| {
            let (low, high) = (room(file), room(target));
            format!(
                "src/{file}:{line}: `{path}` is in src/{target}, but {low} is below {high}: move the name to {low} or below, or \
                 what needs it up to {high}"
            )
        })
        .collect()
}

/// `runner/session/mod.rs` and `cli.rs` are of the rooms `runner` and `cli`.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// Sets of files of which each leads to every other.
fn circles(imports: &[Import]) -> Vec<String> {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        graph.entry(&import.file).or_default().insert(&import.target);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|file| (*file, reachable(&graph, file))).collect();
    let mut circles: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (file, far) in &reached {
        let back = |other: &&&str| reached.get(**other).is_some_and(|far| far.contains(file));
        let circle: BTreeSet<&str> = far.iter().filter(back).copied().collect();
        if circle.contains(file) {
            circles.insert(circle);
        }
    }
    circles.iter().map(|circle| told(circle, imports)).collect()
}

fn reachable<'f>(graph: &BTreeMap<&'f str, BTreeSet<&'f str>>, from: &str) -> BTreeSet<&'f str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        for target in graph.get(file).into_iter().flatten() {
            if seen.insert(*target) {
                next.push(target);
            }
        }
    }
    seen
}

fn told(circle: &BTreeSet<&str>, imports: &[Import]) -> String {
    let within = |import: &&Import| circle.contains(import.file.as_str()) && circle.contains(import.target.as_str());
    let mut told = BTreeSet::new();
    // One import of each pair is enough to see the circle.
    let firsts = imports.iter().filter(within).filter(|import| told.insert((&import.file, &import.target)));
    let lines =
        firsts.map(|Import { file, line, path, target }| format!("\n  src/{file}:{line}: `{path}` is in src/{target}"));
    let files: Vec<&str> = circle.iter().copied().collect();
    let lines: String = lines.collect();
    format!("{} need each other: move what both need to a file of its own{lines}", files.join(", "))
}

fn sources() -> Crate {
    let files = files("src").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let texts: Vec<(String, String)> = files
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a text");
            (path.strip_prefix("src").expect("below src").display().to_string(), text)
        })
        .collect();
    Crate::read("dj_regress", texts.iter().map(|(path, text)| (path.as_str(), text.as_str())))
}

/// Rust and Python below a folder of the package.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(folder).to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A house of two rooms, with one more line in `case/load.rs` and one in `case/mod.rs`.
fn house(load: &str, case: &str) -> Vec<Import> {
    let load = format!("use crate::error::Error;\npub struct Loaded;\n{load}");
    let case = format!("mod load;\nmod text;\npub use load::Loaded;\n{case}");
    let files = [
        ("lib.rs", "pub mod case;\npub mod error;\npub mod judge;"),
        ("error.rs", "pub struct Error;"),
        ("case/mod.rs", case.as_str()),
        ("case/load.rs", load.as_str()),
        ("case/text.rs", "use super::Loaded;\npub fn say(_: Loaded) {}"),
        ("judge/mod.rs", "mod verdict;\npub use verdict::Verdict;\npub fn judge() {}"),
        ("judge/verdict.rs", "use crate::case::Loaded;\npub enum Verdict { Proven }"),
    ];
    Crate::read("house", files).imports()
}

#[test]
fn a_house_in_order_is_left_alone() {
    let imports = house("", "");
    assert_eq!((upwards(&imports), circles(&imports)), (vec![], vec![]));
    let seen: Vec<String> = imports.iter().map(|import| format!("{} {}", import.file, import.target)).collect();
    assert_eq!(seen, ["case/load.rs error.rs", "case/text.rs case/load.rs", "judge/verdict.rs case/load.rs"]);
}

#[rstest]
#[case::a_use("use crate::judge::Verdict;", "crate::judge::Verdict")]
#[case::a_use_in_a_group("use crate::{error, judge::{self, Verdict as Said}};", "crate::judge::Verdict")]
#[case::a_path_in_code("fn f() { crate::judge::judge(); }", "crate::judge::judge")]
#[case::a_path_in_a_type("struct S(Vec<crate::judge::Verdict>);", "crate::judge::Verdict")]
#[case::a_path_in_a_macro(
    r#"fn f() { println!("{:?}", crate::judge::Verdict::Proven); }"#,
    "crate::judge::Verdict::Proven"
)]
#[case::through_a_module("use crate::judge;\nfn f() { judge::judge() }", "judge::judge")]
#[case::through_another_name(
    "use crate::judge as j;\nfn f() { super::super::judge::judge() }",
    "super::super::judge::judge"
)]
fn an_import_of_a_room_above_is_told_with_its_place(#[case] planted: &str, #[case] path: &str) {
    let wrong = upwards(&house(planted, ""));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let line = 2 + planted.lines().count();
    assert!(wrong[0].starts_with(&format!("src/case/load.rs:{line}: `{path}` is in src/judge/")), "{wrong:?}");
    assert!(wrong[0].contains("case is below judge: move the name to case or below"), "{wrong:?}");
}

#[rstest]
#[case::of_the_next_file("use super::text::say;", "", "case/load.rs, case/text.rs")]
#[case::of_the_module_above(
    "use super::limit;",
    "pub fn limit(_: Loaded) {}\nuse load::Loaded as L;",
    "case/load.rs, case/mod.rs"
)]
#[case::in_code("fn f() { super::text::say(Loaded) }", "", "case/load.rs, case/text.rs")]
fn two_files_that_need_each_other_are_told(#[case] load: &str, #[case] case: &str, #[case] files: &str) {
    let wrong = circles(&house(load, case));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with(&format!("{files} need each other")), "{wrong:?}");
}

#[rstest]
#[case::tests("#[cfg(test)]\nmod tests { use crate::judge::Verdict; }")]
#[case::other_crates("use std::judge::Verdict;\nfn f() { judge::judge() }")]
#[case::words_in_a_text(r#"fn f() -> &'static str { "crate::judge::Verdict" }"#)]
fn what_is_no_import_is_left_alone(#[case] planted: &str) {
    assert_eq!(upwards(&house(planted, "")), Vec::<String>::new());
}
