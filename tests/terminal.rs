//! What people see and paste: the status line, folders of any name, the line that runs a case again.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dj_regress::cache::{Cache, VARIABLE};
use rstest::rstest;
use serde_json::Value;
use support::{Context, PROGRAM, Said, copy, on_path, said, skip};
use unicode_width::UnicodeWidthStr as _;

/// The line of a run that failed, without what is before the command.
fn rerun(said: &Said) -> String {
    let line = said.stdout.lines().find_map(|line| line.strip_prefix("#   run it again: "));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// A shell that is given a line, where the program was run.
fn pasted(context: &Context, folder: &Path, line: &str) -> Said {
    let mut shell = Command::new("bash");
    shell
        .args(["-c", line])
        .current_dir(folder)
        .stdin(Stdio::null())
        .envs(context.command("").get_envs().filter_map(|(name, value)| Some((name, value?))));
    said(&mut shell)
}

#[rstest]
#[case::in_the_folder("run verdicts/not_fixed", "verdicts/not_fixed")]
#[case::by_its_file("run cases/verdicts/not_fixed.yaml", "verdicts/not_fixed")]
#[case::outside("run elsewhere/not_fixed.yaml", "elsewhere/not_fixed.yaml")]
#[case::needs_quotes("run it's_$(here)/not_fixed.yaml --python python3 --state both", "/not_fixed.yaml'")]
#[case::another_folder("run --cases-dir it's_$(here) not_fixed --output-dir o;ut", "not_fixed")]
#[case::self_check("run --self-check elsewhere/flips.yaml", "--self-check elsewhere/flips.yaml")]
fn the_line_that_runs_a_case_again_works_when_it_is_pasted(#[case] arguments: &str, #[case] end: &str) {
    let context = Context::new().planted("verdicts");
    for folder in ["elsewhere", "it's_$(here)"] {
        fs::create_dir(context.path(folder)).unwrap();
        copy(&context.path("cases/locks"), &context.path(folder).join("locks"));
        fs::copy(context.path("cases/verdicts/not_fixed.yaml"), context.path(folder).join("not_fixed.yaml")).unwrap();
        let flips = "actors: {app: {python: shop.tasks}}
vars: {n: \"1\"}
fixes: {both: {vars: {n: \"2\"}}}
steps:
  - read: {n: \"$n * 0 + __import__('time').time_ns()\"}
invariants: {n: {applied: 1, reverted: 2}}
";
        fs::write(context.path(folder).join("flips.yaml"), format!("title: it flips\n{}{flips}", support::HEAD))
            .unwrap();
    }
    let said = context.run(arguments);
    let line = rerun(&said);
    assert!(line.ends_with(end), "{line}");
    let again = pasted(&context, &context.path(""), &line);
    assert_eq!(again.code, said.code, "{line}\n{again}");
    let verdict = |said: &Said| said.stdout.lines().nth(1).unwrap().split("   ").next().unwrap().to_owned();
    assert_eq!(verdict(&again), verdict(&said), "{again}");
}

#[test]
fn the_status_line_is_cut_to_the_width_of_the_terminal() {
    let Some(script) = on_path("script") else { return skip("`script` (util-linux) is not here") };
    let context = Context::new();
    let name = "注文の請求が二度行われるとても長い名前の事例";
    let case = fs::read_to_string("tests/planted/verdicts/proven.yaml").unwrap();
    fs::write(context.path(format!("cases/{name}.yaml")), case).unwrap();
    let run = format!("stty rows 24 cols 40; TERM=xterm exec {PROGRAM} run --frozen");
    let mut in_terminal = Command::new(script);
    in_terminal.args(["--quiet", "--return", "--command", &run, "/dev/null"]).env("SHELL", "/bin/sh");
    in_terminal.envs(context.command("").get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = said(in_terminal.current_dir(context.path("")).stdin(Stdio::null()));
    assert_eq!(said.code, Some(0), "{said}");
    let lines = said.stdout.split("\r\x1b[K").skip(1).map(|line| line.split('\r').next().unwrap());
    let lines: Vec<&str> = lines.filter(|line| line.starts_with("注文")).collect();
    assert!(!lines.is_empty(), "{said}");
    for line in lines {
        assert!(line.ends_with('…') && (38..40).contains(&line.width()), "{} columns: {line}", line.width());
    }
}

fn not_utf8(name: &str) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&[name.as_bytes(), b"\xff\xfe"].concat()))
}

/// A folder whose name is not UTF-8, in each place where a run can meet one.
#[rstest]
#[case::here("f", &[])]
#[case::output("here", &["--output-dir", "out"])]
#[case::cases("here", &["--cases-dir", "cases"])]
#[case::tmpdir("here", &["TMPDIR"])]
#[case::home("here", &["HOME"])]
fn a_folder_whose_name_is_not_utf8_does_not_break_a_run(#[case] here: &str, #[case] option: &[&str]) {
    let context = Context::new().planted("verdicts");
    let here = if here == "f" { context.path(not_utf8("f")) } else { context.path(here) };
    fs::create_dir(&here).unwrap();
    let (mut cases, mut output) = (here.join("cases"), here.join("regress.out"));
    let mut command = context.command("run");
    command.current_dir(&here).env(VARIABLE, Cache::location().unwrap());
    match option {
        [variable] => {
            fs::create_dir(here.join(not_utf8(variable))).unwrap();
            command.env(variable, here.join(not_utf8(variable)));
        }
        [option, name] => {
            command.arg(option).arg(not_utf8(name));
            *(if *name == "out" { &mut output } else { &mut cases }) = here.join(not_utf8(name));
        }
        _ => {}
    }
    copy(&context.path("cases"), &cases);
    let said = said(command.args(["verdicts/not_fixed", "verdicts/proven"]));
    assert!(said.code == Some(1) && said.stdout.contains("# 1 case not as declared, 1 as declared"), "{said}");
    let results: Value = serde_json::from_slice(&fs::read(output.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["run"]["as_declared"], 1);
    let log = fs::read_to_string(output.join("log/verdicts.not_fixed.reverted.log")).unwrap();
    assert!(log.contains("charges"), "{log}");
    let again = pasted(&context, &here, &rerun(&said));
    let again_from_here = again.stdout.contains("verdicts/not_fixed   NOT FIXED");
    assert!(again.code == Some(1) && again_from_here, "{}\n{again}", rerun(&said));
}

#[test]
fn a_cache_whose_name_is_not_utf8_is_refused_at_once() {
    let context = Context::new().planted("verdicts");
    let said = said(context.command("run verdicts/proven").env(VARIABLE, context.path(not_utf8("cache"))));
    assert!(
        said.code == Some(2) && said.stderr.contains("cannot be the cache folder: it is not named in UTF-8"),
        "{said}"
    );
}

/// As `>&-` and `<&-` do it.
#[rstest]
#[case("list", 0)]
#[case("check", 0)]
#[case("run verdicts/proven", 0)]
#[case("run nothing_like_this", 4)]
#[case("--help", 0)]
fn a_command_whose_streams_are_closed_ends_as_it_would(#[case] arguments: &str, #[case] expected: i32) {
    let context = Context::new().planted("verdicts");
    for closed in ["<&- >&-", "<&- >&- 2>&-", "2>&-"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {PROGRAM} {arguments} {closed}")]).current_dir(context.path(""));
        shell.envs(context.command("").get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = said(&mut shell);
        assert_eq!(said.code, Some(expected), "{closed} {said}");
    }
}

#[rstest]
#[case::honoured("t", None)]
#[case::too_long(
    "a_folder_whose_name_makes_the_paths_of_sockets_longer_than_the_kernel_allows",
    Some("are allowed: unix sockets must be below it")
)]
#[case::not_there("nowhere", Some("nowhere is not there"))]
fn the_folder_of_a_run_is_where_tmpdir_says_or_it_is_said_why_not(#[case] name: &str, #[case] refusal: Option<&str>) {
    let context = Context::new().planted("verdicts");
    let folder = tempfile::Builder::new().prefix("t-").rand_bytes(3).tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let tmpdir = if name == "t" { folder.path().to_owned() } else { folder.path().join(name) };
    if name.len() > 10 {
        fs::create_dir(&tmpdir).unwrap();
    }
    let said = said(context.command("run verdicts/proven").env("TMPDIR", &tmpdir));
    assert_eq!(said.code, Some(0), "{said}");
    let is_there = fs::read_dir(&tmpdir).is_ok_and(|mut entries| entries.next().is_some());
    assert_eq!(is_there, refusal.is_none(), "{said}");
    match refusal {
        Some(why) => {
            assert!(said.stderr.contains("# the run is not in TMPDIR: ") && said.stderr.contains(why), "{said}");
        }
        None => assert!(!said.stderr.contains("TMPDIR"), "{said}"),
    }
}
