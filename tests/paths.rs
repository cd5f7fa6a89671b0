//! What a case names stays inside its folder, and nothing of the user's is ever written to.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use dj_regress::cache::{Cache, USUAL_MODE};
use dj_regress::case::load::{load_file, load_str};
use dj_regress::case::{Edit, Take};
use dj_regress::python::{Overlay, Sources};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rstest::rstest;
use support::Context;

/// A case whose fix is to be filled in.
fn case(top: &str, fix: &str) -> String {
    format!(
        "title: t\npackages: {{django: 5.2.*, django-q2: 1.9.0}}\n{top}\nactors: {{app: {{python: shop.tasks}}}}\n\
         fixes:\n  f:\n    {fix}\n\
         steps: [{{read: {{x: '1'}}}}]\ninvariants: {{x: {{applied: 1, reverted: 2}}}}\n"
    )
}

fn message(text: &str, path: &Path) -> String {
    load_str(text, path, Path::new("cases")).expect_err("it is refused").message
}

const DIFF: &str = "@@ -1 +1 @@\\n-a\\n+b\\n";

#[rstest]
#[case("edits: {e: {in: /etc/passwd, applied: a, reverted: b}}", "`/etc/passwd` is an absolute path", ":7:21")]
#[case("edits: {e: {in: ../x.py, applied: a, reverted: b}}", "`../x.py` leads out of its folder", ":7:21")]
#[case("edits: {e: {in: a/../../x.py, applied: a, reverted: b}}", "leads out of its folder", ":7:21")]
#[case("edits: {e: {in: \"a/x\\0.py\", applied: a, reverted: b}}", "`a/x\\0.py` has a control character", ":7:21")]
#[case("edits: {e: {in: '', applied: a, reverted: b}}", "`` is not a path", ":7:21")]
#[case("take: {django-q2: 1.10.0, files: [django_q/x.py, ../x.py]}", "`../x.py` leads out of its folder", ":7:54")]
#[case("take: {django-q2: 1.10.0, files: [/etc/passwd]}", "`/etc/passwd` is an absolute path", ":7:39")]
#[case("patch: ../fix.diff", "`../fix.diff` leads out of its folder", ":7:12")]
#[case("patch: /tmp/fix.patch", "`/tmp/fix.patch` is an absolute path", ":7:12")]
#[case(&format!("patch: \"--- a/../x.py\\n+++ b/../x.py\\n{DIFF}\""), "`../x.py` leads out of its folder", ":7:12")]
#[case(&format!("patch: \"--- /etc/x.py\\n+++ /etc/x.py\\n{DIFF}\""), "`/etc/x.py` is an absolute path", ":7:12")]
#[case("patch: no diff", "the patch cannot be read", ":7:12")]
fn a_path_that_leads_elsewhere_is_refused_where_it_stands(
    #[case] fix: &str,
    #[case] expected: &str,
    #[case] place: &str,
) {
    let message = message(&case("issues: []", fix), Path::new("cases/x.yaml"));
    assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
    assert!(message.contains(&format!("x.yaml{place}\n")), "{message}");
    assert!(message.contains("^\n"), "{message}");
}

#[rstest]
#[case("../outside", "`../outside` leads out of its folder")]
#[case("/tmp", "`/tmp` is an absolute path")]
#[case("./linked", "a link leads out of its folder")]
#[case("./holds_link", "a link leads out of the package")]
#[case("./holds_folder_link", "a link to a folder is not copied")]
#[case("./holds_fifo", "it is a FIFO, not a file")]
#[case("./nothing", "it has no __init__.py")]
fn an_app_outside_of_the_folder_of_its_case_is_refused(#[case] app: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path().join("cases");
    for package in ["outside", "cases/holds_link", "cases/holds_folder_link/below", "cases/holds_fifo"] {
        fs::create_dir_all(folder.path().join(package)).unwrap();
    }
    for package in ["outside", "cases/holds_link", "cases/holds_folder_link", "cases/holds_fifo"] {
        fs::write(folder.path().join(package).join("__init__.py"), "").unwrap();
    }
    symlink("../outside", cases.join("linked")).unwrap();
    symlink("../../outside/__init__.py", cases.join("holds_link/x.py")).unwrap();
    symlink("below", cases.join("holds_folder_link/again")).unwrap();
    mkfifo(&cases.join("holds_fifo/x.py"), Mode::S_IRWXU).unwrap();
    let message = message(&case(&format!("app: {app}"), "env: {A: b}"), &cases.join("x.yaml"));
    assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
    assert!(message.contains("x.yaml:3:6\n"), "{message}");
}

