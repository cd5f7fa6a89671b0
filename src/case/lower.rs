//! From the language as written to the model: one verb per step, one quantity per invariant.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::file::{
    ActorArgs, ActorFile, CaseFile, ClusterFile, ControlFile, EditFile, FixFile, InvariantFile, StepFile, TakeFile,
    VERBS, Verbatim,
};
use super::model::{
    Action, ActorSpec, Case, Control, Delta, Edit, Fix, Invariant, Needs, Quantity, Scalar, StateBounds,
    StatementFilter, Step, Take,
};
use super::node::Place;
use crate::judge::Verdict;

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
        settings: file.settings,
        env: texts(file.env),
        vars: file.vars,
        ..Delta::default()
    };
    let actors = file.actors.into_iter().map(|(name, actor)| (name, actor_spec(actor))).collect();
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
        base,
        actors,
        fixes,
        control,
        verdict,
        steps,
        invariants,
    })
}

fn actor_spec(actor: ActorFile) -> ActorSpec {
    match actor {
        ActorFile::Cluster(ClusterFile::Simulated) => ActorSpec::SimulatedCluster,
        ActorFile::Python(module) => ActorSpec::Python { module: module.unwrap_or_default() },
    }
}

fn texts(values: IndexMap<String, Verbatim>) -> IndexMap<String, String> {
    values.into_iter().map(|(name, text)| (name, text.0)).collect()
}

