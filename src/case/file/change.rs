//! Changes over the base, as they are written.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{ServicesFile, Verbatim};
use crate::case::model::Scalar;
use crate::case::verdict::Verdict;

/// A change over the base, and the verdict it must get.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a fix (a mapping)")]
pub struct FixFile {
    /// Other releases.
    pub packages: IndexMap<String, Verbatim>,
    /// Files of another release's wheel.
    pub take: Option<TakeFile>,
    /// A unified diff, or the path of one (`.diff`, `.patch`) relative to the case file.
    pub patch: Option<String>,
    /// Named spans of the applied state, each with its reverted text.
    pub edits: IndexMap<String, EditFile>,
    /// Django settings, merged deeply over the base.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, Verbatim>,
    /// Other values for the case's vars.
    pub vars: IndexMap<String, Value>,
    /// Other servers, merged field by field over the base.
    pub services: ServicesFile,
    /// The verdict that this fix must get (default PROVEN); a known wrong fix says NOT FIXED.
    pub verdict: Option<Verdict>,
}

/// A change that must make the bug go away; every other key is an invariant with the bound that then holds.
#[derive(Debug, Default, JsonSchema)]
#[serde(default)]
pub struct ControlFile {
    /// Other releases.
    pub packages: IndexMap<String, Verbatim>,
    /// Files of another release's wheel.
    pub take: Option<TakeFile>,
    /// A unified diff, or the path of one (`.diff`, `.patch`) relative to the case file.
    pub patch: Option<String>,
    /// Named spans of source text.
    pub edits: IndexMap<String, EditFile>,
    /// Django settings, merged deeply over the base.
    pub settings: IndexMap<String, Value>,
    /// Environment variables.
    pub env: IndexMap<String, Verbatim>,
    /// Other values for the case's vars.
    pub vars: IndexMap<String, Value>,
    /// Other servers, merged field by field over the base.
    pub services: ServicesFile,
    /// Invariant -> bound.
    #[serde(flatten)]
    pub bounds: IndexMap<String, Scalar>,
}

/// Files of another release: `{django-q2: 1.10.0, files: [django_q/status.py]}`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(extend("minProperties" = 2, "maxProperties" = 2))]
pub struct TakeFile {
    /// Files inside the wheel.
    pub files: Vec<String>,
    /// The distribution and its version.
    #[serde(flatten)]
    pub release: IndexMap<String, Verbatim>,
}

/// A span of source text in both states.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an edit (a mapping)")]
pub struct EditFile {
    /// The file, named from a folder of sys.path: `django_q/status.py`.
    #[serde(rename = "in")]
    pub file: String,
    /// Its text with the fix.
    pub applied: String,
    /// Its text without it.
    pub reverted: String,
    /// Why no invariant needs this edit; without it, an edit that nothing pins fails the run.
    pub unpinned: Option<String>,
}

// By hand, because serde's `flatten` buffers what it reads and so forgets where it was.
impl<'de> Deserialize<'de> for TakeFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Release;
        impl<'de> Visitor<'de> for Release {
            type Value = TakeFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a package with its version, and `files`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TakeFile, A::Error> {
                let mut take = TakeFile::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "files" {
                        take.files = map.next_value()?;
                    } else {
                        take.release.insert(key, map.next_value()?);
                    }
                }
                Ok(take)
            }
        }
        deserializer.deserialize_map(Release)
    }
}

impl<'de> Deserialize<'de> for ControlFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Change;
        impl<'de> Visitor<'de> for Change {
            type Value = ControlFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a control (a mapping)")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ControlFile, A::Error> {
                let mut control = ControlFile::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "packages" => control.packages = map.next_value()?,
                        "take" => control.take = map.next_value()?,
                        "patch" => control.patch = map.next_value()?,
                        "edits" => control.edits = map.next_value()?,
                        "settings" => control.settings = map.next_value()?,
                        "env" => control.env = map.next_value()?,
                        "vars" => control.vars = map.next_value()?,
                        "services" => control.services = map.next_value()?,
                        _ => {
                            control.bounds.insert(key, map.next_value()?);
                        }
                    }
                }
                Ok(control)
            }
        }
        deserializer.deserialize_map(Change)
    }
}
