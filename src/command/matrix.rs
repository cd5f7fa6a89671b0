//! `matrix`: cases over releases, as tables.

use super::selection::Selection;
use crate::cache::Cache;
use crate::case::Case;
use crate::cli::{AxisArgs, MachineArgs, MatrixArgs};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::library::Library;
use crate::plan::{self, Axis, Choice, States, Version};
use crate::python::{self, Locks};
use crate::report::{Matrix, OutputDirectory, ReleaseTable, Reporter, Results, terminal};
use crate::runner::{Commits, Options, RunReport};
use crate::service;

/// Runs the selected cases at each release.
pub fn matrix(arguments: &MatrixArgs, library: Library) -> Result<Exit> {
    let selection = Selection::find(&arguments.selection, library)?;
    let cases = selection.load()?;
    let cache = Cache::open()?;
    let (axis, releases) = releases(&arguments.axis, &cache)?;
    let machine = Machine::new(&arguments.machine, &selection, cache)?;
    let mut variants = Vec::new();
    let mut sheets = Vec::new();
    for case in &cases {
        let own: Vec<Case> = releases.iter().map(|release| axis.variant(case, release)).collect();
        let names = releases.iter().cloned().zip(own.iter().map(|variant| variant.name.clone()));
        sheets.push((sheet(case, &axis), names.collect()));
        variants.extend(own);
    }
    let reporters: Vec<Box<dyn Reporter + Send>> =
        vec![Box::new(Matrix::new(sheets)), Box::new(Results::new(machine.output.path()))];
    Ok(exit(&machine.play(variants, reporters)?))
}

/// A table is no verdict: what counts is that something was measured.
fn exit(run: &RunReport) -> Exit {
    match Exit::of_run(run) {
        Exit::Undecided if run.as_declared == 0 => Exit::Undecided,
        Exit::NothingSelected => Exit::NothingSelected,
        _ => Exit::AsDeclared,
    }
}

/// The table of a case, with nothing in it.
pub(super) fn sheet(case: &Case, axis: &Axis) -> ReleaseTable {
    ReleaseTable {
        name: case.name.clone(),
        title: case.title.clone(),
        axis: axis.head().to_owned(),
        expected: plan::expectations(case),
    }
}

/// What is varied.
pub(super) fn axis(arguments: &AxisArgs) -> Result<Axis> {
    if arguments.releases.is_none() {
        return Ok(Axis::Python);
    }
    Axis::package(&arguments.package)
}

/// What is varied, and its releases. The index is asked where a range is given.
pub(super) fn releases(arguments: &AxisArgs, cache: &Cache) -> Result<(Axis, Vec<String>)> {
    let axis = axis(arguments)?;
    let Some(choice) = &arguments.releases else { return Ok((axis, pythons(&arguments.pythons))) };
    if let Choice::Named(named) = choice {
        return Ok((axis, named.clone()));
    }
    let found = python::releases(cache, axis.head())?;
    if let Some(why) = &found.stale {
        terminal::note(&format!("{why}: these are the releases of the last time"));
    }
    let known: Vec<Version> = found.versions.iter().filter_map(|version| Version::parse(version)).collect();
    let chosen = choice.of(&known);
    if chosen.is_empty() {
        let all = known.iter().min().zip(known.iter().max());
        let range = all.map_or_else(|| "none".to_owned(), |(old, new)| format!("{}..{}", old.text(), new.text()));
        let message = format!("no final release of {} is among those asked for; the index has {range}", axis.head());
        return Err(Error::nothing_selected(message));
    }
    Ok((axis, chosen))
}

/// Each once, in the order in which they were given.
fn pythons(given: &[String]) -> Vec<String> {
    let mut pythons: Vec<String> = Vec::new();
    for python in given {
        if !pythons.contains(python) {
            pythons.push(python.clone());
        }
    }
    pythons
}

/// What runs over releases need.
pub(super) struct Machine {
    cache: Cache,
    pub output: OutputDirectory,
    options: Options,
    locks: Locks,
    python: Option<String>,
}

impl Machine {
    /// Opens the output directory.
    pub fn new(arguments: &MachineArgs, selection: &Selection, cache: Cache) -> Result<Self> {
        let urls = (arguments.postgres_url.as_ref(), arguments.redis_url.as_ref());
        let services = super::run::choice(&arguments.services, urls, &arguments.programs)?;
        service::sweep()?;
        let output = OutputDirectory::create(&arguments.output_dir)?;
        let options = Options {
            lanes: super::run::lanes(arguments.jobs),
            states: States::Reverted,
            services,
            logs: output.logs()?,
            writes_of: None,
            skip_uninstallable: true,
            project: None,
            commits: Commits::default(),
        };
        let python = arguments.python.clone().or_else(|| selection.python.clone());
        let locks = Locks::of_releases(&selection.folder, &cache);
        Ok(Self { cache, output, options, locks, python })
    }

    /// Plays variants of cases.
    pub fn play(&self, variants: Vec<Case>, reporters: Vec<Box<dyn Reporter + Send>>) -> Result<RunReport> {
        let locks = (self.locks.clone(), self.python.clone());
        super::run::play(self.cache.clone(), variants, locks, &self.options, reporters)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_the_case_says(2, 0, 0, 0, Exit::AsDeclared)]
    #[case::a_value_that_is_nobodys(1, 1, 0, 0, Exit::AsDeclared)]
    #[case::one_did_not_run(1, 1, 1, 0, Exit::AsDeclared)]
    #[case::none_ran_to_its_end(0, 2, 2, 1, Exit::Undecided)]
    #[case::all_skipped(0, 0, 0, 3, Exit::NothingSelected)]
    fn a_table_is_no_verdict(
        #[case] as_declared: usize,
        #[case] otherwise: usize,
        #[case] undecided: usize,
        #[case] skipped: usize,
        #[case] expected: Exit,
    ) {
        assert_eq!(exit(&RunReport { as_declared, otherwise, undecided, skipped, ..RunReport::default() }), expected);
    }
}
