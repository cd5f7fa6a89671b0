//! What a case asks of an installer: packages, releases, ranges, Pythons; and nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dj_regress::cache::Cache;
use dj_regress::case::Case;
use dj_regress::case::load::load_str;
use dj_regress::error::Result;
use dj_regress::python::{Environments, Locks};
use rstest::rstest;
use support::Context;

const REST: &str = "actors: {app: {python: shop.tasks}}
fixes:
  f: {vars: {n: 1}}
vars: {n: 2}
steps: [{read: {x: '0 + $n'}}]
invariants: {x: {applied: 1, reverted: 2}}
";

fn load(head: &str, rest: &str) -> Result<Case> {
    load_str(&format!("title: t\n{head}\n{rest}"), Path::new("cases/x.yaml"), Path::new("cases"))
}

#[rstest]
#[case("packages: {django: \"5.2.* --pre\"}", "`5.2.* --pre` is not a version", ":2:20")]
#[case("packages: {django: \"5.2\\n-r x\"}", "`5.2\\n-r x` is not a version", ":2:20")]
#[case("packages: {django: \"@ file:///x.whl\"}", "`@ file:///x.whl` is not a version", ":2:20")]
#[case("packages: {django: \"5.2 ; python_version > '3'\"}", "is not a version", ":2:20")]
#[case("packages: {django: latest}", "`latest` is not a version", ":2:20")]
#[case("packages: {django: }", "expected a text, found nothing", ":2:12")]
#[case("packages: {\"-r x\": 5.2}", "`-r x` is not the name of a package", ":2:12")]
#[case("packages: {../x: 5.2}", "`../x` is not the name of a package", ":2:12")]
#[case("packages: {\"django[argon2]\": 5.2}", "`django[argon2]` is not the name of a package", ":2:12")]
#[case("packages: {django: 5.2, Django: 5.1}", "`Django` is the package `django`, which is there already", ":2:25")]
#[case("packages: {}", "the case names no `packages`", ":2:1")]
#[case("issues: []", "the case names no `packages`", ":1:1")]
#[case("packages: {django: 5.2}\npython: nonsense", "`nonsense` is not a version of Python", ":3:9")]
#[case("packages: {django: 5.2}\npython: \"-c\"", "`-c` is not a version of Python", ":3:9")]
#[case("packages: {django: 5.2}\npython: /usr/bin/python3", "is not a version of Python", ":3:9")]
#[case("packages: {django: 5.2}\npython: 3.9", "Python 3.9 is too old: the harness needs 3.10 or newer", ":3:9")]
fn what_is_no_requirement_is_refused_where_it_stands(#[case] head: &str, #[case] expected: &str, #[case] place: &str) {
    let message = load(head, REST).expect_err("it is refused").message;
    assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
    assert!(message.contains(&format!("x.yaml{place}\n")), "{message}");
}

#[rstest]
#[case("f: {packages: {django-q2: \"1.9 -e .\"}}", "`1.9 -e .` is not a version")]
#[case("f: {take: {django-q2: \"1.9 -e .\", files: [a/b.py]}}", "`1.9 -e .` is not a version")]
#[case("f: {take: {\"--pre\": 1.9, files: [a/b.py]}}", "`--pre` is not the name of a package")]
#[case(
    "f: {take: {django-q2: \">=1.9,<1.11\", files: [a/b.py]}}",
    "`>=1.9,<1.11` may be several releases: `take` needs one"
)]
#[case("f: {take: {django-q2: 1.10.*, files: [a/b.py]}}", "`1.10.*` may be several releases: `take` needs one")]
fn a_fix_asks_for_releases_by_the_same_grammar(#[case] fix: &str, #[case] expected: &str) {
    let rest = REST.replace("f: {vars: {n: 1}}", fix);
    let message = load("packages: {django: 5.2.*}", &rest).expect_err("it is refused").message;
    assert!(message.contains(expected) && message.contains("x.yaml:5:"), "{message}");
}

#[test]
fn an_actor_asks_for_releases_by_the_same_grammar() {
    let rest = REST.replace("{python: shop.tasks}", "{python: shop.tasks, packages: {django-q2: \"1.9;x\"}}");
    let message = load("packages: {django: 5.2.*}", &rest).expect_err("it is refused").message;
    assert!(message.contains("`1.9;x` is not a version") && message.contains("x.yaml:3:"), "{message}");
}

#[test]
fn a_package_is_the_same_one_however_it_is_spelt() {
    let rest = REST.replace("f: {vars: {n: 1}}", "f: {packages: {Django_Q2: 1.10.0}, vars: {n: 1}}");
    let case = load("packages: {Django: 5.2.*, django.q2: 1.9.0}", &rest).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.base.packages.keys().collect::<Vec<_>>(), ["django", "django-q2"]);
    assert_eq!(case.fixes["f"].change.packages["django-q2"], "1.10.0");
}

