//! A case: one file, with all of its states.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::actor::Actor;
use super::bound::Bound;
use super::change::{self, Change};
use super::invariant::Invariant;
use super::moment::Moment;
use super::state::{App, State};
use super::step::action::Step;
use super::verdict::Verdict;
use super::yaml::decode::decode_partly;
use super::yaml::diagnostic::Diagnostic;
use super::yaml::error::refused;
use super::yaml::node::Node;
use super::yaml::place::Place;
use super::yaml::shape;
use super::yaml::text::Verbatim;
use crate::error::Error;
use crate::input::commit::Commit;
use crate::input::path::InnerPath;
use crate::input::{inside, limit, patch, requirement};

/// One case of dj-regress.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a case (a mapping)")]
#[schemars(title = "dj-regress case")]
pub struct Case {
    /// Path below the cases folder without its ending, e.g. `django_q/stat_master_list`.
    #[serde(skip)]
    pub name: String,
    /// The file it was read from.
    #[serde(skip)]
    pub path: PathBuf,
    /// What goes wrong, in one line.
    #[serde(default)]
    pub title: String,
    /// Upstream threads, e.g. `django-q2#321`.
    #[serde(default)]
    pub issues: Vec<String>,
    /// The Python to run with, e.g. "3.11"; absent: the one the run was given.
    #[serde(default, deserialize_with = "python")]
    #[schemars(with = "Option<Verbatim>")]
    pub python: Option<String>,
    /// What the machine must have; a need that is not met makes the case SKIPPED.
    #[serde(default)]
    pub needs: Needs,
    /// The case's own Django app: a package beside the case file (`./poll`), added to INSTALLED_APPS; its `urls` are the
    /// ROOT_URLCONF. Fixes may edit it.
    #[schemars(with = "Option<String>")]
    pub app: Option<App>,
    /// Whether it is about the user's project, and not about the shop.
    #[serde(skip)]
    pub is_of_project: bool,
    /// Of a case about a project: the project as it is without the fix, a branch, a tag or a commit of it, or `.`, its work
    /// tree. Where no fix is named, `head` is the fix.
    #[serde(default, rename = "base", deserialize_with = "change::commit")]
    #[schemars(with = "Option<Verbatim>")]
    pub base_commit: Option<Commit>,
    /// The base: what the reverted state runs.
    #[serde(rename = "$rest")]
    #[schemars(flatten)]
    pub base: Change,
    /// The reverted state.
    #[serde(skip)]
    pub states: States,
    /// When its arms start, by their clock: `2026-10-24T22:00 Europe/Berlin` (default 2026-01-05T09:00, UTC).
    #[serde(default, rename = "clock")]
    #[schemars(with = "Option<Moment>")]
    _clock: IgnoredAny,
    /// The processes that the harness drives, by name.
    #[serde(default, rename = "actors")]
    #[schemars(with = "IndexMap<String, Actor>")]
    _actors: IgnoredAny,
    /// Named fixes, each a change over the base. Without one the case reproduces an open bug.
    #[serde(default)]
    pub fixes: IndexMap<String, Fix>,
    /// The change that must make the bug go away, and the bounds that then hold.
    pub control: Option<Control>,
    /// How often each state is run (default 1).
    #[serde(default = "once", deserialize_with = "repeat")]
    #[schemars(with = "Option<NonZeroU32>")]
    pub repeat: u32,
    /// A var and the values that it takes one after the other: `{restarts: [1, 2, 4, 8, 16]}`.
    pub growth: Option<Growth>,
    /// For a case without fixes: the verdict it must get (default REPRODUCED).
    #[serde(default = "reproduced")]
    pub verdict: Verdict,
    /// The incident, step by step.
    #[serde(default, rename = "steps")]
    #[schemars(with = "Vec<Step>")]
    _steps: IgnoredAny,
    /// What is judged, by name.
    #[serde(default, rename = "invariants")]
    #[schemars(with = "IndexMap<String, Invariant>")]
    _invariants: IgnoredAny,
    /// What a reader of it should know, though nothing is wrong.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A state with the case's own vars, and with each value of its growth.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct States {
    /// With its own vars.
    pub state: Arc<State>,
    /// With each value of the growth, in their order.
    pub grown: Vec<Arc<State>>,
}

