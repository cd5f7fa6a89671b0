//! Case files: reading them, and saying all that is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::actor::Actor;
use super::case::{Case, States, bounded};
use super::change::Change;
use super::check::{self, Laid, check};
use super::fault::Fault;
use super::state::{Layers, State};
use super::step::action::Action;
use super::step::old;
use super::yaml::decode::decode;
use super::yaml::diagnostic::{Diagnostic, Span, Unknown, nearest};
use super::yaml::node::{self, Node};
use super::yaml::shape;
use super::yaml::vars::Filler;
use crate::error::{Error, Result};
use crate::input::{inside, limit};

/// Where cases are.
#[derive(Debug, Clone, Copy)]
pub struct Root<'r> {
    /// The folder that they are named from.
    pub cases: &'r Path,
    /// The folder of those that are about the user's project.
    pub project: Option<&'r Path>,
}

impl<'r, P: AsRef<Path> + ?Sized> From<&'r P> for Root<'r> {
    fn from(cases: &'r P) -> Self {
        Self { cases: cases.as_ref(), project: None }
    }
}

impl Root<'_> {
    /// Whether a case is about the user's project.
    fn is_of_project(&self, path: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.project.is_some_and(|folder| real(path).starts_with(real(folder)))
    }
}

/// Reads and checks one case file.
pub fn load_file<'r>(path: &Path, root: impl Into<Root<'r>>) -> Result<Case> {
    let unreadable = |wrong: Diagnostic, source: &str| {
        let rendered = wrong.render(path, source);
        Error::usage(rendered.strip_prefix("error: ").unwrap_or(&rendered).to_owned())
    };
    let bytes = inside::read(path, limit::FILE)
        .map_err(|error| unreadable(Diagnostic::new(format!("cannot read the case file: {error}")), ""))?;
    let source = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let span = Span { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, len: 1 };
        unreadable(Diagnostic::new("the case file is not UTF-8").at(span), &text)
    })?;
    load_str(&source, path, root)
}

/// Reads and checks the text of a case file. The path names the case, and patches are relative to it.
pub fn load_str<'r>(source: &str, path: &Path, root: impl Into<Root<'r>>) -> Result<Case> {
    let root = root.into();
    let name = case_name(path, root.cases);
    let named = limit::case_name(&name).map_err(|wrong| vec![wrong.into()]);
    named.and_then(|()| read(source, path, &name, root.is_of_project(path))).map_err(|errors| {
        let rendered: Vec<String> = errors.iter().map(|error| error.render(path, source)).collect();
        // The first `error: ` is put there by whoever prints the error.
        let all = rendered.join("\n\n");
        Error::usage(all.strip_prefix("error: ").unwrap_or(&all))
    })
}

/// Reads several case files; of the bad ones, all errors.
pub fn load_files<'r>(paths: &[PathBuf], root: impl Into<Root<'r>>) -> Result<Vec<Case>> {
    let root = root.into();
    let (mut cases, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match load_file(path, root) {
            Ok(case) => cases.push(case),
            Err(error) => errors.push(error.message),
        }
    }
    if errors.is_empty() { Ok(cases) } else { Err(Error::usage(errors.join("\n\nerror: "))) }
}

fn read(source: &str, path: &Path, name: &str, is_of_project: bool) -> Result<Case, Vec<Diagnostic>> {
    let tree = node::parse(source).map_err(|error| vec![error])?;
    let sizes = check::sizes(&tree);
    if !sizes.is_empty() {
        return Err(sorted(sizes));
    }
    let (mut case, mut errors) = Case::read(&tree, name, path).map_err(sorted)?;
    case.is_of_project = is_of_project;
    let old = tree.get("steps").map(old::find).unwrap_or_default();
    if !old.is_empty() {
        // As they are written, they cannot be read.
        errors.extend(old);
        return Err(sorted(errors));
    }
    let mut reading = Reading { tree: &tree, case: &case, errors: Vec::new(), laid: Vec::new() };
    let base = reading.states(None, &[]);
    // The fix that is a commit of the project may have no name of its own.
    let nothing = Node::map(Vec::new());
    let fixes: Vec<(String, States)> = case
        .fixes
        .iter()
        .map(|(name, fix)| (name, fix, tree.get("fixes").and_then(|fixes| fixes.get(name)).unwrap_or(&nothing)))
        .map(|(name, fix, node)| (name.clone(), reading.states(Some((node, &fix.change)), &["fixes", name])))
        .collect();
    let control = case.control.as_ref().zip(tree.get("control")).map(|(control, node)| {
        let states = reading.states(Some((node, &control.change)), &["control"]);
        (states, reading.bounds(node))
    });
    let Reading { errors: wrong, laid, .. } = reading;
    errors.extend(wrong);
    case.states = base;
    for (name, states) in fixes {
        case.fixes.entry(name).and_modify(|fix| fix.states = states);
    }
    if let (Some(control), Some((states, bounds))) = (&mut case.control, control) {
        (control.states, control.bounds) = (states, bounds);
    }
    if errors.is_empty() {
        errors = check(&case, &tree, &laid);
        case.notes = check::notes(&case, &tree);
    }
    if errors.is_empty() { Ok(case) } else { Err(sorted(errors)) }
}

/// The states of a case while it is read.
struct Reading<'r> {
    tree: &'r Node,
    case: &'r Case,
    errors: Vec<Diagnostic>,
    laid: Vec<Laid>,
}

