//! A case: one file, with all of its states.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde_json::Value;

use super::bound::Bound;
use super::change::Change;
use super::state::{App, Reader, State};
use super::yaml::decode::{decode, decode_beside};
use super::yaml::diagnostic::Diagnostic;
use super::yaml::node::{Kind, Node};
use super::yaml::place::Place;
use super::yaml::shape;
use super::yaml::text::Verbatim;
use crate::case::verdict::Verdict;
use crate::error::Error;
use crate::input::path::InnerPath;
use crate::input::{inside, limit, patch, requirement};

/// One case file.
#[derive(Debug, Clone)]
pub struct Case {
    /// Path below the cases folder without its ending, e.g. `django_q/stat_master_list`.
    pub name: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// What goes wrong, in one line.
    pub title: String,
    /// Upstream threads, e.g. `django-q2#321`.
    pub issues: Vec<String>,
    /// The Python to run with, e.g. `3.11`; absent: the one the run was given.
    pub python: Option<String>,
    /// What the machine must have; a need that is not met is SKIPPED, with the reason.
    pub needs: Needs,
    /// The case's own app: a package beside the case file, which its fixes may edit.
    pub app: Option<App>,
    /// The base: packages, settings, environment and vars of the reverted state.
    pub base: Change,
    /// The reverted state.
    pub states: States,
    /// How often each state is run (default 1): invariants that flip make it FLAKY.
    pub repeat: u32,
    /// The var over which the case is run, for invariants that look at `growth`.
    pub growth: Option<Growth>,
    /// Fixes by name, in the file's order. Without one the case reproduces an open bug.
    pub fixes: IndexMap<String, Fix>,
    /// The change that must make the bug go away, and what then holds.
    pub control: Option<Control>,
    /// The verdict that a case without a fix must get (default REPRODUCED).
    pub verdict: Verdict,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "needs (a mapping)")]
pub struct Needs {
    /// Least major version of Postgres.
    pub postgres: Option<u32>,
}

/// A var and the values that it takes, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// The var; declared in the case's `vars`.
    pub var: String,
    /// Numbers, ascending, at least three.
    pub values: Vec<Value>,
}

/// A fix and the verdict that it must get.
#[derive(Debug, Clone)]
pub struct Fix {
    /// What it changes.
    pub change: Change,
    /// Default PROVEN; a known wrong fix says `NOT FIXED`.
    pub verdict: Verdict,
    /// The applied state.
    pub states: States,
}

/// The control of a case.
#[derive(Debug, Clone)]
pub struct Control {
    /// What it changes.
    pub change: Change,
    /// Bounds, by the name of the invariant, that must hold then.
    pub bounds: IndexMap<String, Bound>,
    /// The control state.
    pub states: States,
}

/// The keys of a case, beside those of its base.
pub const KEYS: [&str; 13] = [
    "title",
    "issues",
    "python",
    "needs",
    "app",
    "actors",
    "fixes",
    "control",
    "repeat",
    "growth",
    "verdict",
    "steps",
    "invariants",
];

impl Case {
    /// Reads all of a case but its states; of what is wrong, all that can be told.
    pub fn read(tree: &Node, name: &str, path: &Path) -> (Self, Vec<Diagnostic>) {
        let mut reader = Reader { node: tree, errors: Vec::new() };
        if !matches!(tree.kind, Kind::Map(_)) {
            let known = Diagnostic::new(format!("expected a case (a mapping), found {}", tree.inline()));
            reader.errors.push(known.at(Place::top(tree).span()));
        }
        for required in ["title", "steps", "invariants"] {
            if tree.get(required).is_none() {
                let missing = Diagnostic::new(format!("the key `{required}` is missing"));
                reader.errors.push(missing.at(Place::top(tree).span()));
            }
        }
        let mut fixes = IndexMap::new();
        let _: IndexMap<String, serde::de::IgnoredAny> = reader.key("fixes");
        for (key, node) in tree.get("fixes").into_iter().flat_map(Node::entries) {
            let verdict = node.entry("verdict").map(|(key, node)| decode::<Verdict>(node, Some(key)));
            let verdict = verdict.and_then(|verdict| reader.take(verdict)).unwrap_or(Verdict::Proven);
            if let Some(change) = reader.take(decode_beside(node, Some(key), &["verdict"])) {
                let place = Place::top(tree).get("fixes").get(&key.name);
                let change = patched(change, path, place, &mut reader.errors);
                fixes.insert(key.name.clone(), Fix { change, verdict, states: States::default() });
            }
        }
        let control = tree.entry("control").filter(|(_, node)| !node.is_absent()).and_then(|(key, node)| {
            let change = reader.take(decode_beside(node, Some(key), &bounded(node)))?;
            let change = patched(change, path, Place::top(tree).get("control"), &mut reader.errors);
            Some(Control { change, bounds: IndexMap::new(), states: States::default() })
        });
        let base = reader.take(decode_beside(tree, None, &KEYS)).unwrap_or_default();
        let base = patched(base, path, Place::top(tree), &mut reader.errors);
        let python: Option<Verbatim> = reader.key("python");
        if let Some(Err(wrong)) = python.as_ref().map(|python| requirement::python(&python.0)) {
            reader.errors.push(Diagnostic::from(wrong).at(Place::top(tree).get("python").span()));
        }
        let verdict: Option<Verdict> = reader.key("verdict");
        let folder: Option<String> = reader.key("app");
        let case = Self {
            name: name.to_owned(),
            path: path.to_owned(),
            title: reader.key("title"),
            issues: reader.key("issues"),
            python: python.map(|Verbatim(python)| python),
            needs: reader.key("needs"),
            app: folder.and_then(|folder| app(&folder, path, Place::top(tree).get("app"), &mut reader.errors)),
            base,
            states: States::default(),
            repeat: repeat(tree, &mut reader.errors),
            growth: growth(tree, &mut reader.errors),
            fixes,
            control,
            verdict: verdict.unwrap_or(Verdict::Reproduced),
        };
        (case, reader.errors)
    }
}

