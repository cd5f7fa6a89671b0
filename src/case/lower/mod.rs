//! From the language as written to the model: one verb per step, one quantity per invariant.

mod actor;
mod args;
mod change;
mod fault;
mod http;
mod invariant;
mod step;
mod task;

use std::path::Path;

use indexmap::IndexMap;

use super::diagnostic::Diagnostic;
use super::file::CaseFile;
use super::model::{App, Case, Delta, Fix, Growth, Needs, Scalar};
use super::node::Place;
use super::path::InnerPath;
use super::{inside, limit, requirement};
use crate::judge::Verdict;
use change::{services, texts};
pub use invariant::measurements;

/// Collects what is wrong while lowering.
struct Lower<'p> {
    path: &'p Path,
    errors: Vec<Diagnostic>,
    has_fixes: bool,
}

/// Lowers a case; on errors all of them.
pub fn lower(file: CaseFile, top: Place<'_>, name: String, path: &Path) -> Result<Case, Vec<Diagnostic>> {
    let mut lower = Lower { path, errors: Vec::new(), has_fixes: !file.fixes.is_empty() };
    if let (Some(_), true) = (file.verdict, lower.has_fixes) {
        lower.error(
            Diagnostic::new("`verdict` is for a case without fixes")
                .at(top.get("verdict").key_span())
                .help("say it at the fix that must get it"),
        );
    }
    let verdict = file.verdict.unwrap_or(if lower.has_fixes { Verdict::Proven } else { Verdict::Reproduced });
    let base = Delta {
        packages: lower.packages(file.packages, top.get("packages")),
        take: file.take.and_then(|take| lower.take(take, top.get("take"))),
        patch: file.patch.and_then(|patch| lower.patch(patch, top.get("patch"))),
        edits: lower.edits(file.edits, top.get("edits")),
        settings: file.settings,
        env: texts(file.env),
        vars: file.vars,
        services: services(file.services),
    };
    if let Some(Err(wrong)) = file.python.as_ref().map(|python| requirement::python(&python.0)) {
        lower.error(wrong.at(top.get("python").span()));
    }
    let app = file.app.and_then(|app| lower.app(&app, top.get("app")));
    let (mut actors, mut actor_changes) = (IndexMap::new(), IndexMap::new());
    for (name, actor) in file.actors {
        let place = top.get("actors").get(&name);
        let Some((spec, change)) = lower.actor(actor, place) else { continue };
        if !change.is_empty() {
            actor_changes.insert(name.clone(), change);
        }
        actors.insert(name, spec);
    }
    let repeat = file.repeat.map_or(1, |repeat| lower.repeat(&repeat, top.get("repeat")));
    let growth = file.growth.and_then(|growth| lower.growth(growth, top.get("growth")));
    let mut fixes = IndexMap::new();
    for (name, fix) in file.fixes {
        let place = top.get("fixes").get(&name);
        let verdict = fix.verdict.unwrap_or(Verdict::Proven);
        fixes.insert(name, Fix { delta: lower.delta(fix, place), verdict });
    }
    let control = file.control.map(|control| lower.control(control, top.get("control")));
    let steps = lower.steps(file.steps, top.get("steps"));
    let invariants = file
        .invariants
        .into_iter()
        .map(|(name, invariant)| {
            let invariant = lower.invariant(&name, invariant, top.get("invariants").get(&name));
            (name, invariant)
        })
        .collect();
    if !lower.errors.is_empty() {
        return Err(lower.errors);
    }
    Ok(Case {
        name,
        path: path.to_owned(),
        title: file.title,
        issues: file.issues,
        needs: Needs { python: file.python.map(|python| python.0), postgres: file.needs.postgres },
        app,
        base,
        actors,
        actor_changes,
        repeat,
        growth,
        fixes,
        control,
        verdict,
        steps,
        invariants,
    })
}

impl<'p> Lower<'p> {
    /// The folder of the case file, to which its paths are relative.
    fn folder(&self) -> &'p Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

impl Lower<'_> {
    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// The package of the case's own app.
    fn app(&mut self, app: &str, place: Place<'_>) -> Option<App> {
        let path =
            InnerPath::parse(app, "the folder of the case file").map_err(|wrong| self.error(wrong.at(place.span())));
        let path = path.ok()?;
        let folder = self.folder().join(&path);
        let package = path.name().to_owned();
        let is_name = package.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && package.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let wrong = if !is_name {
            Some((format!("`{app}` is not the folder of a package"), "a package is named like a Python identifier"))
        } else if !folder.join("__init__.py").is_file() {
            let message = format!("there is no package at {}: it has no __init__.py", folder.display());
            Some((message, "the path is relative to the case file: `app: ./poll`"))
        } else if let Err(error) = inside::package(self.folder(), &path) {
            Some((
                format!("the package at {} cannot be copied: {error}", folder.display()),
                "it is copied for each state",
            ))
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            self.error(Diagnostic::new(message).at(place.span()).help(help));
            return None;
        }
        Some(App { package, root: folder.parent().unwrap_or(Path::new(".")).to_owned() })
    }

    fn repeat(&mut self, repeat: &Scalar, place: Place<'_>) -> u32 {
        let times = repeat.0.as_u64().unwrap_or_default();
        if times == 0 {
            let message = format!("`repeat` is a count of at least 1, found {}", repeat.0);
            self.error(Diagnostic::new(message).at(place.span()));
        } else if let Err(wrong) = limit::REPEAT.check(times) {
            self.error(wrong.at(place.span()));
        }
        times as u32
    }

    fn growth(&mut self, growth: IndexMap<String, Vec<Scalar>>, place: Place<'_>) -> Option<Growth> {
        let mut vars = growth.into_iter();
        let (var, values) = match (vars.next(), vars.next()) {
            (Some(growth), None) => growth,
            (Some(_), Some((second, _))) => {
                let message = format!("a case grows over one var: `{second}` is a second one");
                self.error(Diagnostic::new(message).at(place.get(&second).key_span()));
                return None;
            }
            (None, _) => {
                let help = "name a var and its values: `growth: {restarts: [1, 2, 4, 8, 16]}`";
                self.error(Diagnostic::new("`growth` without a var").at(place.key_span()).help(help));
                return None;
            }
        };
        let place = place.get(&var);
        let mut last = f64::NEG_INFINITY;
        for (index, Scalar(value)) in values.iter().enumerate() {
            let number = value.as_f64().filter(|number| number.is_finite());
            match number {
                Some(number) if number > last => last = number,
                Some(_) => {
                    let message = format!("the values of `{var}` must ascend, {value} comes too late");
                    self.error(Diagnostic::new(message).at(place.item(index).span()));
                }
                None => {
                    let message = format!("expected a number, found {value}");
                    self.error(Diagnostic::new(message).at(place.item(index).span()));
                }
            }
        }
        if let Err(wrong) = limit::GROWTH.check(values.len() as u64) {
            self.error(wrong.at(place.key_span()));
        }
        if values.len() < 3 {
            let message = format!("growth over {} values says nothing: give at least three", values.len());
            self.error(Diagnostic::new(message).at(place.key_span()));
        }
        Some(Growth { var, values: values.into_iter().map(|Scalar(value)| value).collect() })
    }
}
