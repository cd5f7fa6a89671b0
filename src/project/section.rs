//! `[tool.dj-regress]`: what stands in it.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::shown::shown;
use crate::case::{Diagnostic, Span};
use crate::error::{Context as _, Error, Result};
use crate::input::inside;
use crate::input::limit::SOURCE;

/// A file of ours alone, whose keys are those of the section.
pub const OWN: &str = "dj-regress.toml";

/// A file of the project's, with our section `[tool.dj-regress]`.
pub const SHARED: &str = "pyproject.toml";

/// `[tool.dj-regress]` of a `pyproject.toml`, or a `dj-regress.toml`: what dj-regress needs to know of a Django project.
/// Paths are relative to the file; files of `requirements` may be below `root`, too.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "dj-regress project")]
pub struct Section {
    /// The folder of the cases, with their `locks/` (default `regress`).
    #[schemars(with = "Option<String>")]
    pub cases: Option<Spanned<String>>,
    /// The folder of `manage.py` (default: the file's own folder, else the only one below it that has a `manage.py`).
    #[schemars(with = "Option<String>")]
    pub root: Option<Spanned<String>>,
    /// The settings module, e.g. `mysite.settings` (default: as `manage.py` says).
    #[schemars(with = "Option<String>")]
    pub settings: Option<Spanned<String>>,
    /// The Python for cases that pin none: a version (`3.12`) or the path of an interpreter.
    #[schemars(with = "Option<String>")]
    pub python: Option<Spanned<String>>,
    /// Where the project's packages come from: files below `root` (`uv.lock`, `requirements/base.txt`), `group:NAME` and
    /// `extra:NAME` of its `pyproject.toml`, and single requirements (`psycopg[binary]>=3.1`). Default: what is found.
    #[serde(deserialize_with = "one_or_more")]
    #[schemars(with = "Option<OneOrMore>")]
    pub requirements: Option<Spanned<Vec<String>>>,
    /// Distributions that are left out of `requirements`.
    #[serde(deserialize_with = "one_or_more")]
    #[schemars(with = "Option<OneOrMore>")]
    pub exclude: Option<Spanned<Vec<String>>>,
    /// Environment variables of the project's processes, which have no others of yours.
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub env: std::collections::BTreeMap<String, Spanned<String>>,
    /// What fills a template database once, after its migrations: management commands with their arguments
    /// (`loaddata demo`), files of fixtures (`demo.json`), functions (`regress/seed.py:fill`).
    #[serde(deserialize_with = "one_or_more")]
    #[schemars(with = "Option<OneOrMore>")]
    pub seed: Option<Spanned<Vec<String>>>,
}

/// A word, or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn one_or_more<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Spanned<Vec<String>>>, D::Error> {
    let read = Spanned::<OneOrMore>::deserialize(deserializer)?;
    let span = read.span();
    let words = match read.into_inner() {
        OneOrMore::One(word) => vec![word],
        OneOrMore::More(words) => words,
    };
    Ok(Some(Spanned::new(span, words)))
}

#[derive(Deserialize)]
struct Shared {
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    #[serde(rename = "dj-regress")]
    ours: Option<Section>,
}

impl Section {
    /// The section in this text of a file, if it has one.
    ///
    /// # Errors
    ///
    /// Usage, with the place, if it is no TOML or no such section.
    pub fn parse(text: &str, file: &Path) -> Result<Option<Self>> {
        let parsed = if file.file_name().is_some_and(|name| name == OWN) {
            toml::from_str(text).map(Some)
        } else {
            toml::from_str(text).map(|shared: Shared| shared.tool.and_then(|tool| tool.ours))
        };
        parsed.map_err(|error| {
            let rendered = diagnostic(&error, text).render(shown(file), text);
            Error::usage(rendered.strip_prefix("error: ").unwrap_or(&rendered))
        })
    }

