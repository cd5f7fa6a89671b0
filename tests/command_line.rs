//! Whole commands that run nothing: what they print, and how they exit.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rstest::rstest;
use support::{Context, on_path, said, skip};

#[test]
fn help_names_every_command_and_option_of_run() {
    let context = Context::new();
    let _filters = context.filters();
    insta::assert_snapshot!("help", context.run("--help").ok());
    insta::assert_snapshot!("help_run", context.run("run --help").ok());
    insta::assert_snapshot!("help_matrix", context.run("matrix --help").ok());
    insta::assert_snapshot!("help_bisect", context.run("bisect --help").ok());
    insta::assert_snapshot!("help_new", context.run("new --help").ok());
}

#[test]
fn list_shows_each_case_with_what_it_declares() {
    let context = Context::new().planted("verdicts");
    insta::assert_snapshot!("list", context.run("list").ok());
}

#[test]
fn a_selection_is_listed_and_checked_alone() {
    let context = Context::new().planted("verdicts");
    insta::assert_snapshot!(context.run("list verdicts/proven verdicts/not_fixed_as_declared").ok(), @r"
    CASE                             DECLARES            WHAT GOES WRONG
    verdicts/not_fixed_as_declared   PROVEN, NOT FIXED   one of two fixes is known to be none
    verdicts/proven                  PROVEN              an order that is paid is charged again
    ");
    insta::assert_snapshot!(context.run("check verdicts/proven").ok(), @"ok verdicts/proven");
}

#[test]
fn a_folder_of_cases_may_be_given_by_its_path() {
    let context = Context::new().planted("verdicts");
    let named = context.run("list verdicts").ok();
    for path in ["cases/verdicts/", "cases/verdicts", "./cases/verdicts/../verdicts"] {
        assert_eq!(context.run(&format!("list {path}")).ok(), named);
    }
    fs::create_dir(context.path("elsewhere")).unwrap();
    fs::copy(context.path("cases/verdicts/proven.yaml"), context.path("elsewhere/mine.yaml")).unwrap();
    assert!(context.run("list elsewhere").ok().contains("mine "));
}

#[test]
fn two_cases_of_one_name_are_refused_and_one_that_is_named_twice_is_run_once() {
    let context = Context::new().planted("verdicts");
    for folder in ["one", "two"] {
        fs::create_dir(context.path(folder)).unwrap();
        fs::copy(context.path("cases/verdicts/proven.yaml"), context.path(folder).join("mine.yaml")).unwrap();
    }
    let said = context.run("list one/mine.yaml two/mine.yaml");
    assert_eq!(said.code, Some(3), "{said}");
    assert!(said.stderr.contains("two cases are called `mine`: one/mine.yaml and two/mine.yaml"), "{said}");
    let once = context.run("list one/mine.yaml ./one/mine.yaml verdicts/proven cases/verdicts/proven.yaml").ok();
    assert_eq!(once.lines().count(), 3, "{once}");
}

#[test]
fn a_typo_is_pointed_at_with_what_was_probably_meant() {
    let context = Context::new().planted("verdicts");
    let text = fs::read_to_string(context.path("cases/verdicts/proven.yaml")).unwrap();
    fs::write(context.path("cases/verdicts/proven.yaml"), text.replace("applied: 1,", "aplied: 1,")).unwrap();
    for command in ["check", "run", "list"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(context.run(command), @r"
            exit: 3
            ----- stdout -----
            ----- stderr -----
            error: unknown key `aplied`
              --> cases/verdicts/proven.yaml:21:13
               |
            21 |   charges: {aplied: 1, reverted: 2}
               |             ^^^^^^
               = help: did you mean `applied`?
            ");
        }
    }
    assert!(!context.path("regress.out").exists(), "nothing was started");
}

#[rstest]
#[case::nothing_like_it("run nothing_like_this")]
#[case::a_slip("run verdicts/provne")]
#[case::without_its_folder("check proven")]
fn a_selection_that_names_nothing_exits_4(#[case] arguments: &str) {
    let context = Context::new().planted("verdicts");
    let name = arguments.replace([' ', '/'], "_");
    insta::assert_snapshot!(name, context.run(arguments));
}

#[test]
fn a_folder_without_cases_exits_4() {
    insta::assert_snapshot!(Context::new().run("run"), @r"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: there are no cases in cases
    hint: name a case file, or another folder of cases
    ");
}

#[test]
fn a_folder_of_cases_that_is_none_is_named() {
    let context = Context::new();
    fs::write(context.path("afile"), "").unwrap();
    for command in ["run", "list", "check", "explain", "matrix --releases 1.9.0"] {
        let said = context.run(&format!("{command} --cases-dir nowhere"));
        let hint = "name a case file, or with `--cases-dir` the folder of the cases";
        assert_eq!(said.stderr, format!("error: there is no folder `nowhere`\nhint: {hint}\n"));
        assert_eq!(said.code, Some(4));
        let said = context.run(&format!("{command} --cases-dir afile"));
        let hint = "`--cases-dir` names the folder of the cases";
        assert_eq!((said.code, said.stderr), (Some(3), format!("error: `afile` is a file\nhint: {hint}\n")));
    }
    let said = context.run("new mine --cases-dir afile/x");
    assert_eq!((said.code, said.stderr.as_str()), (Some(3), "error: `afile` is a file\n"));
    let said = support::said(context.command("doctor").env("DJ_REGRESS_CACHE", "afile"));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.starts_with("error: cannot write to the cache folder afile: `afile` is a file\n"), "{said}");
}

#[test]
fn a_command_that_is_mistyped_is_guessed() {
    insta::assert_snapshot!(Context::new().run("doctr"), @r"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: no case, folder of cases or case file is called `doctr`
    hint: did you mean the command `doctor`?
    ");
}

#[rstest]
#[case::unknown_option("run --joobs 2")]
#[case::no_lanes("run --jobs 0")]
#[case::unknown_source("run --programs docker")]
#[case::unknown_command_option("list --verbose")]
fn a_bad_option_exits_3(#[case] arguments: &str) {
    let context = Context::new().planted("verdicts");
    let said = context.run(arguments);
    assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""), "{said}");
    assert!(said.stderr.starts_with("error: "), "{said}");
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let printed = Context::new().run("schema").ok();
    assert!(
        printed == fs::read_to_string("cases/case.schema.json").unwrap(),
        "cases/case.schema.json is stale: run `dj-regress schema > cases/case.schema.json`"
    );
}