#[test]
fn links_inside_an_app_and_an_editors_lock_are_no_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("__init__.py"), "").unwrap();
    symlink("__init__.py", app.join("same.py")).unwrap();
    symlink("me@machine.1", app.join(".#__init__.py")).unwrap();
    let path = folder.path().join("x.yaml");
    fs::write(&path, case("app: ./app", "env: {A: b}")).unwrap();
    load_file(&path, folder.path()).unwrap_or_else(|error| panic!("{error}"));
}

#[rstest]
#[case("link.diff", "a link leads out of its folder")]
#[case("fifo.diff", "it is a FIFO, not a file")]
#[case("folder.diff", "it is a folder, not a file")]
#[case("large.diff", "a patch of more than 1048576 bytes is too large")]
fn a_patch_is_a_file_beside_its_case(#[case] name: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path().join("cases");
    fs::create_dir_all(cases.join("folder.diff")).unwrap();
    fs::write(folder.path().join("outside.diff"), "--- a/x\n+++ b/x\n").unwrap();
    symlink("../outside.diff", cases.join("link.diff")).unwrap();
    mkfifo(&cases.join("fifo.diff"), Mode::S_IRWXU).unwrap();
    fs::File::create(cases.join("large.diff")).unwrap().set_len(1 << 40).unwrap();
    let message = message(&case("issues: []", &format!("patch: {name}")), &cases.join("x.yaml"));
    assert!(message.contains(expected) && message.contains("x.yaml:7:12\n"), "{message}");
}

/// Where a file is opened the case has been checked, but what is on the disk may have changed since.
#[test]
fn what_leads_out_of_a_package_is_not_read_where_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("site");
    fs::create_dir_all(root.join("app")).unwrap();
    fs::write(folder.path().join("secret.py"), "a = 1\n").unwrap();
    symlink("../../secret.py", root.join("app/link.py")).unwrap();
    mkfifo(&root.join("app/fifo.py"), Mode::S_IRWXU).unwrap();
    let edit = |file: &str| Edit {
        file: file.into(),
        applied: "a = 2".into(),
        reverted: "a = 1".into(),
        unpinned: None,
        breaks: None,
    };
    let mut sources = Sources::new(vec![root.clone()]);
    for (file, expected) in [
        ("app/link.py", "a link leads out of its folder"),
        ("app/fifo.py", "it is a FIFO"),
        ("../secret.py", "leads out of its folder"),
    ] {
        let refused = sources.apply("e", &edit(file)).expect_err("it is outside").to_string();
        assert!(refused.contains(expected), "{refused}");
        let take = Take { package: "p".into(), version: "1".into(), files: vec![file.into()] };
        assert!(sources.files_from(&take, &root).is_err(), "{file}");
    }
    let absolute = folder.path().join("secret.py").display().to_string();
    assert!(sources.apply("e", &edit(&absolute)).is_err());
    assert!(sources.patch(&format!("--- {absolute}\n+++ {absolute}\n@@ -1 +1 @@\n-a = 1\n+a = 2\n")).is_err());
    let cache = Cache::at(&folder.path().join("cache")).unwrap();
    let error = Overlay::build(&cache, &sources, &["app"]).expect_err("the package cannot be copied").message;
    assert!(error.contains("a link leads out of the package") || error.contains("it is a FIFO"), "{error}");
}

