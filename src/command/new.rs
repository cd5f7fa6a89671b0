//! `new`: the skeleton of a case.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Component, Path};

use super::shell;
use crate::case::{load, schema};
use crate::cli::NewArgs;
use crate::error::{Context as _, Error, Result};
use crate::exit::Exit;
use crate::input::requirement::Release;
use crate::plan::Version;
use crate::project::{Configuration, Options, shown};

/// The case, with blanks in braces for what is asked for.
const SKELETON: &str = include_str!("skeleton.yaml");

/// The schema of the language, in the folder of the cases.
const SCHEMA: &str = "case.schema.json";

/// Writes the case's file and says what to do next. A file that is there is left alone.
pub fn new(arguments: &NewArgs) -> Result<Exit> {
    let name = checked(&arguments.name)?;
    let configuration = Configuration::here(Options { cases: arguments.cases_dir.clone(), ..Options::default() })?;
    let cases = shown(&configuration.cases.value);
    let path = cases.join(format!("{name}.yaml"));
    let text = skeleton(name, arguments)?;
    // What is written is a good case, whatever was asked for.
    load::load_str(&text, &path, cases)?;
    let folder = path.parent().unwrap_or(cases);
    fs::create_dir_all(folder).map_err(|error| {
        let other = || Error::cannot_run(format!("create {}: {error}", folder.display()));
        Error::file_in_the_way(folder).unwrap_or_else(other)
    })?;
    let mut file = File::create_new(&path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Error::usage(format!("{} is there already", path.display())).hint("name another case, or remove the file")
        }
        _ => Error::cannot_run(format!("create {}: {error}", path.display())),
    })?;
    file.write_all(text.as_bytes()).cannot_run(|| format!("write {}", path.display()))?;
    let schema = cases.join(SCHEMA);
    let schema = match File::create_new(&schema) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => String::new(),
        made => {
            let written = made.and_then(|mut file| file.write_all(schema::text().as_bytes()));
            written.cannot_run(|| format!("write {}", schema.display()))?;
            format!(" and, for editors, {}", schema.display())
        }
    };
    let option = arguments.cases_dir.as_ref();
    let option = option.map_or_else(String::new, |folder| format!(" --cases-dir {}", shell::quoted(folder)));
    super::print(&format!(
        "wrote {}{schema}\nnext: run it as it stands, with `{} run{option} {name}`; then replace what says EXAMPLE\n",
        path.display(),
        shell::program()
    ))?;
    Ok(Exit::AsDeclared)
}

/// The name, if it is one: a file in the folder of the cases or in a folder below it.
fn checked(name: &str) -> Result<&str> {
    let is_plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    let is_inside = Path::new(name).components().all(|component| matches!(component, Component::Normal(_)));
    if is_inside && name.split('/').all(is_plain) {
        return Ok(name);
    }
    let message = format!("`{name}` is no name of a case");
    Err(Error::usage(message).hint("letters, digits, `_` and `-`, in folders if need be: `django_q/tasks_run_twice`"))
}

fn skeleton(name: &str, arguments: &NewArgs) -> Result<String> {
    let issue = match &arguments.issue {
        None => "",
        Some(issue) if is_issue(issue) => issue,
        Some(issue) => {
            return Err(Error::usage(format!("`{issue}` is no issue, such as `django-q2#300`")));
        }
    };
    let release = &arguments.release;
    let single = Release::parse(release).and_then(|release| release.single("the bug is in one"))?;
    if Version::parse(single.as_str()).is_none() {
        return Err(Error::usage(format!("`{release}` is no final release, such as `1.11.1`")));
    }
    let release = single.as_str();
    let schema = format!("{}{SCHEMA}", "../".repeat(name.matches('/').count()));
    let blanks = [("{schema}", schema.as_str()), ("{name}", name), ("{issue}", issue), ("{release}", release)];
    Ok(blanks.iter().fold(SKELETON.to_owned(), |text, (blank, value)| text.replace(blank, value)))
}

/// `PROJECT#NUMBER`
fn is_issue(text: &str) -> bool {
    let is_project = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    text.split_once('#').is_some_and(|(project, number)| {
        project.starts_with(|c: char| c.is_ascii_alphanumeric())
            && project.chars().all(is_project)
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    })
}
