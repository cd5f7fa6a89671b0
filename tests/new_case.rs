//! `new`: what it writes is a case that is good and runs, and it takes nobody's file.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use rstest::rstest;
use support::{Context, case};

#[test]
fn a_skeleton_is_a_good_case_that_runs_to_a_verdict_as_it_stands() {
    let context = Context::new();
    let _filters = context.filters();
    insta::assert_snapshot!(context.run("new django_q/mine --issue django-q2#300 --release 1.9.0"), @"
    exit: 0
    ----- stdout -----
    wrote cases/django_q/mine.yaml and, for editors, cases/case.schema.json
    next: run it as it stands, with `[PROGRAM] run django_q/mine`; then replace what says EXAMPLE
    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run("check").ok(), @"ok django_q/mine");
    context.run("run django_q/mine").ok();
    assert_eq!(case(&context.results(), "django_q/mine")["verdict"], "REPRODUCED");
    let text = fs::read_to_string(context.path("cases/django_q/mine.yaml")).unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=../case.schema.json\n"), "{text}");
    assert!(text.contains("\nissues: [django-q2#300]\n"), "{text}");
    assert_eq!(fs::read_to_string(context.path("cases/case.schema.json")).unwrap(), context.run("schema").ok());
    assert!(!text.contains("{name}") && !text.contains("{issue}") && !text.contains("{release}"), "{text}");
}

#[test]
fn without_an_issue_there_is_none_and_the_schema_is_found_from_any_depth() {
    let context = Context::new();
    context.run("new mine").ok();
    context.run("new a/b/mine").ok();
    insta::assert_snapshot!(context.run("check").ok(), @r"
    ok a/b/mine
    ok mine
    ");
    let text = |path: &str| fs::read_to_string(context.path(path)).unwrap();
    assert!(text("cases/mine.yaml").starts_with("# yaml-language-server: $schema=case.schema.json\n"));
    assert!(text("cases/a/b/mine.yaml").starts_with("# yaml-language-server: $schema=../../case.schema.json\n"));
    assert!(text("cases/mine.yaml").contains("\nissues: []\n"));
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let context = Context::new();
    fs::write(context.path("cases/mine.yaml"), "a day's work").unwrap();
    insta::assert_snapshot!(context.run("new mine"), @r"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: cases/mine.yaml is there already
    hint: name another case, or remove the file
    ");
    assert_eq!(fs::read_to_string(context.path("cases/mine.yaml")).unwrap(), "a day's work");
}

#[rstest]
#[case::above("../mine")]
#[case::above_after_all("django_q/../../mine")]
#[case::absolute("/tmp/mine")]
#[case::nothing_between("django_q//mine")]
#[case::hidden(".mine")]
#[case::an_ending("mine.yaml")]
#[case::an_issue("mine --issue 300")]
#[case::yaml_in_the_issue("mine --issue x#1],packages:")]
#[case::a_release("mine --release 1.11.1}")]
#[case::an_alpha("mine --release 1.12.0a1")]
fn what_would_be_no_case_is_refused_and_nothing_written(#[case] arguments: &str) {
    let context = Context::new();
    let said = context.run(&format!("new {arguments}"));
    assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""), "{said}");
    assert!(said.stderr.starts_with("error: "), "{said}");
    let left: Vec<_> = fs::read_dir(context.path("cases")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["locks"]);
    assert!(!context.path("mine.yaml").exists());
}