/// From the case to the lock and from there to what runs.
#[test]
fn a_range_is_locked_and_run() {
    let rest = "actors: {app: {python: }}\nfixes: {f: {vars: {n: 1}}}\nvars: {n: 2}\n\
                steps: [{read: {x: '0 + $n', release: \"__import__('django').VERSION[:2] >= (5, 1)\"}}]\n\
                invariants: {x: {applied: 1, reverted: 2}, release: {both: true}}\n";
    let context = Context::new();
    let case = format!("title: a range\npackages: {{django: '>= 5.1, <5.3', django-q2: 1.9.0}}\n{rest}");
    fs::write(context.path("cases/range.yaml"), case).unwrap();
    let lock = context.path("cases/locks/django-ge5.1-lt5.3_django-q2-1.9.0.txt");
    let text = fs::read_to_string(context.path("cases/locks/django-5.2.x_django-q2-1.9.0.txt")).unwrap();
    fs::write(
        &lock,
        text.replace("from: django-q2==1.9.0, django==5.2.*", "from: django-q2==1.9.0, django>=5.1,<5.3")
            .replace("from: django==5.2.*, ", "from: django>=5.1,<5.3, "),
    )
    .unwrap();
    let said = context.run("run range");
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(support::case(&context.results(), "range")["fixes"][0]["verdict"], "PROVEN");
}

#[test]
fn packages_that_bring_no_django_are_an_error_and_no_skip() {
    let context = Context::new();
    let case = format!("title: t\npackages: {{croniter: 6.0.0}}\n{REST}");
    fs::write(context.path("cases/none.yaml"), case).unwrap();
    let lock = fs::read_to_string(context.path("cases/locks/django-5.2.x_django-q2-1.9.0.txt")).unwrap();
    let lock = lock.replace("django-q2==1.9.0, ", "").replace("django==5.2.*", "croniter==6.0.0");
    let lock = lock.replace("\ndjango==", "\ncroniter==");
    fs::write(context.path("cases/locks/croniter-6.0.0.txt"), lock).unwrap();
    let said = context.run("run none");
    assert_eq!(said.code, Some(3), "{said}");
    assert!(said.stderr.contains("the packages of the case do not bring Django: croniter"), "{said}");
}

#[rstest]
#[case("new mine --release latest", "`latest` is not a version")]
#[case("new mine --release 1.9.*", "`1.9.*` may be several releases")]
#[case("new mine --release=-r", "`-r` is not a version")]
#[case("matrix x --releases latest", "`latest` is not a version")]
#[case("matrix x --releases 1.9.0,-r", "`-r` is not a version")]
#[case("matrix x --releases >=1.9", "`>=1.9` is a range")]
#[case("matrix x --package -r --releases 1.9.0", "-r")]
#[case("matrix x --package ../x --releases 1.9.0", "`../x` is not the name of a package")]
#[case("bisect x --package a@b --releases 1.9.0,1.10.0", "`a@b` is not the name of a package")]
#[case("matrix x --pythons 3.12,banana", "`banana` is not a version of Python")]
#[case("matrix x --pythons 3.9", "Python 3.9 is too old")]
#[case("matrix x --releases 1.9.0 --python banana", "`banana` is not a version of Python")]
#[case("run x --python=-c", "`-c` is not a version of Python")]
#[case("run x --python banana", "or the path of an interpreter")]
fn the_command_line_takes_the_same_grammar(#[case] arguments: &str, #[case] expected: &str) {
    let context = Context::new().case("x", REST);
    let said = context.run(arguments);
    assert_eq!(said.code, Some(3), "{said}");
    assert!(said.stderr.contains(expected), "`{expected}` is not in:\n{said}");
}

/// uv links files from its cache, where all that it has installed for the user would change with ours.
#[test]
fn the_files_of_an_environment_are_nobody_elses() {
    let cache = Cache::open().unwrap();
    let locks = Locks::new(Path::new("cases"), true);
    let environments = Environments::new(cache, locks, None, Box::new(|_| {}));
    let packages = [("django", "5.2.*"), ("django-q2", "1.9.0")];
    let packages = packages.into_iter().map(|(name, release)| (name.to_owned(), release.to_owned())).collect();
    let environment = environments.get(&packages, None).unwrap_or_else(|error| panic!("{error}"));
    for file in ["django/__init__.py", "django_q/conf.py"] {
        assert_eq!(fs::metadata(environment.site_packages.join(file)).unwrap().nlink(), 1, "{file}");
    }
}