    /// The section of a folder, and the file that it is in: in a file of its own, else in the project's.
    ///
    /// # Errors
    ///
    /// As [`Section::parse`]; cannot run if a file cannot be read.
    pub fn of(folder: &Path) -> Result<Option<(Self, std::path::PathBuf, String)>> {
        for name in [OWN, SHARED] {
            let file = folder.join(name);
            if !file.is_file() {
                continue;
            }
            let text = inside::read_text(&file, SOURCE).cannot_run(|| format!("read {}", file.display()))?;
            // Whatever else is wrong with a file that does not speak of us is for others to say.
            if name == SHARED && !text.contains("dj-regress") {
                continue;
            }
            if let Some(section) = Self::parse(&text, &file)? {
                return Ok(Some((section, file, text)));
            }
        }
        Ok(None)
    }

    /// The schema of `dj-regress.toml`, for editors; the section of `pyproject.toml` has the same.
    pub fn schema() -> String {
        let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Self>();
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    }
}

/// What the parser says, in our words.
fn diagnostic(error: &toml::de::Error, text: &str) -> Diagnostic {
    let quoted = |text: &str| text.split('`').nth(1).map(str::to_owned);
    let message = error.message();
    let diagnostic = match message.strip_prefix("unknown field").and_then(|rest| Some((quoted(rest)?, rest))) {
        Some((key, rest)) => {
            let known: Vec<&str> = rest.split('`').skip(3).step_by(2).collect();
            Diagnostic::new(format!("unknown key `{key}`")).suggest(&key, known)
        }
        None => Diagnostic::new(message),
    };
    match error.span() {
        Some(bytes) => diagnostic.at(place(text, &bytes)),
        None => diagnostic,
    }
}

/// Where these bytes are, in characters.
pub fn place(text: &str, bytes: &std::ops::Range<usize>) -> Span {
    let before = text.get(..bytes.start).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let len = text.get(bytes.clone()).map_or(0, |named| named.lines().next().unwrap_or_default().chars().count());
    Span { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, len }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> Result<Option<Section>> {
        Section::parse(text, Path::new(SHARED))
    }

    #[test]
    fn words_may_be_one_or_several() {
        let section = parse("[tool.dj-regress]\nseed = 'loaddata demo'\nrequirements = ['uv.lock', 'group:dev']\n");
        let section = section.expect("it is read").expect("it is there");
        assert_eq!(section.seed.expect("a seed").into_inner(), ["loaddata demo"]);
        assert_eq!(section.requirements.expect("some").into_inner(), ["uv.lock", "group:dev"]);
    }

    #[test]
    fn a_project_without_our_section_has_none() {
        assert!(parse("[tool.ruff]\nline-length = 80\n").expect("it is read").is_none());
        assert!(parse("").expect("it is read").is_none());
    }

    #[rstest]
    #[case::a_slip(
        "setings = 'x'",
        "unknown key `setings`\n --> pyproject.toml:2:1\n  |\n2 | setings = 'x'\n  | ^^^^^^^\n  = help: did you mean `settings`?"
    )]
    #[case::nothing_like_it(
        "colour = 'x'",
        "unknown key `colour`\n --> pyproject.toml:2:1\n  |\n2 | colour = 'x'\n  | ^^^^^^\n  = help: there are `cases`, `root`"
    )]
    #[case::another_kind(
        "settings = 5",
        "invalid type: integer `5`, expected a string\n --> pyproject.toml:2:12\n  |\n2 | settings = 5\n  |            ^"
    )]
    #[case::no_list(
        "seed = 5",
        "expected a string or a list of strings\n --> pyproject.toml:2:8\n  |\n2 | seed = 5\n  |        ^"
    )]
    #[case::in_the_environment(
        "env = {DEBUG = false}",
        "invalid type: boolean `false`, expected a string\n --> pyproject.toml:2:16"
    )]
    #[case::no_toml("settings = [", " --> pyproject.toml:")]
    fn what_is_wrong_is_pointed_at(#[case] line: &str, #[case] said: &str) {
        let error = parse(&format!("[tool.dj-regress]\n{line}\n")).expect_err("it is wrong");
        assert!(error.message.contains(said), "{}", error.message);
    }
}