#[rstest]
fn planted_cases_are_good_cases(#[values("verdicts", "language")] folder: &str) {
    Context::new().planted(folder).run("check").ok();
}

/// What `| head -1` does: one line is read, then nobody listens.
#[rstest]
#[case::help("run --help", "Run cases")]
#[case::list("list", "CASE ")]
#[case::check("check", "ok verdicts/backwards")]
#[case::schema("schema", "{")]
fn a_reader_that_goes_away_is_no_error(#[case] arguments: &str, #[case] first: &str) {
    let context = Context::new().planted("verdicts");
    let mut child = context.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with(first), "{line}");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// `script` gives the program a terminal.
#[rstest]
#[case::a_terminal("TERM=xterm", true, true)]
#[case::no_color("TERM=xterm NO_COLOR=1", false, true)]
#[case::dumb("TERM=dumb", false, false)]
fn there_is_colour_in_a_terminal_that_wants_it(
    #[case] variable: &str,
    #[case] colour: bool,
    #[case] has_status_line: bool,
) {
    let Some(script) = on_path("script") else { return skip("`script` (util-linux) is not here") };
    let context = Context::new().planted("verdicts");
    let run = format!("{variable} {} run --frozen verdicts/not_fixed", support::PROGRAM);
    let mut in_terminal = std::process::Command::new(script);
    in_terminal.args(["--quiet", "--return", "--command", &run, "/dev/null"]);
    in_terminal.current_dir(context.path("")).stdin(Stdio::null()).env_remove("NO_COLOR");
    let said = said(&mut in_terminal);
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(said.stdout.contains("\x1b[31"), colour, "{said}");
    assert_eq!(said.stdout.contains('\x1b'), has_status_line, "{said}");
}

#[test]
fn every_case_carries_the_header_that_editors_read() {
    let mut folders = vec![std::path::PathBuf::from("cases")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let header = "# yaml-language-server: $schema=../case.schema.json\n";
                assert!(text.starts_with(header), "{}", path.display());
            }
        }
    }
}
