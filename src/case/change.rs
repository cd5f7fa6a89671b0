//! Changes of what an arm runs: the case itself is the first one; a fix or the control comes on top.

use std::fmt;
use std::marker::PhantomData;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::service::Services;
use super::yaml::diagnostic::Diagnostic;
use super::yaml::error::refused;
use super::yaml::text::{self, Verbatim};
use crate::input::path::InnerPath;
use crate::input::requirement::{PackageName, Release};

/// A change of what an arm runs. Variables in it are put in when it is laid over the base: see `state`.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a fix (a mapping)")]
pub struct Change {
    /// Distribution -> version, e.g. `{django: 5.2.*, django-q2: 1.9.0}`.
    #[serde(deserialize_with = "versions")]
    #[schemars(with = "IndexMap<String, Verbatim>")]
    pub packages: IndexMap<String, String>,
    /// Files of another release's wheel, put in place of this release's.
    pub take: Option<Take>,
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Take {
    /// Distribution name, e.g. `django-q2`.
    pub package: String,
    /// Its version, e.g. `1.10.0`.
    pub version: String,
    /// Files inside the wheel, e.g. `django_q/brokers/__init__.py`.
    pub files: Vec<String>,
}

/// A span of source text in both states. With `take` or `patch` it names a part of what they
/// changed; without them it makes the change itself.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an edit (a mapping)")]
pub struct Edit {
    /// The file, named from a folder of sys.path: `django_q/status.py`.
    #[serde(rename = "in", deserialize_with = "path")]
    pub file: String,
    /// Its text with the fix; must match once.
    pub applied: String,
    /// Its text without it; must match once where the edit makes the change.
    pub reverted: String,
    /// Why no invariant needs this edit; without it, an edit that nothing pins fails the run.
    pub unpinned: Option<String>,
}

// By hand, because one of its keys is a package.
impl<'de> Deserialize<'de> for Take {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Release;
        impl<'de> Visitor<'de> for Release {
            type Value = Take;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a package with its version, and `files`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Take, A::Error> {
                let mut take = Take::default();
                let mut wrong = None;
                while let Some(key) = map.next_key::<TakeKey>()?.map(|TakeKey(key)| key) {
                    if key == "files" {
                        take.files = map.next_value::<Vec<WheelFile>>()?.into_iter().map(|file| file.0).collect();
                    } else if take.package.is_empty() {
                        (take.package, take.version) = (key, map.next_value::<Single>()?.0);
                    } else {
                        map.next_value::<de::IgnoredAny>()?;
                        let message = format!("`take` takes from one package: `{key}` is a second one");
                        wrong = Some(Diagnostic::new(message));
                    }
                }
                if take.files.is_empty() {
                    let help = "name the files of the wheel: `files: [package/module.py]`";
                    wrong = Some(Diagnostic::new("`take` without files").help(help));
                } else if take.package.is_empty() {
                    let help = "name a package and its version: `{django-q2: 1.10.0, files: [...]}`";
                    wrong = Some(Diagnostic::new("`take` without a package").help(help));
                }
                wrong.map_or(Ok(take), |wrong| Err(refused(wrong)))
            }
        }
        deserializer.deserialize_map(Release)
    }
}

impl JsonSchema for Take {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Take".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let release = generator.subschema_for::<Verbatim>();
        schemars::json_schema!({
            "type": "object",
            "description": "Files of another release's wheel: `{django-q2: 1.10.0, files: [django_q/status.py]}`.",
            "properties": {"files": {"type": "array", "items": {"type": "string"}, "description": "Files inside the wheel."}},
            "additionalProperties": release,
            "required": ["files"],
            "minProperties": 2,
            "maxProperties": 2,
        })
    }
}

/// Reads distributions, by the names that PyPI compares, with their releases.
pub fn versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, String>, D::Error> {
    struct Packages;
    impl<'de> Visitor<'de> for Packages {
        type Value = IndexMap<String, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut packages = IndexMap::new();
            while let Some((New(name), version)) = map.next_entry_seed(Known(&packages), PhantomData::<Version>)? {
                packages.insert(name, version.0);
            }
            Ok(packages)
        }
    }
    deserializer.deserialize_map(Packages)
}

struct Version(String);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Verbatim(version) = Verbatim::deserialize(deserializer)?;
        let release = Release::parse(&version).map_err(refused)?;
        Ok(Self(release.as_str().to_owned()))
    }
}

/// The packages that are there already.
struct Known<'k>(&'k IndexMap<String, String>);

/// The name of one that is not.
struct New(String);

impl<'de> DeserializeSeed<'de> for Known<'_> {
    type Value = New;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<New, D::Error> {
        let name = String::deserialize(deserializer)?;
        let package = PackageName::parse(&name).map_err(refused)?;
        if self.0.contains_key(package.as_str()) {
            return Err(de::Error::custom(format!("`{name}` is the package `{package}`, which is there already")));
        }
        Ok(New(package.as_str().to_owned()))
    }
}

/// Reads a path inside a folder of sys.path, in plain form.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let path = InnerPath::parse(&text, "a folder of sys.path").map_err(refused)?;
    Ok(path.as_str().to_owned())
}

/// A file of a wheel.
struct WheelFile(String);

impl<'de> Deserialize<'de> for WheelFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let path = InnerPath::parse(&text, "the top of the wheel").map_err(refused)?;
        Ok(Self(path.as_str().to_owned()))
    }
}

/// `files`, or a package.
struct TakeKey(String);

impl<'de> Deserialize<'de> for TakeKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let package = PackageName::parse(&name).map_err(refused)?;
        Ok(Self(package.as_str().to_owned()))
    }
}

/// A release that is a single one.
struct Single(String);

impl<'de> Deserialize<'de> for Single {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Verbatim(version) = Verbatim::deserialize(deserializer)?;
        let release = Release::parse(&version).and_then(|release| release.single("`take` needs one"));
        release.map(|release| Self(release.as_str().to_owned())).map_err(refused)
    }
}
