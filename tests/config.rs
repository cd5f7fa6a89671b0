//! What is configured here, and who has said it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use rstest::rstest;
use serde_json::{Value, json};
use support::{Context, said};

const MANAGE: &str = "import os\n\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n";

const SECTION: &str = "[project]\nname = \"mysite\"\n\n[tool.dj-regress]\nrequirements = \"uv.lock\"\n\
                       env = {DEBUG = \"false\"}\nseed = [\"loaddata demo\", \"regress/seed.py:fill\"]\n";

/// A project, without any cases.
fn project() -> Context {
    let context = Context::new();
    fs::remove_dir_all(context.path("cases")).unwrap();
    fs::write(context.path("manage.py"), MANAGE).unwrap();
    fs::write(context.path("pyproject.toml"), SECTION).unwrap();
    context
}

#[test]
fn each_value_is_shown_with_where_it_comes_from() {
    let context = project();
    insta::assert_snapshot!(context.run("config").ok(), @r"
    cases          regress                               usual
    root           .                                     usual
    settings       mysite.settings                       manage.py:3
    requirements   uv.lock                               pyproject.toml:5
    exclude        -                                     usual
    env.DEBUG      false                                 pyproject.toml:6
    seed           loaddata demo, regress/seed.py:fill   pyproject.toml:7
    python         -                                     usual
    ");
    let mut command = context.command("config --settings mysite.ci");
    command.env("DJ_REGRESS_PYTHON", "3.12").env("DJANGO_SETTINGS_MODULE", "mysite.local");
    let told = said(&mut command).ok();
    assert!(told.contains("mysite.ci") && told.contains("--settings"), "{told}");
    assert!(told.contains("3.12") && told.contains("$DJ_REGRESS_PYTHON"), "{told}");
}

#[test]
fn where_there_is_no_project_that_is_said_with_what_to_do() {
    let context = Context::new();
    let _filters = context.filters();
    insta::assert_snapshot!(context.run("config").ok(), @r"
    cases    cases   usual
    python   -       usual
    # no project here: `[PROGRAM] init` writes its section
    ");
}

#[test]
fn a_key_that_is_not_known_is_pointed_at_by_every_command() {
    let context = project();
    fs::write(context.path("pyproject.toml"), SECTION.replace("requirements", "requirments")).unwrap();
    for command in ["config", "check", "list", "run", "new mine"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(context.run(command), @r#"
            exit: 3
            ----- stdout -----
            ----- stderr -----
            error: unknown key `requirments`
             --> pyproject.toml:5:1
              |
            5 | requirments = "uv.lock"
              | ^^^^^^^^^^^
              = help: did you mean `requirements`?
            "#);
        }
    }
}

#[test]
fn cases_of_a_project_are_in_its_folder_and_the_library_is_still_there() {
    let context = project();
    let none = context.run("list");
    assert!(none.stderr.starts_with("error: there is no folder `regress`\n"), "{none}");
    context.run("new mine").ok();
    assert!(context.path("regress/mine.yaml").is_file() && context.path("regress/case.schema.json").is_file());
    insta::assert_snapshot!(context.run("check").ok(), @"ok mine");
    insta::assert_snapshot!(context.run("check django_q/stat_master_list").ok(), @"ok django_q/stat_master_list");
}

#[rstest]
#[case::all_of_it(json!({"cases": "regress", "settings": "a.b", "root": "src", "python": "3.12", "env": {"DEBUG": "false"},
                         "requirements": ["uv.lock", "group:dev"], "exclude": "uwsgi", "seed": []}), true)]
#[case::nothing(json!({}), true)]
#[case::a_slip(json!({"setings": "a.b"}), false)]
#[case::another_kind(json!({"env": {"DEBUG": false}}), false)]
fn the_schema_for_editors_knows_what_is_taken(#[case] section: Value, #[case] is_good: bool) {
    let schema: Value = serde_json::from_str(&Context::new().run("schema --config").ok()).unwrap();
    assert_eq!(jsonschema::is_valid(&schema, &section), is_good, "{section}");
}