/// What the machine must have for a case to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "needs (a mapping)")]
pub struct Needs {
    /// Least major version of Postgres.
    pub postgres: Option<u32>,
}

/// A var and the values that it takes, one after the other.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(from = "IndexMap<String, Vec<Value>>")]
#[schemars(with = "IndexMap<String, Vec<Number>>")]
pub struct Growth {
    /// The var; declared in the case's `vars`.
    pub var: String,
    /// Numbers, ascending, at least three.
    pub values: Vec<Value>,
}

impl From<IndexMap<String, Vec<Value>>> for Growth {
    fn from(vars: IndexMap<String, Vec<Value>>) -> Self {
        let (var, values) = vars.into_iter().next().unwrap_or_default();
        Self { var, values }
    }
}

/// A change over the base, and the verdict it must get.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a fix (a mapping)")]
pub struct Fix {
    /// What it changes.
    #[serde(rename = "$rest")]
    #[schemars(flatten)]
    pub change: Change,
    /// The verdict that this fix must get (default PROVEN); a known wrong fix says NOT FIXED.
    #[serde(default = "proven")]
    pub verdict: Verdict,
    /// The applied state.
    #[serde(skip)]
    pub states: States,
}

/// A change that must make the bug go away; every other key is an invariant with the bound that then holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(expecting = "a fix (a mapping)")]
pub struct Control {
    /// What it changes.
    #[serde(rename = "$own")]
    #[schemars(flatten)]
    pub change: Change,
    /// Bounds, by the name of the invariant, that must hold then. Read with the control's variables: see `load`.
    #[serde(skip_deserializing)]
    #[schemars(flatten)]
    pub bounds: IndexMap<String, Bound>,
    /// The control state.
    #[serde(skip)]
    pub states: States,
}

fn proven() -> Verdict {
    Verdict::Proven
}

fn reproduced() -> Verdict {
    Verdict::Reproduced
}

fn once() -> u32 {
    1
}

/// The keys that a case cannot do without; what is wrong with `packages` is said elsewhere.
pub const REQUIRED: [&str; 3] = ["title", "steps", "invariants"];

/// The name of the fix that is a commit of the project, where it has none.
const HEAD: &str = "head";

impl Case {
    /// Reads all of a case but its states; and what is wrong with it, as much as can be told.
    ///
    /// # Errors
    ///
    /// It is no mapping.
    pub fn read(tree: &Node, name: &str, path: &Path) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let top = Place::top(tree);
        let (case, mut errors) = decode_partly::<Self>(tree);
        let missing = REQUIRED.into_iter().filter(|key| tree.get(key).is_none());
        errors.extend(missing.map(|key| Diagnostic::new(format!("the key `{key}` is missing")).at(top.span())));
        let Some(mut case) = case else { return Err(errors) };
        (case.name, case.path) = (name.to_owned(), path.to_owned());
        let fixes = case.fixes.iter_mut().map(|(name, fix)| (&mut fix.change, top.get("fixes").get(name)));
        let control = case.control.iter_mut().map(|control| (&mut control.change, top.get("control")));
        for (change, place) in fixes.chain(control).chain([(&mut case.base, top)]) {
            if let Err(wrong) = patched(change, path) {
                errors.push(Diagnostic::from(wrong).at(place.get("patch").span()));
            }
        }
        case.app = case.app.and_then(|App { package: text, .. }| {
            app(&text, path).map_err(|wrong| errors.push(wrong.at(top.get("app").span()))).ok()
        });
        case.growth = case.growth.filter(|growth| is_growth(growth, top.get("growth"), &mut errors));
        case.name_the_fix();
        Ok((case, errors))
    }

    /// What is said of the project with the fix holds for each fix; where there is none, it is the fix.
    fn name_the_fix(&mut self) {
        let head = self.base.head.take();
        if let Some(head) = &head {
            for fix in self.fixes.values_mut() {
                let _ = fix.change.head.get_or_insert_with(|| head.clone());
            }
        }
        if self.fixes.is_empty() && (head.is_some() || self.base_commit.is_some()) {
            let change = Change { head: Some(head.unwrap_or_default()), ..Change::default() };
            self.fixes.insert(HEAD.to_owned(), Fix { change, verdict: Verdict::Proven, states: States::default() });
        }
    }
}

