//! `config`: what is configured here, and where each value comes from.

use std::fmt::Write as _;

use super::shell;
use crate::cli::ConfigArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::project::{Configuration, Options, Origin, Said, shown};
use crate::report::text;

/// What is shown where nothing is said.
const NOTHING: &str = "-";

/// Prints a line per value: its key, itself, and who has said it.
pub fn config(arguments: ConfigArgs) -> Result<Exit> {
    let options = Options { cases: arguments.cases_dir, settings: arguments.settings, python: arguments.python };
    let configuration = Configuration::here(options)?;
    let rows = rows(&configuration);
    let widest =
        |column: fn(&[String; 3]) -> &String| rows.iter().map(|row| text::columns(column(row))).max().unwrap_or(0);
    let (keys, values) = (widest(|row| &row[0]), widest(|row| &row[1]));
    let mut said = String::new();
    for [key, value, origin] in &rows {
        // Writing to a string cannot fail.
        let _ = writeln!(said, "{}   {}   {origin}", text::padded(key, keys), text::padded(value, values));
    }
    super::print(&said)?;
    match (&configuration.file, configuration.project()) {
        (Some(_), Some(_)) => {}
        (None, _) => super::print(&format!("# no project here: `{} init` writes its section\n", shell::program()))?,
        (Some(_), None) => {
            let missing = if configuration.root.is_none() { "root" } else { "settings" };
            super::print(&format!("# no project without `{missing}`: it is not found here\n"))?;
        }
    }
    Ok(Exit::AsDeclared)
}

fn rows(configuration: &Configuration) -> Vec<[String; 3]> {
    fn row<T>(key: &str, said: Option<&Said<T>>, value: impl Fn(&T) -> String) -> [String; 3] {
        let nothing = || (NOTHING.to_owned(), Origin::Usual.to_string());
        let (value, origin) = said.map_or_else(nothing, |said| (value(&said.value), said.origin.to_string()));
        [key.to_owned(), value, origin]
    }
    let word = |word: &String| if word.is_empty() { "''".to_owned() } else { word.clone() };
    let words = |words: &Vec<String>| {
        if words.is_empty() { NOTHING.to_owned() } else { words.join(", ") }
    };
    let path = |path: &std::path::PathBuf| shown(path).display().to_string();
    let mut rows = vec![row("cases", Some(&configuration.cases), path)];
    if configuration.file.is_some() {
        rows.push(row("root", configuration.root.as_ref(), path));
        rows.push(row("settings", configuration.settings.as_ref(), word));
        rows.push(row("requirements", Some(&configuration.requirements), words));
        rows.push(row("exclude", Some(&configuration.exclude), words));
        let env = configuration.env.iter();
        rows.extend(env.map(|(name, said)| row(&format!("env.{name}"), Some(said), word)));
        rows.push(row("seed", Some(&configuration.seed), words));
    }
    rows.push(row("python", configuration.python.as_ref(), word));
    rows
}
