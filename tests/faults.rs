//! Each fault is seen from the client's side and gone afterwards, and is told in the results, wherever services run.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rstest::rstest;
use serde_json::Value;
use support::{Context, case, docker};

/// One run of all planted faults on local services.
static LOCAL: LazyLock<Value> = LazyLock::new(|| run("local"));

/// The same in containers, where there is docker.
static DOCKER: LazyLock<Option<Value>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(docker("faults in containers")).map(|_| run("docker"))
});

fn run(place: &str) -> Value {
    let context = Context::new().planted("faults");
    context.run(&format!("run faults --services {place}")).ok();
    context.results()
}

fn results(place: &str) -> Option<&'static Value> {
    match place {
        "local" => Some(&LOCAL),
        _ => DOCKER.as_ref(),
    }
}

fn name(path: &Path) -> String {
    format!("faults/{}", path.file_stem().unwrap().to_str().unwrap())
}

/// A fault with its line, as an arm tells it, and when it began and ended.
fn faults(arm: &Value) -> Vec<(String, u64, f64, f64)> {
    let told = arm["faults"].as_array().unwrap().iter();
    let seconds = |fault: &Value, when| fault[when].as_f64().unwrap_or_else(|| panic!("no `{when}` in {fault}"));
    told.map(|fault| {
        let (text, line) = (fault["fault"].as_str().unwrap().to_owned(), fault["line"].as_u64().unwrap());
        (text, line, seconds(fault, "began"), seconds(fault, "ended"))
    })
    .collect()
}

#[rstest]
fn every_fault_is_seen_by_the_client_and_gone_afterwards(
    #[files("tests/planted/faults/*.yaml")] path: PathBuf,
    #[values("local", "docker")] place: &str,
) {
    let Some(results) = results(place) else { return };
    assert!(results["setting"]["services"].as_str().unwrap().starts_with(place));
    let found = case(results, &name(&path));
    assert_eq!((&found["verdict"], &found["as_declared"]), (&"REPRODUCED".into(), &true.into()), "{found:#}");
}

#[rstest]
fn every_fault_is_told_with_its_begin_and_end(
    #[files("tests/planted/faults/*.yaml")] path: PathBuf,
    #[values("local", "docker")] place: &str,
) {
    let Some(results) = results(place) else { return };
    let text = fs::read_to_string(&path).unwrap();
    let is_fault = |line: &str| line.starts_with("  - fault:");
    let lines: Vec<u64> =
        (1..).zip(text.lines()).filter(|(_, line)| is_fault(line)).map(|(number, _)| number).collect();
    let arms = case(results, &name(&path))["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 2, "with and without looking");
    for arm in arms {
        let told = faults(arm);
        assert_eq!(told.iter().map(|(_, line, ..)| *line).collect::<Vec<_>>(), lines);
        let mut over = 0.0;
        for (text, line, began, ended) in &told {
            // None lasts longer than its own steps.
            assert!(over <= *began && began <= ended, "line {line}: {text} from {began} to {ended}, after {over}");
            over = *ended;
        }
    }
}

#[rstest]
fn the_same_is_told_in_both_places(#[files("tests/planted/faults/*.yaml")] path: PathBuf) {
    let Some(docker) = results("docker") else { return };
    let told = |results: &Value| -> Vec<(Value, Vec<String>)> {
        let arms = case(results, &name(&path))["arms"].as_array().unwrap();
        let texts = |arm: &Value| faults(arm).into_iter().map(|(text, ..)| text).collect();
        arms.iter().map(|arm| (arm["state"].clone(), texts(arm))).collect()
    };
    assert_eq!(told(&LOCAL), told(docker));
}
