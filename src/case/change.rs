//! Changes of what an arm runs: the case itself is the first one; a fix or the control comes on top.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::service::Services;
use super::yaml::diagnostic::Diagnostic;
use super::yaml::error::refused;
use super::yaml::text::{self, Verbatim};
use crate::input::commit::Commit;
use crate::input::path::InnerPath;
use crate::input::requirement::{PackageName, Release};

/// A change of what an arm runs. Variables in it are put in when it is laid over the base: see `state`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a fix (a mapping)")]
pub struct Change {
    /// Distribution -> version, e.g. `{django: 5.2.*, django-q2: 1.9.0}`.
    #[serde(deserialize_with = "versions")]
    #[schemars(with = "IndexMap<String, Verbatim>")]
    pub packages: IndexMap<String, String>,
    /// Files of another release's wheel, put in place of this release's.
    pub take: Option<Take>,
    /// The project with the fix: a branch, a tag or a commit of it, or `.`, its work tree.
    #[serde(deserialize_with = "commit")]
    #[schemars(with = "Option<Verbatim>")]
    pub head: Option<Commit>,
    /// A unified diff over files named from a folder of sys.path, or the path of one (`.diff`, `.patch`) relative to the
    /// case file.
    pub patch: Option<String>,
    /// Named spans of source, each in both states.
    pub edits: IndexMap<String, Edit>,
    /// Django settings, merged deeply over what they change.
    pub settings: IndexMap<String, Value>,
    /// Environment variables of the actors.
    #[serde(deserialize_with = "text::verbatim_each")]
    #[schemars(with = "IndexMap<String, Verbatim>")]
    pub env: IndexMap<String, String>,
    /// Values for `$name` in settings, env, services, actors, steps and bounds.
    pub vars: IndexMap<String, Value>,
    /// What the servers are: settings of Postgres, memory and policy of Redis, images; merged field by field.
    #[schemars(with = "Services")]
    pub services: IndexMap<String, IndexMap<String, Value>>,
}

impl Change {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        let services = self.services.iter().filter(|(_, said)| !said.is_empty());
        let said = services.map(|(name, said)| (name.clone(), said.clone())).collect();
        Self { services: said, ..self.clone() } == Self::default()
    }
}

/// Files of another release's wheel: `{django-q2: 1.10.0, files: [django_q/status.py]}`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
#[schemars(with = "Written")]
pub struct Take {
    /// Distribution name, e.g. `django-q2`.
    pub package: String,
    /// Its version, e.g. `1.10.0`.
    pub version: String,
    /// Files inside the wheel, e.g. `django_q/brokers/__init__.py`.
    pub files: Vec<String>,
}

/// Files of another release's wheel: `{django-q2: 1.10.0, files: [django_q/status.py]}`.
#[derive(Deserialize, JsonSchema)]
#[serde(expecting = "a package with its version, and `files`")]
#[schemars(rename = "Take", extend("minProperties" = 2, "maxProperties" = 2))]
struct Written {
    /// Files inside the wheel.
    #[schemars(with = "Vec<String>")]
    #[serde(default)]
    files: Vec<WheelFile>,
    #[serde(rename = "$rest")]
    #[schemars(flatten, with = "IndexMap<String, Verbatim>")]
    packages: IndexMap<Name, Single>,
}

impl TryFrom<Written> for Take {
    type Error = Diagnostic;

    fn try_from(Written { files, packages }: Written) -> Result<Self, Diagnostic> {
        let mut packages = packages.into_iter().map(|(Name(package), Single(version))| (package, version));
        if files.is_empty() {
            let help = "name the files of the wheel: `files: [package/module.py]`";
            return Err(Diagnostic::new("`take` without files").help(help));
        }
        let Some((package, version)) = packages.next() else {
            let help = "name a package and its version: `{django-q2: 1.10.0, files: [...]}`";
            return Err(Diagnostic::new("`take` without a package").help(help));
        };
        if let Some((second, _)) = packages.next() {
            return Err(Diagnostic::new(format!("`take` takes from one package: `{second}` is a second one")));
        }
        Ok(Self { package, version, files: files.into_iter().map(|WheelFile(file)| file).collect() })
    }
}

/// A span of source text in both states. With `take` or `patch` it names a part of what they
/// changed; without them it makes the change itself.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an edit (a mapping)")]
pub struct Edit {
    /// The file, named from a folder of sys.path: `django_q/status.py`; of a project from the folder of manage.py.
    #[serde(rename = "in", deserialize_with = "path")]
    pub file: String,
    /// Its text with the fix; must match once.
    pub applied: String,
    /// Its text without it; must match once where the edit makes the change.
    pub reverted: String,
    /// Why no invariant needs this edit; without it, an edit that nothing pins fails the run.
    pub unpinned: Option<String>,
    /// Why nothing can run without this edit, so that taking it back alone says nothing: others import what it adds.
    pub breaks: Option<String>,
}

/// Reads distributions, by the names that PyPI compares, with their releases.
pub fn versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, String>, D::Error> {
    let packages: IndexMap<Name, Version> = IndexMap::deserialize(deserializer)?;
    Ok(packages.into_iter().map(|(Name(name), Version(version))| (name, version)).collect())
}

/// Reads a commit of the project.
pub fn commit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Commit>, D::Error> {
    let Verbatim(text) = Verbatim::deserialize(deserializer)?;
    Commit::parse(&text).map(Some).map_err(refused)
}

/// Reads a path inside a folder of sys.path, in plain form.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    InnerPath::parse(&text, "a folder of sys.path").map(|path| path.as_str().to_owned()).map_err(refused)
}

/// A distribution, by the name that PyPI compares.
#[derive(PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = Diagnostic;

    fn try_from(name: String) -> Result<Self, Diagnostic> {
        Ok(Self(PackageName::parse(&name)?.as_str().to_owned()))
    }
}

/// Its releases.
#[derive(Deserialize)]
#[serde(try_from = "Verbatim")]
struct Version(String);

impl TryFrom<Verbatim> for Version {
    type Error = Diagnostic;

    fn try_from(Verbatim(version): Verbatim) -> Result<Self, Diagnostic> {
        Ok(Self(Release::parse(&version)?.as_str().to_owned()))
    }
}

/// A release that is a single one.
#[derive(Deserialize)]
#[serde(try_from = "Verbatim")]
struct Single(String);

impl TryFrom<Verbatim> for Single {
    type Error = Diagnostic;

    fn try_from(Verbatim(version): Verbatim) -> Result<Self, Diagnostic> {
        Ok(Self(Release::parse(&version)?.single("`take` needs one")?.as_str().to_owned()))
    }
}

/// A file of a wheel.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct WheelFile(String);

impl TryFrom<String> for WheelFile {
    type Error = Diagnostic;

    fn try_from(file: String) -> Result<Self, Diagnostic> {
        Ok(Self(InnerPath::parse(&file, "the top of the wheel")?.as_str().to_owned()))
    }
}