impl Reading<'_> {
    /// The state of a change, or of the base, and those of the growth.
    fn states(&mut self, change: Option<(&Node, &Change)>, whose: &[&str]) -> States {
        let layers = Layers { case: self.tree, change: change.map(|(node, _)| node), grown: None };
        let change = change.map(|(_, change)| change);
        let state = self.state(layers, change, Some(whose));
        let growth = self.case.growth.as_ref().zip(self.tree.get("growth"));
        let values = growth.iter().flat_map(|(growth, node)| {
            let values = node.get(&growth.var).map(Node::items).unwrap_or_default();
            values.iter().map(|value| (growth.var.as_str(), value))
        });
        let values: Vec<(&str, &Node)> = values.collect();
        let grown = values.into_iter().map(|grown| self.state(Layers { grown: Some(grown), ..layers }, change, None));
        let grown = grown.collect();
        States { state, grown }
    }

    fn state(&mut self, layers: Layers<'_>, change: Option<&Change>, whose: Option<&[&str]>) -> Arc<State> {
        let mut filler = layers.filler();
        let tree = layers.tree(&mut filler);
        let vars = filler.vars.iter().map(|(name, node)| (name.clone(), node.value())).collect();
        let state = State::read(&tree, &self.case.base, change);
        let (state, mut errors) = match state {
            Ok(state) => (State { vars, app: self.case.app.clone(), ..state }, std::mem::take(&mut filler.errors)),
            Err(errors) => {
                let mut all = std::mem::take(&mut filler.errors);
                // What is wrong with a variable is wrong with what stands in its place too.
                let places: Vec<_> = all.iter().map(|error| error.span).collect();
                all.extend(errors.into_iter().filter(|error| !places.contains(&error.span)));
                (State::default(), all)
            }
        };
        let state = Arc::new(state);
        self.tell(&mut errors, &filler);
        if let Some(whose) = whose {
            let whose = whose.iter().map(|key| (*key).to_owned()).collect();
            self.laid.push(Laid { whose, tree, uses: filler.uses, state: Arc::clone(&state) });
        }
        state
    }

    /// The bounds that hold under the control.
    fn bounds(&mut self, control: &Node) -> indexmap::IndexMap<String, super::bound::Bound> {
        let mut filler = Layers { case: self.tree, change: Some(control), grown: None }.filler();
        let mut bounds = indexmap::IndexMap::new();
        for name in bounded(control) {
            let Some((key, node)) = control.entry(name) else { continue };
            let filled = filler.fill(node);
            match decode(&filled, Some(key)) {
                Ok(bound) => drop(bounds.insert(name.to_owned(), bound)),
                Err(errors) => self.tell(&mut errors.clone(), &filler),
            }
        }
        let mut errors = std::mem::take(&mut filler.errors);
        self.tell(&mut errors, &filler);
        bounds
    }

    /// States share most of the file: what is wrong in several is said once.
    fn tell(&mut self, errors: &mut Vec<Diagnostic>, filler: &Filler) {
        for error in errors.drain(..).map(owned) {
            if !self.errors.iter().any(|said| said.message == error.message && said.span == error.span) {
                self.errors.push(error.labelled(&filler.uses));
            }
        }
    }
}

/// A key that one verb, fault or actor does not know may belong to another.
fn owned(error: Diagnostic) -> Diagnostic {
    let Some(Unknown { key, noun, variant }) = error.unknown.as_deref() else { return error };
    let shapes = match *noun {
        "$a step/verb" => keys::<Action>(),
        "$a fault/kind" => keys::<Fault>(),
        _ => keys::<Actor>(),
    };
    let mut owners: Vec<String> = shapes
        .iter()
        .filter(|(_, keys)| keys.contains(&key.as_str()))
        .map(|(variant, _)| format!("`{}`", variant.trim_end_matches(": []")))
        .collect();
    owners.dedup();
    if owners.is_empty() {
        let near = nearest(key, shapes.into_iter().flat_map(|(_, keys)| keys));
        let is_helped = error.help.as_ref().is_some_and(|help| help.starts_with("did you mean"));
        return match near.filter(|_| !is_helped) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        };
    }
    let message = match noun.trim_start_matches('$').split_once('/') {
        Some((noun, word)) if variant.is_empty() => format!("{noun} without a {word}"),
        _ => format!("`{key}` does not belong to `{variant}`"),
    };
    let help = format!("`{key}` belongs to {}", owners.join(", "));
    Diagnostic::new(message).at(error.span.unwrap_or_default()).help(help)
}

/// The variants of an enum, and the keys of each.
fn keys<'de, T: serde::Deserialize<'de>>() -> Vec<(&'static str, Vec<&'static str>)> {
    shape::variants::<T>().into_iter().map(|variant| (variant, shape::fields_of::<T>(variant))).collect()
}

/// In the file's order.
fn sorted(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    errors.sort_by_key(|error| error.span.map_or((0, 0), |span| (span.line, span.column)));
    errors
}

/// The name of a case: its path below the root without its ending; outside the root, its file stem.
pub fn case_name(path: &Path, cases_root: &Path) -> String {
    let below = path.strip_prefix(cases_root).ok().map(Path::to_owned).or_else(|| {
        let (path, root) = (path.canonicalize().ok()?, cases_root.canonicalize().ok()?);
        path.strip_prefix(root).ok().map(Path::to_owned)
    });
    match below {
        Some(below) => below
            .with_extension("")
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join("/"),
        None => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    }
}
