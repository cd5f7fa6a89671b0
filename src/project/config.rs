//! How a project is configured, and who said so: the command line, else the environment, else the nearest file upwards that
//! has our section, else what is found or usual.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::Project;
use super::detect::{self, SETTINGS_VARIABLE};
use super::section::{Section, place};
use super::shown::shown;
use crate::error::{Context as _, Result};

/// The folder of one's cases where there is no project.
const CASES: &str = "cases";

/// The folder of a project's cases, where its section names no other: it may well have an app called `cases`.
const CASES_OF_A_PROJECT: &str = "regress";

/// Who has said a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line.
    Option(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// This line of a file.
    Line(PathBuf, usize),
    /// Nobody: it is what is usual.
    Usual,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(option) => write!(f, "{option}"),
            Self::Variable(variable) => write!(f, "${variable}"),
            Self::Line(file, line) => write!(f, "{}:{line}", shown(file).display()),
            Self::Usual => write!(f, "usual"),
        }
    }
}

/// A value, and who has said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    /// What was said.
    pub value: T,
    /// By whom.
    pub origin: Origin,
}

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--cases-dir`
    pub cases: Option<PathBuf>,
    /// `--settings`
    pub settings: Option<String>,
    /// `--python`
    pub python: Option<String>,
}

/// What is known here. Paths are absolute.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The file with our section.
    pub file: Option<PathBuf>,
    /// The folder of the cases.
    pub cases: Said<PathBuf>,
    /// The folder of `manage.py`.
    pub root: Option<Said<PathBuf>>,
    /// The settings module.
    pub settings: Option<Said<String>>,
    /// The Python for cases that pin none.
    pub python: Option<Said<String>>,
    /// Where packages come from.
    pub requirements: Said<Vec<String>>,
    /// Distributions that are left out.
    pub exclude: Said<Vec<String>>,
    /// Environment variables.
    pub env: BTreeMap<String, Said<String>>,
    /// What fills a template.
    pub seed: Said<Vec<String>>,
}

impl Configuration {
    /// What holds in this folder, which is absolute.
    ///
    /// # Errors
    ///
    /// Usage if a section is wrong; cannot run if a file cannot be read.
    pub fn find(folder: &Path, options: Options, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut found = None;
        for folder in folder.ancestors() {
            found = Section::of(folder)?;
            if found.is_some() {
                break;
            }
        }
        let is_project = found.is_some();
        let (section, file, text) =
            found.map_or_else(Default::default, |(section, file, text)| (section, Some(file), text));
        let base = file.as_deref().and_then(Path::parent).unwrap_or(folder).to_owned();
        let line =
            |bytes: std::ops::Range<usize>| Origin::Line(file.clone().unwrap_or_default(), place(&text, &bytes).line);
        let from_file = |value: Option<Spanned<String>>| value.map(|value| said(value, &line));
        let first = |option: Option<String>, name, variable_name, written: Option<Said<String>>| {
            let option = option.map(|value| Said { value, origin: Origin::Option(name) });
            let variable = variable(variable_name).filter(|value| !value.is_empty());
            let variable = variable.map(|value| Said { value, origin: Origin::Variable(variable_name) });
            option.or(variable).or(written)
        };

        let usual = if is_project { CASES_OF_A_PROJECT } else { CASES };
        let option =
            options.cases.map(|value| Said { value: folder.join(value), origin: Origin::Option("--cases-dir") });
        let cases = option.unwrap_or_else(|| match first(None, "", "DJ_REGRESS_CASES", None) {
            Some(Said { value, origin }) => Said { value: folder.join(value), origin },
            None => match from_file(section.cases) {
                Some(Said { value, origin }) => Said { value: base.join(value), origin },
                None => Said { value: base.join(usual), origin: Origin::Usual },
            },
        });
        let root = match from_file(section.root) {
            Some(Said { value, origin }) => Some(Said { value: plain(&base.join(value)), origin }),
            None if is_project => match <[PathBuf; 1]>::try_from(detect::roots(&base)) {
                Ok([value]) => Some(Said { value, origin: Origin::Usual }),
                Err(_) => None,
            },
            None => None,
        };
        let named = root.as_ref().and_then(|root| detect::settings(&root.value));
        let settings = first(options.settings, "--settings", SETTINGS_VARIABLE, from_file(section.settings));
        let settings =
            settings.or_else(|| named.map(|(value, file, line)| Said { value, origin: Origin::Line(file, line) }));
        let words = |value: Option<Spanned<Vec<String>>>| {
            value.map_or(Said { value: Vec::new(), origin: Origin::Usual }, |value| said(value, &line))
        };
        Ok(Self {
            cases,
            root,
            settings,
            python: first(options.python, "--python", "DJ_REGRESS_PYTHON", from_file(section.python)),
            requirements: words(section.requirements),
            exclude: words(section.exclude),
            env: section.env.into_iter().map(|(name, value)| (name, said(value, &line))).collect(),
            seed: words(section.seed),
            file,
        })
    }

    /// As [`find`](Self::find), in the current folder and the environment of this process.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn here(options: Options) -> Result<Self> {
        let folder = env::current_dir().cannot_run(|| "find the current folder".to_owned())?;
        Self::find(&folder, options, &|name| env::var(name).ok())
    }

    /// The project, if a file has our section and it is known where its settings are.
    pub fn project(&self) -> Option<Project> {
        let (Some(_), Some(root), Some(settings)) = (&self.file, &self.root, &self.settings) else { return None };
        Some(Project {
            root: root.value.clone(),
            settings: settings.value.clone(),
            requirements: self.requirements.value.clone(),
            env: self.env.iter().map(|(name, said)| (name.clone(), said.value.clone())).collect(),
            seed: self.seed.value.clone(),
            cases: self.cases.value.clone(),
            python: self.python.as_ref().map(|said| said.value.clone()),
            exclude: self.exclude.value.clone(),
        })
    }
}

fn said<T>(value: Spanned<T>, line: &dyn Fn(std::ops::Range<usize>) -> Origin) -> Said<T> {
    let origin = line(value.span());
    Said { value: value.into_inner(), origin }
}

/// Without `.` and what else does not matter.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a temp folder"))
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::create_dir_all(self.at(name).parent().expect("a folder")).expect("a folder");
            fs::write(self.at(name), text).expect("a file");
        }

        fn find(&self, below: &str, options: Options, variables: &[(&str, &str)]) -> Configuration {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
            Configuration::find(&self.at(below), options, &variable).expect("it is read")
        }
    }

    const MANAGE: &str = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n";

    #[test]
    fn the_nearest_file_upwards_with_our_section_counts() {
        let folder = Folder::new();
        folder.write(
            "pyproject.toml",
            "[tool.dj-regress]\nroot = \"site\"\ncases = \"site/regress\"\nseed = \"demo.json\"\n",
        );
        folder.write("site/pyproject.toml", "[tool.ruff]\n");
        folder.write("site/manage.py", MANAGE);
        folder.write("site/regress/x.yaml", "");
        let found = folder.find("site/regress", Options::default(), &[]);
        let project = found.project().expect("it is one");
        assert_eq!((project.root, project.cases), (folder.at("site"), folder.at("site/regress")));
        assert_eq!((project.settings.as_str(), project.seed), ("mysite.settings", vec!["demo.json".to_owned()]));
        assert_eq!(found.settings.expect("said").origin, Origin::Line(folder.at("site/manage.py"), 2));
        assert_eq!(found.seed.origin, Origin::Line(folder.at("pyproject.toml"), 4));
        folder.write("site/dj-regress.toml", "settings = \"other\"\n");
        let found = folder.find("site/regress", Options::default(), &[]);
        assert_eq!(found.settings.expect("said").value, "other");
        assert_eq!(found.cases, Said { value: folder.at("site/regress"), origin: Origin::Usual });
        assert_eq!(found.root.expect("found").value, folder.at("site"));
    }

    #[test]
    fn the_command_line_comes_before_the_environment_and_that_before_the_file() {
        let folder = Folder::new();
        folder.write("dj-regress.toml", "settings = 'file'\npython = '3.10'\ncases = 'a'\n");
        let variables = [(SETTINGS_VARIABLE, "variable"), ("DJ_REGRESS_PYTHON", "3.11"), ("DJ_REGRESS_CASES", "b")];
        let options = Options { settings: Some("option".into()), python: Some("3.12".into()), cases: Some("c".into()) };
        let told = |options: Options, variables: &[(&str, &str)]| {
            let found = folder.find("", options, variables);
            let (settings, python) = (found.settings.expect("said"), found.python.expect("said"));
            (settings.value, python.value, found.cases.value)
        };
        let expected = |settings: &str, python: &str, cases: &str| (settings.into(), python.into(), folder.at(cases));
        assert_eq!(told(options, &variables), expected("option", "3.12", "c"));
        assert_eq!(told(Options::default(), &variables), expected("variable", "3.11", "b"));
        assert_eq!(told(Options::default(), &[]), expected("file", "3.10", "a"));
    }

    #[test]
    fn without_our_section_there_is_no_project() {
        let folder = Folder::new();
        folder.write("manage.py", MANAGE);
        folder.write("pyproject.toml", "this is no TOML, and not about us");
        let found = folder.find("", Options::default(), &[(SETTINGS_VARIABLE, "mysite.settings")]);
        assert!(found.project().is_none());
        assert_eq!(found.cases, Said { value: folder.at("cases"), origin: Origin::Usual });
    }
}