#[test]
fn a_copy_is_never_written_outside_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(&folder.path().join("cache")).unwrap();
    let absolute = folder.path().join("thesis.txt").display().to_string();
    for file in ["../../../thesis.txt", &absolute] {
        let files = BTreeMap::from([(file.to_owned(), b"b".to_vec())]);
        assert!(cache.content("overlays", &files, |_| USUAL_MODE).is_err(), "{file}");
    }
    assert!(!folder.path().join("thesis.txt").exists());
}

/// A case with every kind of fix: its own app's edits, a patch of it, another release, files of one, settings, env, vars.
const EVERY_KIND: &str = "app: ./own
settings: {SITE: a}
env: {PLACE: a}
vars: {times: 2}
actors: {app: {python: own.logic}}
fixes:
  an edit:     {edits: {e: {in: own/logic.py, applied: return 1, reverted: return 2}}}
  a patch:     {patch: own.diff}
  a release:   {packages: {django-q2: 1.10.0}, vars: {times: 1}}
  a file:      {take: {django-q2: 1.10.0, files: [django_q/brokers/__init__.py]}, vars: {times: 1}}
  an overlay:  {edits: {e: {in: django_q/conf.py, applied: 'import sys  # as before', reverted: import sys}}, verdict: NOT FIXED}
  settings:    {settings: {SITE: b}, vars: {times: 1}}
  environment: {env: {PLACE: b}, vars: {times: 1}}
steps:
  - read: {number: \"min(__import__('own.logic').logic.number(), $times)\"}
invariants: {number: {applied: 1, reverted: 2}}
";

#[test]
fn no_kind_of_fix_changes_a_file_of_the_users() {
    let context = Context::new().case("every_kind", EVERY_KIND);
    let own = context.path("cases/own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("__init__.py"), "").unwrap();
    fs::write(own.join("logic.py"), "def number():\n    return 2\n").unwrap();
    // One file in two places, and one that another leads to: a copy in place would change both.
    fs::hard_link(own.join("logic.py"), context.path("logic.py")).unwrap();
    symlink("logic.py", own.join("same.py")).unwrap();
    let diff =
        "--- a/own/logic.py\n+++ b/own/logic.py\n@@ -1,2 +1,2 @@\n def number():\n-    return 2\n+    return 1\n";
    fs::write(context.path("cases/own.diff"), diff).unwrap();
    fs::create_dir(context.path(".git")).unwrap();
    fs::write(context.path(".git/HEAD"), "ref: refs/heads/main\n").unwrap();

    let before = tree(&context.path(""));
    let said = context.run("run every_kind");
    assert!(matches!(said.code, Some(0 | 1 | 5)), "{said}");
    let results = context.results();
    let fixes = support::case(&results, "every_kind")["fixes"].as_array().unwrap();
    let proven: Vec<&str> =
        fixes.iter().filter(|fix| fix["verdict"] == "PROVEN").map(|fix| fix["fix"].as_str().unwrap_or("?")).collect();
    assert_eq!(proven.len(), 6, "{fixes:#?}");
    let mut after = tree(&context.path(""));
    after.retain(|path, _| !path.starts_with("regress.out"));
    assert_eq!(before, after);
}

/// Everything below a folder: what it is, its mode, its content, when it was changed.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (String, u32, i64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let below = path.strip_prefix(folder).unwrap().to_owned();
            let content = if meta.is_dir() {
                folders.push(path.clone());
                // Its time changes with the output folder.
                found.insert(below, ("a folder".to_owned(), meta.mode(), 0));
                continue;
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else {
                blake3::hash(&fs::read(&path).unwrap()).to_hex().to_string()
            };
            found.insert(below, (content, meta.mode(), meta.mtime_nsec()));
        }
    }
    found
}
