//! `bisect`: the first release at which a case flips.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::matrix::{Machine, axis, releases, sheet};
use super::selection::Selection;
use crate::cache::Cache;
use crate::case::{Case, load};
use crate::cli::{BisectArgs, CaseArgs};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::judge::{Expected, MatchedSide};
use crate::library::Library;
use crate::plan::{self, Answer, Axis};
use crate::report::{Cell, Found, Progress, ReleaseTable, Reporter, Results, Row, text};
use crate::runner::{CaseReport, Event};

/// Columns of a terminal.
const WIDTH: usize = 100;

/// Whose bounds the values of a release meet, by invariant.
type Class = IndexMap<String, MatchedSide>;

/// Looks for the release, and says what it finds on the way.
pub fn bisect(arguments: &BisectArgs, library: Library) -> Result<Exit> {
    let words =
        CaseArgs { cases: vec![arguments.case.clone()], cases_dir: arguments.cases_dir.clone(), settings: None };
    let selection = Selection::find(&words, library)?;
    let (case, sheet) = load(arguments, &selection)?;
    let cache = Cache::open()?;
    let (axis, releases) = releases(&arguments.axis, &cache)?;
    let machine = Machine::new(&arguments.machine, &selection, cache)?;
    let results = Arc::new(Mutex::new(Results::new(machine.output.path())));
    let (first, last) = (releases.first().map_or("", String::as_str), releases.last().map_or("", String::as_str));
    super::print(&format!(
        "# {}: {} of {}, {first} to {last}\n",
        case.name,
        count(releases.len(), "release"),
        axis.head()
    ))?;
    let width = releases.iter().map(|release| release.chars().count()).max().unwrap_or(0);
    let mut rows: Vec<Option<Row>> = vec![None; releases.len()];
    let answer = plan::search(releases.len(), |index| {
        let row = measure(&machine, &case, &axis, &sheet, &releases[index], &results)?;
        super::print(&format!("{:<width$}   {}\n", row.release, step(&row)))?;
        let class = class(&row);
        rows[index] = Some(row);
        Ok::<_, Error>(class)
    })?;
    let runs = rows.iter().flatten().filter(|row| !matches!(row.found, Found::Skipped(_))).count();
    super::print(&format!("{} ({})\n", told(&answer, &releases, &rows), count(runs, "run")))?;
    Ok(if answer == Answer::Nothing { Exit::NothingSelected } else { Exit::AsDeclared })
}

/// The case, and its table with the invariants that are looked at.
fn load(arguments: &BisectArgs, selection: &Selection) -> Result<(Case, ReleaseTable)> {
    let [path] = selection.files.as_slice() else {
        return Err(Error::usage(format!("`{}` names {} cases: name one", arguments.case, selection.files.len())));
    };
    let case = load::load_file(path, &selection.folder)?;
    let axis = axis(&arguments.axis)?;
    let mut sheet = sheet(&case, &axis);
    match &arguments.invariant {
        None => sheet.expected.retain(|_, expected| matches!(expected, Expected::Telling { .. })),
        Some(name) if sheet.expected.contains_key(name) => sheet.expected.retain(|known, _| known == name),
        Some(name) => {
            let known: Vec<&str> = sheet.expected.keys().map(String::as_str).collect();
            let message = format!("{} has no invariant `{name}`", case.name);
            return Err(Error::usage(message).hint(format!("it has: {}", known.join(", "))));
        }
    }
    Ok((case, sheet))
}

/// Runs the case at a release.
fn measure(
    machine: &Machine,
    case: &Case,
    axis: &Axis,
    sheet: &ReleaseTable,
    release: &str,
    results: &Arc<Mutex<Results>>,
) -> Result<Row> {
    let (sender, receiver) = channel();
    let reporter = One { progress: Progress::new(), results: Arc::clone(results), finished: sender };
    machine.play(vec![axis.variant(case, release)], vec![Box::new(reporter)])?;
    let report = receiver.try_recv().map_err(|_| Error::bug("a run ended without its case"))?;
    Ok(sheet.row(release, &report))
}

/// Reports one case to whoever waits for it. `results.json` is that of all runs together.
struct One {
    progress: Progress,
    results: Arc<Mutex<Results>>,
    finished: Sender<CaseReport>,
}

impl Reporter for One {
    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Preparing(what) | Event::Hurt(what) => self.progress.announce(what),
            Event::ArmStarted { case, .. } => self.progress.show(case),
            Event::ArmFinished { .. } => self.progress.show(""),
            Event::CaseFinished(case) => {
                // Whoever waited has gone with an error of its own.
                let _ = self.finished.send((**case).clone());
                self.progress.show("");
            }
            Event::Ready(_) | Event::Finished(_) => {}
        }
        self.results.lock().event(event)
    }
}