impl Lower<'_> {
    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    fn packages(&mut self, packages: IndexMap<String, Verbatim>, place: Place<'_>) -> IndexMap<String, String> {
        for (name, version) in &packages {
            if !version.0.starts_with(|c: char| c.is_ascii_digit()) {
                let message = format!("`{}` is not a version", version.0);
                let help = "write the release alone, such as `1.9.0` or `5.2.*`";
                self.error(Diagnostic::new(message).at(place.get(name).span()).help(help));
            }
        }
        texts(packages)
    }

    fn delta(&mut self, fix: FixFile, place: Place<'_>) -> Delta {
        Delta {
            packages: self.packages(fix.packages, place.get("packages")),
            take: fix.take.and_then(|take| self.take(take, place.get("take"))),
            patch: fix.patch.and_then(|patch| self.patch(patch, place.get("patch"))),
            edits: self.edits(fix.edits, place.get("edits")),
            settings: fix.settings,
            env: texts(fix.env),
            vars: fix.vars,
        }
    }

    fn control(&mut self, control: ControlFile, place: Place<'_>) -> Control {
        let ControlFile { packages, take, patch, edits, settings, env, vars, bounds } = control;
        let fix = FixFile { packages, take, patch, edits, settings, env, vars, verdict: None };
        Control { delta: self.delta(fix, place), bounds }
    }

    fn take(&mut self, take: TakeFile, place: Place<'_>) -> Option<Take> {
        if take.files.is_empty() {
            let help = "name the files of the wheel: `files: [package/module.py]`";
            self.error(Diagnostic::new("`take` without files").at(place.key_span()).help(help));
            return None;
        }
        let mut releases = take.release.into_iter();
        match (releases.next(), releases.next()) {
            (Some((package, version)), None) => Some(Take { package, version: version.0, files: take.files }),
            (None, _) => {
                let help = "name a package and its version: `{django-q2: 1.10.0, files: [...]}`";
                self.error(Diagnostic::new("`take` without a package").at(place.key_span()).help(help));
                None
            }
            (Some(_), Some((second, _))) => {
                let message = format!("`take` takes from one package: `{second}` is a second one");
                self.error(Diagnostic::new(message).at(place.get(&second).key_span()));
                None
            }
        }
    }

    /// A diff, or the file that holds it.
    fn patch(&mut self, patch: String, place: Place<'_>) -> Option<String> {
        let ending = Path::new(patch.trim()).extension().and_then(|ending| ending.to_str());
        let is_path = !patch.trim().contains('\n') && matches!(ending, Some("diff" | "patch"));
        if !is_path {
            return Some(patch);
        }
        let file = self.path.parent().unwrap_or(Path::new(".")).join(patch.trim());
        match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) => {
                let message = format!("cannot read the patch {}: {error}", file.display());
                self.error(Diagnostic::new(message).at(place.span()).help("the path is relative to the case file"));
                None
            }
        }
    }

    fn edits(&mut self, edits: IndexMap<String, EditFile>, place: Place<'_>) -> IndexMap<String, Edit> {
        for (name, edit) in &edits {
            let place = place.get(name);
            if edit.applied == edit.reverted {
                let message = format!("the edit `{name}` changes nothing: its applied and reverted text are the same");
                self.error(Diagnostic::new(message).at(place.get("reverted").span()));
            } else if edit.applied.is_empty() {
                let help = "take in a line around it, so that the place can be found";
                let message = format!("the edit `{name}` has no applied text");
                self.error(Diagnostic::new(message).at(place.get("applied").span()).help(help));
            }
        }
        edits
            .into_iter()
            .map(|(name, EditFile { file, applied, reverted, unpinned })| {
                (name, Edit { file, applied, reverted, unpinned })
            })
            .collect()
    }

    fn steps(&mut self, steps: Vec<StepFile>, place: Place<'_>) -> Vec<Step> {
        let mut lowered = Vec::with_capacity(steps.len());
        for (index, step) in steps.into_iter().enumerate() {
            let place = place.item(index);
            let line = place.span().line;
            let name = step.name.clone();
            if let Some(action) = self.action(step, place) {
                lowered.push(Step { name, action, line });
            }
        }
        lowered
    }

    fn action(&mut self, step: StepFile, place: Place<'_>) -> Option<Action> {
        let given = [
            step.start.is_some(),
            step.restart.is_some(),
            step.beat.is_some(),
            step.drain.is_some(),
            step.python.is_some(),
            step.sql.is_some(),
            step.read.is_some(),
            step.advance.is_some(),
            step.measure.is_some(),
        ];
        let verbs: Vec<&str> = VERBS.into_iter().zip(given).filter(|(_, given)| *given).map(|(verb, _)| verb).collect();
        match verbs.as_slice() {
            [_] => {}
            [] => {
                let help = format!("a step does one of: {}", VERBS.join(", "));
                self.error(Diagnostic::new("a step without a verb").at(place.span()).help(help));
                return None;
            }
            [.., last] => {
                let message = format!("a step does one thing: this one has {}", verbs.join(" and "));
                let help = "make several steps of it, or `measure` them as one window";
                self.error(Diagnostic::new(message).at(place.get(last).key_span()).help(help));
                return None;
            }
        }
        if let Some(actor) = step.start {
            return Some(Action::Start { actor });
        }
        if let Some(actor) = step.drain {
            return Some(Action::Drain { actor });
        }
        if let Some(args) = step.restart {
            let (actor, count, _) = self.actor_args(args, None, place.get("restart"))?;
            return Some(Action::Restart { actor, count: or_once(count) });
        }
        if let Some(args) = step.beat {
            let (actor, count, every) = self.actor_args(args, Some("every"), place.get("beat"))?;
            return Some(Action::Beat { actor, count: or_once(count), every });
        }
        if let Some(args) = step.python {
            let place = place.get("python");
            let (actor, source, times) = self.actor_args(args, Some("times"), place)?;
            if !source.0.is_string() {
                let help = format!("write `python: {{{actor}: \"code\"}}`");
                let message = "`python` needs the source to run";
                self.error(Diagnostic::new(message).at(place.get(&actor).span()).help(help));
                return None;
            }
            return Some(Action::Python { actor, source, times: times.unwrap_or(Scalar(1.into())) });
        }
        if let Some(statement) = step.sql {
            return Some(Action::Sql { statement: Scalar(statement.into()) });
        }
        if let Some(readings) = step.read {
            if readings.is_empty() {
                self.error(Diagnostic::new("`read` reads nothing").at(place.get("read").key_span()));
            }
            let readings = readings.into_iter().map(|(name, source)| (name, Scalar(source.into()))).collect();
            return Some(Action::Read { readings });
        }
        if let Some(by) = step.advance {
            return Some(Action::Advance { by });
        }
        let place_of_steps = place.get("measure");
        if step.name.is_none() {
            let help = "name the window: `as: name`";
            self.error(Diagnostic::new("`measure` without `as`").at(place_of_steps.key_span()).help(help));
        }
        Some(Action::Measure { steps: self.steps(step.measure.unwrap_or_default(), place_of_steps) })
    }

    /// The one actor with its argument, and the option that the verb allows.
    fn actor_args(
        &mut self,
        args: ActorArgs,
        option: Option<&str>,
        place: Place<'_>,
    ) -> Option<(String, Scalar, Option<Scalar>)> {
        let (options, actors): (Vec<_>, Vec<_>) = args.0.into_iter().partition(|(key, _)| Some(key.as_str()) == option);
        let mut actors = actors.into_iter();
        match (actors.next(), actors.next()) {
            (Some((actor, value)), None) => Some((actor, value, options.into_iter().next().map(|(_, value)| value))),
            (None, _) => {
                self.error(Diagnostic::new("no actor is named").at(place.key_span()));
                None
            }
            (Some(_), Some((second, _))) => {
                let mut diagnostic = Diagnostic::new(format!("unknown option `{second}`: a step has one actor"))
                    .at(place.get(&second).key_span());
                if let Some(option) = option {
                    diagnostic = diagnostic.suggest(&second, [option]);
                }
                self.error(diagnostic);
                None
            }
        }
    }

    fn invariant(&mut self, name: &str, file: InvariantFile, place: Place<'_>) -> Invariant {
        let line = place.key_span().line;
        let bounds = self.bounds(name, &file, place);
        let of = file.of.as_deref().unwrap_or(name);
        let filters = [
            ("verb", file.verb.is_some()),
            ("table", file.table.is_some()),
            ("matching", file.matching.is_some()),
            ("site", file.site.is_some()),
            ("actor", file.actor.is_some()),
            ("during", file.during.is_some()),
            ("per", file.per.is_some()),
            ("unit", file.unit.is_some()),
        ];
        let allowed: &[&str] = match of {
            "statements" => &["verb", "table", "matching", "site", "actor", "during", "per", "unit"],
            "rows" => &["table", "during"],
            _ => &[],
        };
        for (filter, given) in filters {
            if given && !allowed.contains(&filter) {
                let what = match of {
                    "rows" => "`rows` of a table".to_owned(),
                    reading => format!("the reading `{reading}`"),
                };
                let help = match (filter, of) {
                    ("per", _) => "`per` divides a count of statements: `of: statements`",
                    (_, "rows") => "`rows` takes `table` and `during`",
                    _ => "did you mean `of: statements`?",
                };
                let message = format!("`{filter}` does not belong to {what}");
                self.error(Diagnostic::new(message).at(place.get(filter).key_span()).help(help));
            }
        }
        let of = match of {
            "statements" => Quantity::Statements {
                filter: StatementFilter {
                    verb: file.verb.map(|verb| verb.to_uppercase()),
                    table: file.table,
                    matching: file.matching,
                    site: file.site,
                    actor: file.actor,
                    during: file.during,
                },
                unit: file.unit.unwrap_or_default(),
            },
            "rows" => {
                if file.table.is_none() {
                    let message = "`of: rows` needs a `table`";
                    self.error(Diagnostic::new(message).at(place.get("of").span()));
                }
                Quantity::Rows { table: file.table.unwrap_or_default(), during: file.during }
            }
            reading => Quantity::Reading(reading.to_owned()),
        };
        Invariant { of, per: file.per, bounds, line }
    }

    fn bounds(&mut self, name: &str, file: &InvariantFile, place: Place<'_>) -> StateBounds<Scalar> {
        let at = place.key_span();
        match (&file.applied, &file.reverted, &file.both) {
            (None, None, Some(both)) => return StateBounds::Both(both.clone()),
            (Some(applied), Some(reverted), None) if self.has_fixes => {
                return StateBounds::Each { applied: Some(applied.clone()), reverted: reverted.clone() };
            }
            (None, Some(reverted), None) if !self.has_fixes => {
                return StateBounds::Each { applied: None, reverted: reverted.clone() };
            }
            (Some(_), _, None) if !self.has_fixes => self.error(
                Diagnostic::new(format!("`{name}` bounds the applied state, but the case has no fix"))
                    .at(place.get("applied").key_span())
                    .help("give `reverted`, and what holds without the bug under `control`"),
            ),
            (None, None, None) => self.error(
                Diagnostic::new(format!("`{name}` has no bounds"))
                    .at(at)
                    .help("give `applied` and `reverted`, or `both`"),
            ),
            (_, _, Some(_)) => self.error(
                Diagnostic::new(format!("`{name}` has `both` next to a state of its own"))
                    .at(place.get("both").key_span())
                    .help("give `applied` and `reverted`, or `both` alone"),
            ),
            (applied, _, None) => {
                let missing = if applied.is_some() { "reverted" } else { "applied" };
                let help =
                    "an invariant that says nothing about one state cannot tell the two apart; a guard says `both`";
                self.error(Diagnostic::new(format!("`{name}` has no `{missing}` bound")).at(at).help(help));
            }
        }
        StateBounds::Both(Scalar(Value::Null))
    }
}

/// A verb with the actor alone is done once.
fn or_once(count: Scalar) -> Scalar {
    if count.0.is_null() { Scalar(1.into()) } else { count }
}
