//! Locks of other tools, as lines that pip and uv understand: `pylock.toml`, `poetry.lock` and `Pipfile.lock`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::error::{Context as _, Error, Result};
use crate::input::inside;
use crate::input::limit::SOURCE;

/// A release that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Pin {
    name: String,
    /// `==1.2`, or ` @ git+https://...`.
    what: String,
    marker: Option<String>,
    /// `sha256:...`.
    hashes: Vec<String>,
}

/// A lock's releases, with their hashes where it has them: those that every installation has, and those of these groups and
/// extras.
///
/// # Errors
///
/// Cannot run if it cannot be read, or is of a version that is not known.
pub fn lines(file: &Path, groups: &[String], extras: &[String]) -> Result<String> {
    let text = inside::read_text(file, SOURCE).cannot_run(|| format!("read {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wrong = |why: String| {
        Error::cannot_run(format!("{} cannot be read: {why}", file.display()))
            .hint("another lock or a requirements file can be named: `requirements = [\"requirements.txt\"]`")
    };
    let lock: Value = if name == "Pipfile.lock" {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
    };
    let pins = match name.as_str() {
        "Pipfile.lock" => of_pipfile(&lock, groups),
        "poetry.lock" => of_poetry(&lock, groups, extras),
        name if name.starts_with("pylock.") => of_pylock(&lock),
        _ => return Err(wrong("it is of no tool that is known here".to_owned())),
    };
    if pins.is_empty() {
        return Err(wrong("it pins nothing".to_owned()));
    }
    Ok(pins.iter().fold(String::new(), |mut text, pin| {
        let marker = pin.marker.as_ref().map(|marker| format!(" ; {marker}")).unwrap_or_default();
        let hashes: String = pin.hashes.iter().map(|hash| format!(" \\\n    --hash={hash}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}{}{marker}{hashes}", pin.name, pin.what);
        text
    }))
}

fn of_pylock(lock: &Value) -> Vec<Pin> {
    let packages = list(&lock["packages"]).iter().filter(|package| package["directory"].is_null());
    let pins = packages.filter_map(|package| {
        let files = list(&package["wheels"]).iter().chain(Some(&package["sdist"])).chain(Some(&package["archive"]));
        let hashes = files.filter_map(|file| Some(format!("sha256:{}", file["hashes"]["sha256"].as_str()?)));
        let vcs = &package["vcs"];
        let what = match (vcs["url"].as_str(), package["version"].as_str()) {
            (Some(url), _) => {
                let commit = vcs["commit-id"].as_str().unwrap_or_default();
                format!(" @ {}+{url}@{commit}", vcs["type"].as_str().unwrap_or("git"))
            }
            (None, version) => format!("=={}", version?),
        };
        let name = package["name"].as_str()?.to_owned();
        Some(Pin { name, what, marker: word(&package["marker"]), hashes: hashes.collect() })
    });
    pins.collect()
}

fn of_poetry(lock: &Value, groups: &[String], extras: &[String]) -> Vec<Pin> {
    let wanted_by_extra: Vec<&str> = extras
        .iter()
        .flat_map(|extra| list(&lock["extras"][extra.as_str()]))
        .filter_map(|requirement| requirement.as_str()?.split([' ', '(', '[', ';', '<', '>', '=']).next())
        .collect();
    let is_wanted = |package: &Value| {
        let name = package["name"].as_str().unwrap_or_default();
        let is_of_group = match (&package["groups"], package["category"].as_str()) {
            // Since 2.0.
            (Value::Array(of), _) => of.iter().filter_map(Value::as_str).any(|of| of == "main" || has(groups, of)),
            // Before 1.5.
            (_, Some(category)) => category == "main" || has(groups, category),
            // In between a lock does not say it: all of them.
            _ => true,
        };
        let is_optional = package["optional"].as_bool() == Some(true);
        is_of_group && (!is_optional || wanted_by_extra.contains(&name))
    };
    let pins = list(&lock["package"]).iter().filter(|package| is_wanted(package)).filter_map(|package| {
        let hashes = list(&package["files"]).iter().filter_map(|file| word(&file["hash"]));
        let source = &package["source"];
        let what = match source["type"].as_str() {
            Some("git") => {
                let commit = source["resolved_reference"].as_str().unwrap_or_default();
                format!(" @ git+{}@{commit}", source["url"].as_str()?)
            }
            Some("directory") => return None,
            Some("url") => format!(" @ {}", source["url"].as_str()?),
            _ => format!("=={}", package["version"].as_str()?),
        };
        // One marker for all groups, or one for each.
        let marker = word(&package["markers"]).or_else(|| word(&package["markers"]["main"]));
        let name = package["name"].as_str()?.to_owned();
        Some(Pin { name, what, marker, hashes: hashes.collect() })
    });
    pins.collect()
}

fn of_pipfile(lock: &Value, groups: &[String]) -> Vec<Pin> {
    let sections = std::iter::once("default").chain(groups.iter().map(String::as_str));
    let packages = sections.flat_map(|section| lock[section].as_object().into_iter().flatten());
    let pins = packages.filter_map(|(name, package)| {
        let what = match package["git"].as_str() {
            Some(url) => format!(" @ git+{url}@{}", package["ref"].as_str().unwrap_or_default()),
            None => package["version"].as_str()?.to_owned(),
        };
        let hashes = list(&package["hashes"]).iter().filter_map(word).collect();
        Some(Pin { name: name.clone(), what, marker: word(&package["markers"]), hashes })
    });
    pins.collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> Option<String> {
    value.as_str().filter(|word| !word.is_empty()).map(str::to_owned)
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|known| known == word)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const POETRY: &str = r#"
[[package]]
name = "django"
version = "5.2.1"
optional = false
groups = ["main"]
markers = "python_version >= \"3.10\""
files = [{file = "django.whl", hash = "sha256:aa"}, {file = "django.tar.gz", hash = "sha256:bb"}]

[[package]]
name = "psycopg2"
version = "2.9.1"
optional = true
groups = ["main"]
files = []

[[package]]
name = "pytest"
version = "8.0"
optional = false
groups = ["dev"]
files = []

[[package]]
name = "fork"
version = "1.0"
optional = false
groups = ["main"]
[package.source]
type = "git"
url = "https://git.invalid/fork.git"
resolved_reference = "abc"

[extras]
pg = ["psycopg2 (>=2.9)"]
"#;

    const PYLOCK: &str = r#"
lock-version = "1.0"
[[packages]]
name = "django"
version = "5.2.1"
marker = "python_version >= '3.10'"
sdist = {url = "https://x.invalid/d.tar.gz", hashes = {sha256 = "bb"}}
wheels = [{url = "https://x.invalid/d.whl", hashes = {sha256 = "aa"}}]
[[packages]]
name = "mine"
directory = {path = "."}
"#;

    const PIPFILE: &str = r#"{"default": {"django": {"version": "==5.2.1", "hashes": ["sha256:aa"], "markers": "python_version >= '3.8'"}},
                              "develop": {"pytest": {"version": "==8.0"}}}"#;

    #[rstest]
    #[case::poetry("poetry.lock", POETRY, &[], &[], &["django==5.2.1 ; python_version >= \"3.10\" \\",
        "    --hash=sha256:aa \\", "    --hash=sha256:bb", "fork @ git+https://git.invalid/fork.git@abc"])]
    #[case::poetry_with_more("poetry.lock", POETRY, &["dev"], &["pg"], &["django==5.2.1 ; python_version >= \"3.10\" \\",
        "    --hash=sha256:aa \\", "    --hash=sha256:bb", "psycopg2==2.9.1", "pytest==8.0",
        "fork @ git+https://git.invalid/fork.git@abc"])]
    #[case::pylock("pylock.toml", PYLOCK, &[], &[], &["django==5.2.1 ; python_version >= '3.10' \\",
        "    --hash=sha256:aa \\", "    --hash=sha256:bb"])]
    #[case::pipfile("Pipfile.lock", PIPFILE, &[], &[], &["django==5.2.1 ; python_version >= '3.8' \\", "    --hash=sha256:aa"])]
    #[case::pipfile_develop("Pipfile.lock", PIPFILE, &["develop"], &[], &["django==5.2.1 ; python_version >= '3.8' \\",
        "    --hash=sha256:aa", "pytest==8.0"])]
    fn a_lock_of_another_tool_is_read(
        #[case] name: &str,
        #[case] text: &str,
        #[case] groups: &[&str],
        #[case] extras: &[&str],
        #[case] expected: &[&str],
    ) {
        let folder = tempfile::tempdir().expect("a temp folder");
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let read = lines(&file, &words(groups), &words(extras)).expect("it is read");
        assert_eq!(read.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_lock_that_cannot_be_read_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a temp folder");
        for (name, text, why) in [
            ("poetry.lock", "= broken", "cannot be read"),
            ("pdm.lock", "", "of no tool"),
            ("pylock.toml", "", "nothing"),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).expect("a file");
            let error = lines(&file, &[], &[]).expect_err("it is none");
            assert!(error.message.contains(why) && error.hint.is_some(), "{}", error.message);
        }
    }
}