/// What a release is; nothing where it was not measured.
fn class(row: &Row) -> Option<Class> {
    match &row.found {
        Found::Measured(cells) => Some(cells.iter().map(|(name, cell)| (name.clone(), cell.met)).collect()),
        Found::Skipped(_) | Found::Inconclusive(_) => None,
    }
}

/// What was found at a release, in a line.
fn step(row: &Row) -> String {
    let line = match &row.found {
        Found::Measured(cells) => {
            groups(cells.iter().map(|(name, Cell { value, met })| (met.to_string(), format!("{name} {value}"))), " · ")
        }
        Found::Skipped(why) => format!("SKIPPED {why}"),
        Found::Inconclusive(why) => format!("INCONCLUSIVE {why}"),
    };
    text::cut(&line, WIDTH - row.release.chars().count().min(WIDTH / 2) - 3)
}

/// The answer, in a sentence.
fn told(answer: &Answer<Class>, releases: &[String], rows: &[Option<Row>]) -> String {
    match answer {
        Answer::Nothing => "none of the releases could be measured".to_owned(),
        Answer::Same { first, last, .. } if first == last => {
            format!("only {} could be measured: there is nothing to hold it against", releases[*first])
        }
        Answer::Same { first, last, class } => format!(
            "{} and {} do not differ: {}; what lies between was not looked at",
            releases[*first],
            releases[*last],
            groups(class.iter().map(|(name, met)| (met.to_string(), format!("`{name}`"))), ", ")
        ),
        Answer::Flip { before, old, after, new, between } => {
            let (one, other) = (&releases[*before], &releases[*after]);
            let changed =
                new.iter().filter_map(|(name, met)| Some((name, old.get(name).filter(|was| *was != met)?, met)));
            let changed = groups(
                changed.map(|(name, was, is)| (format!("{was} at {one} and {is} at {other}"), format!("`{name}`"))),
                ", ",
            );
            if between.is_empty() {
                return format!("{other} is the first that differs: {changed}");
            }
            let names: Vec<&str> = between.iter().map(|&index| releases[index].as_str()).collect();
            let is_skipped =
                |index: &usize| rows[*index].as_ref().is_some_and(|row| matches!(row.found, Found::Skipped(_)));
            let cannot = if between.iter().all(is_skipped) { "installed" } else { "measured" };
            format!("between {one} and {other}: {} cannot be {cannot}; {changed}", names.join(", "))
        }
    }
}

/// `broken: listed, kept; fixed: rows`
fn groups(named: impl Iterator<Item = (String, String)>, between: &str) -> String {
    let mut groups: IndexMap<String, Vec<String>> = IndexMap::new();
    for (group, name) in named {
        groups.entry(group).or_default().push(name);
    }
    groups.iter().map(|(group, names)| format!("{group}: {}", names.join(between))).collect::<Vec<_>>().join("; ")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(mets: &[(&str, MatchedSide)]) -> Class {
        mets.iter().map(|(name, met)| ((*name).to_owned(), *met)).collect()
    }

    fn releases() -> Vec<String> {
        ["1.7.3", "1.7.4", "1.7.5", "1.7.6"].map(str::to_owned).to_vec()
    }

    fn skipped(release: &str) -> Row {
        Row { release: release.to_owned(), found: Found::Skipped("no".to_owned()) }
    }

    #[test]
    fn the_answer_names_the_release_and_what_flips_there() {
        let (old, new) = (
            class(&[("rows", MatchedSide::Broken), ("listed", MatchedSide::Broken), ("kept", MatchedSide::Fixed)]),
            class(&[("rows", MatchedSide::Fixed), ("listed", MatchedSide::Fixed), ("kept", MatchedSide::Fixed)]),
        );
        let answer = Answer::Flip { before: 0, old, after: 1, new, between: vec![] };
        assert_eq!(
            told(&answer, &releases(), &[None, None, None, None]),
            "1.7.4 is the first that differs: broken at 1.7.3 and fixed at 1.7.4: `rows`, `listed`"
        );
    }

    #[test]
    fn releases_that_cannot_be_installed_leave_an_interval() {
        let (old, new) = (class(&[("rows", MatchedSide::Broken)]), class(&[("rows", MatchedSide::Neither)]));
        let answer = Answer::Flip { before: 0, old, after: 3, new, between: vec![1, 2] };
        assert_eq!(
            told(&answer, &releases(), &[None, Some(skipped("1.7.4")), Some(skipped("1.7.5")), None]),
            "between 1.7.3 and 1.7.6: 1.7.4, 1.7.5 cannot be installed; broken at 1.7.3 and neither at 1.7.6: `rows`"
        );
    }

    #[test]
    fn ends_that_are_alike_are_said_to_be() {
        let answer = Answer::Same { first: 0, last: 3, class: class(&[("rows", MatchedSide::Broken)]) };
        let told = told(&answer, &releases(), &[None, None, None, None]);
        assert_eq!(told, "1.7.3 and 1.7.6 do not differ: broken: `rows`; what lies between was not looked at");
    }
}