/// The keys of a control that are bounds: all that change nothing.
pub fn bounded(control: &Node) -> Vec<&str> {
    let changes = shape::fields::<Change>();
    control.entries().iter().map(|(key, _)| key.name.as_str()).filter(|name| !changes.contains(name)).collect()
}

/// A change with its patch at hand: a diff, or the file that holds it.
fn patched(mut change: Change, path: &Path, place: Place<'_>, errors: &mut Vec<Diagnostic>) -> Change {
    let Some(patch) = &change.patch else { return change };
    let ending = Path::new(patch.trim()).extension().and_then(|ending| ending.to_str());
    if patch.trim().contains('\n') || !matches!(ending, Some("diff" | "patch")) {
        errors.extend(patch::parts(patch).err().map(|wrong| Diagnostic::from(wrong).at(place.get("patch").span())));
        return change;
    }
    let folder = folder(path);
    let read = InnerPath::parse(patch.trim(), "the folder of the case file").and_then(|path| {
        inside::read_text_in(folder, &path, limit::PATCH).map_err(|error| {
            let message = format!("cannot read the patch {}: {error}", folder.join(&path).display());
            Error::usage(message).hint("the path is relative to the folder of the case file, and inside it")
        })
    });
    match read.and_then(|text| patch::parts(&text).map(drop).map(|()| text)) {
        Ok(text) => change.patch = Some(text),
        Err(wrong) => errors.push(Diagnostic::from(wrong).at(place.get("patch").span())),
    }
    change
}

/// The folder of the case file, to which its paths are relative.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The package of the case's own app.
fn app(app: &str, path: &Path, place: Place<'_>, errors: &mut Vec<Diagnostic>) -> Option<App> {
    let at = folder(path);
    let inner = InnerPath::parse(app, "the folder of the case file");
    let inner = inner.map_err(|wrong| errors.push(Diagnostic::from(wrong).at(place.span()))).ok()?;
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
        return Some(App { package, root: folder.parent().unwrap_or(Path::new(".")).to_owned() });
    };
    errors.push(Diagnostic::new(message).at(place.span()).help(help));
    None
}

fn repeat(tree: &Node, errors: &mut Vec<Diagnostic>) -> u32 {
    let Some(node) = tree.get("repeat") else { return 1 };
    let value = node.value();
    let times = value.as_u64().unwrap_or_default();
    if times == 0 {
        let message = format!("`repeat` is a count of at least 1, found {value}");
        errors.push(Diagnostic::new(message).at(node.span));
    }
    errors.extend(limit::REPEAT.check(times).err().map(|wrong| Diagnostic::from(wrong).at(node.span)));
    times as u32
}

fn growth(tree: &Node, errors: &mut Vec<Diagnostic>) -> Option<Growth> {
    let place = Place::top(tree).get("growth");
    let mut error = |diagnostic: Diagnostic| errors.push(diagnostic);
    let node = tree.get("growth")?;
    let [(key, values), others @ ..] = node.entries() else {
        let help = "name a var and its values: `growth: {restarts: [1, 2, 4, 8, 16]}`";
        error(Diagnostic::new("`growth` without a var").at(place.key_span()).help(help));
        return None;
    };
    if let [(second, _), ..] = others {
        let message = format!("a case grows over one var: `{}` is a second one", second.name);
        error(Diagnostic::new(message).at(second.span));
        return None;
    }
    let var = key.name.clone();
    let mut last = f64::NEG_INFINITY;
    for item in values.items() {
        let value = item.value();
        match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) if number > last => last = number,
            Some(_) => {
                let message = format!("the values of `{var}` must ascend, {value} comes too late");
                error(Diagnostic::new(message).at(item.span));
            }
            None => error(Diagnostic::new(format!("expected a number, found {value}")).at(item.span)),
        }
    }
    let values: Vec<Value> = values.items().iter().map(Node::value).collect();
    if let Err(wrong) = limit::GROWTH.check(values.len() as u64) {
        error(Diagnostic::from(wrong).at(place.get(&var).key_span()));
    }
    if values.len() < 3 {
        let message = format!("growth over {} values says nothing: give at least three", values.len());
        error(Diagnostic::new(message).at(place.get(&var).key_span()));
    }
    Some(Growth { var, values })
}