/// The keys of a control that are bounds: all that change nothing.
pub fn bounded(control: &Node) -> Vec<&str> {
    let changes = shape::fields::<Change>();
    control.entries().iter().map(|(key, _)| key.name.as_str()).filter(|name| !changes.contains(name)).collect()
}

/// Puts a change's patch at hand: a diff, or the file that holds it.
fn patched(change: &mut Change, path: &Path) -> Result<(), Error> {
    let Some(patch) = &change.patch else { return Ok(()) };
    let ending = Path::new(patch.trim()).extension().and_then(|ending| ending.to_str());
    if patch.trim().contains('\n') || !matches!(ending, Some("diff" | "patch")) {
        return patch::parts(patch).map(drop);
    }
    let folder = folder(path);
    let file = InnerPath::parse(patch.trim(), "the folder of the case file")?;
    let text = inside::read_text_in(folder, &file, limit::PATCH).map_err(|error| {
        let message = format!("cannot read the patch {}: {error}", folder.join(&file).display());
        Error::usage(message).hint("the path is relative to the folder of the case file, and inside it")
    })?;
    patch::parts(&text)?;
    change.patch = Some(text);
    Ok(())
}

/// The folder of the case file, to which its paths are relative.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The package of the case's own app.
fn app(app: &str, path: &Path) -> Result<App, Diagnostic> {
    let at = folder(path);
    let inner = InnerPath::parse(app, "the folder of the case file")?;
    let folder = at.join(&inner);
    let package = inner.name().to_owned();
    let is_name = package.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && package.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let (message, help) = if !is_name {
        (format!("`{app}` is not the folder of a package"), "a package is named like a Python identifier")
    } else if !folder.join("__init__.py").is_file() {
        let message = format!("there is no package at {}: it has no __init__.py", folder.display());
        (message, "the path is relative to the case file: `app: ./poll`")
    } else if let Err(error) = inside::package(at, &inner) {
        (format!("the package at {} cannot be copied: {error}", folder.display()), "it is copied for each state")
    } else {
        return Ok(App { package, root: folder.parent().unwrap_or(Path::new(".")).to_owned() });
    };
    Err(Diagnostic::new(message).help(help))
}

fn python<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let python: Option<Verbatim> = Option::deserialize(deserializer)?;
    let python = python.map(|Verbatim(python)| requirement::python(&python).map(|()| python));
    python.transpose().map_err(refused)
}

fn repeat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let Some(times) = value.as_u64().filter(|times| *times > 0) else {
        return Err(refused(Diagnostic::new(format!("`repeat` is a count of at least 1, found {value}"))));
    };
    limit::REPEAT.check(times).map(|()| times as u32).map_err(refused)
}

/// Whether a growth is over one var that takes ascending numbers.
fn is_growth(growth: &Growth, place: Place<'_>, errors: &mut Vec<Diagnostic>) -> bool {
    let Growth { var, values } = growth;
    if let Some((second, _)) = place.node.entries().get(1) {
        let message = format!("a case grows over one var: `{}` is a second one", second.name);
        errors.push(Diagnostic::new(message).at(second.span));
        return false;
    } else if place.node.entries().is_empty() {
        let help = "name a var and its values: `growth: {restarts: [1, 2, 4, 8, 16]}`";
        errors.push(Diagnostic::new("`growth` without a var").at(place.key_span()).help(help));
        return false;
    }
    let place = place.get(var);
    let mut last = f64::NEG_INFINITY;
    for (index, value) in values.iter().enumerate() {
        let wrong = match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) if number > last => {
                last = number;
                continue;
            }
            Some(_) => format!("the values of `{var}` must ascend, {value} comes too late"),
            None => format!("expected a number, found {value}"),
        };
        errors.push(Diagnostic::new(wrong).at(place.item(index).span()));
    }
    if let Err(wrong) = limit::GROWTH.check(values.len() as u64) {
        errors.push(Diagnostic::from(wrong).at(place.key_span()));
    }
    if values.len() < 3 {
        let message = format!("growth over {} values says nothing: give at least three", values.len());
        errors.push(Diagnostic::new(message).at(place.key_span()));
    }
    true
}
