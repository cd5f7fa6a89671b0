//! `run`: cases in, verdicts out.

use std::ffi::OsStr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::selection::Selection;
use super::shell;
use crate::cache::Cache;
use crate::case::Case;
use crate::cli::RunArgs;
use crate::deadline;
use crate::error::{Context as _, Error, Result};
use crate::exit::Exit;
use crate::library::Library;
use crate::plan::{self, States};
use crate::python::{Environments, Locks};
use crate::report::{Console, OutputDirectory, Reporter, Results, Style, terminal};
use crate::runner::{Commits, Event, Options, Run, RunReport};
use crate::service::{self, Secret, ServiceChoice};

/// So many arms take long enough to say so.
const MANY: usize = 20;

/// What an arm takes of a lane, in seconds: 304 arms of the cases here took 240 s on two lanes.
const SECONDS_PER_ARM: f64 = 1.6;

/// Runs the selected cases.
pub fn run(arguments: &RunArgs, library: Library) -> Result<Exit> {
    let selection = Selection::find(&arguments.selection, library)?;
    let cases = selection.load()?;
    let urls = (arguments.postgres_url.as_ref(), arguments.redis_url.as_ref());
    let services = choice(&arguments.services, urls, &arguments.programs)?;
    let cache = Cache::open()?;
    for swept in service::sweep()?.iter().filter(|swept| swept.was_elsewhere()) {
        // On servers of others: somebody may have wondered.
        for line in swept.lines() {
            terminal::note(&format!("an interrupted run: {line}"));
        }
    }
    let output = OutputDirectory::create(&arguments.output_dir)?;
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    let style = Style {
        timings: arguments.timings,
        verbose: arguments.verbose,
        writes: arguments.writes.clone(),
        reruns: reruns(&cases, &selection, arguments, &services),
    };
    let reporters: Vec<Box<dyn Reporter + Send>> =
        vec![Box::new(Console::new(&names, style)), Box::new(Results::new(output.path()))];
    let options = Options {
        lanes: lanes(arguments.jobs),
        states: if arguments.self_check { States::Twins } else { arguments.state },
        services,
        logs: output.logs()?,
        writes_of: arguments.writes.clone(),
        skip_uninstallable: false,
        project: selection.project.clone(),
        commits: Commits { base: arguments.base.clone(), head: arguments.head.clone() },
    };
    if arguments.selection.cases.is_empty() {
        announce(&cases, &options);
    }
    let python = arguments.python.clone().or_else(|| selection.python.clone());
    let report = play(cache, cases, (selection.locks(arguments.frozen), python), &options, reporters)?;
    Ok(Exit::of_run(&report))
}

/// Says how much there is to do, where nothing was selected and it takes a while.
fn announce(cases: &[Case], options: &Options) {
    let arms = plan::arms(cases, options.states).len();
    if arms < MANY {
        return;
    }
    let seconds = arms as f64 * SECONDS_PER_ARM / options.lanes as f64;
    let time = if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) };
    let (count, lanes) = (cases.len(), options.lanes);
    terminal::note(&format!(
        "{count} cases, {arms} arms: about {time} with {lanes} at once; name some to run only those, `dj-regress list` shows them"
    ));
}

/// Plays cases to their end, or until an interrupt: with locks and the Python of cases that pin none.
pub(super) fn play(
    cache: Cache,
    cases: Vec<Case>,
    (locks, python): (Locks, Option<String>),
    options: &Options,
    reporters: Vec<Box<dyn Reporter + Send>>,
) -> Result<RunReport> {
    deadline::check()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().cannot_run(|| "start".to_owned())?;
    let (events, received) = mpsc::unbounded_channel();
    let announce = events.clone();
    let environments = Environments::new(
        cache.clone(),
        locks,
        python,
        Box::new(move |what| drop(announce.send(Event::Preparing(what)))),
    );
    let report = runtime.block_on(async {
        if let Some(why) = service::run_directory::tmpdir_refusal() {
            terminal::note(&why);
        }
        let (told, mut failed) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        let reporting = tokio::spawn(report(reporters, received, told, is_over));
        let run = Run::open(cache).await?;
        let mut played = tokio::select! {
            played = run.play(Arc::new(cases), Arc::new(environments), options, &events) => played,
            interrupted = interrupted() => Err(interrupted),
            hurt = run.failed(&options.logs) => Err(hurt),
            Ok(error) = &mut failed => Err(error),
        };
        let closed = run.close().await;
        // Whatever has ended the run: what was found before is told.
        let _ = over.send(());
        let told = reporting.await.map_err(|error| Error::bug(format!("a reporter panicked: {error}")))?;
        if let Ok(error) = failed.try_recv() {
            played = played.and(Err(error));
        }
        // What comes after the first error says what to do about it, too.
        let finished = told.as_ref().ok().cloned();
        match [played, closed, told.map(drop)].into_iter().filter_map(Result::err).reduce(Error::hinted_by) {
            Some(error) => Err(error),
            None => Ok(finished.flatten()),
        }
    });
    // Blocking work (an install, say) may still be under way after an interrupt: it is not waited for.
    runtime.shutdown_background();
    if report.is_err() {
        service::installer::end_all();
    }
    report?.ok_or_else(|| Error::bug("the run ended without a report"))
}

/// Tells reporters what happens until the run is over. The first that fails is told of, which ends the run; the others
/// go on.
///
/// # Errors
///
/// What a reporter could not put where it belongs, in the end.
async fn report(
    mut reporters: Vec<Box<dyn Reporter + Send>>,
    mut events: mpsc::UnboundedReceiver<Event>,
    failed: oneshot::Sender<Error>,
    mut is_over: oneshot::Receiver<()>,
) -> Result<Option<RunReport>> {
    let (mut failed, mut finished, mut is_ending) = (Some(failed), None, false);
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv(), if !is_ending => event,
            _ = &mut is_over, if !is_ending => {
                is_ending = true;
                continue;
            }
            else => events.try_recv().ok(),
        };
        let Some(event) = event else {
            let over = reporters.iter_mut().map(|reporter| reporter.over());
            return over.filter_map(Result::err).reduce(Error::hinted_by).map_or(Ok(finished), Err);
        };
        for reporter in &mut reporters {
            if let Err(error) = reporter.event(&event)
                && let Some(failed) = failed.take()
            {
                // Nobody listens any more if the run is over.
                let _ = failed.send(error);
            }
        }
        if let Event::Finished(report) = event {
            finished = Some(report);
        }
    }
}

/// Where services come from: options (the place, the URLs of Postgres and Redis, the programs), then the environment.
pub(super) fn choice(
    place: &str,
    (postgres, redis): (Option<&Secret>, Option<&Secret>),
    programs: &str,
) -> Result<ServiceChoice> {
    let place = if place == "auto" { service::preferred_place()? } else { Some(place.parse()?) };
    ServiceChoice::new(place, postgres, redis, programs.parse()?, &|name| std::env::var(name).ok())
}

/// Arms at the same time: as many as are asked for, else one per processor.
pub(super) fn lanes(jobs: Option<u16>) -> usize {
    jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get), usize::from)
}

/// Resolves when SIGINT, SIGTERM or SIGHUP comes.
async fn interrupted() -> Error {
    let mut signals = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        match signal(kind) {
            Ok(signal) => signals.push(signal),
            Err(error) => return Error::cannot_run(format!("listen for signals: {error}")),
        }
    }
    let [interrupt, terminate, hangup] = signals.as_mut_slice() else {
        return Error::bug("three signals were asked for");
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Error::interrupted()
}

/// For each case the command that runs it again, from where the user is: with the options that matter to it.
fn reruns(cases: &[Case], selection: &Selection, arguments: &RunArgs, services: &ServiceChoice) -> Vec<String> {
    let command = rerun(arguments, services);
    let inside = |path: &Path| {
        let (path, folder) = (path.canonicalize().ok()?, selection.folder.canonicalize().ok()?);
        path.strip_prefix(folder).is_ok().then_some(())
    };
    let word = |(case, path): (&Case, &PathBuf)| match inside(path) {
        Some(()) => shell::argument(Path::new(&case.name)),
        None => shell::argument(path),
    };
    cases.iter().zip(&selection.files).map(|pair| format!("{command} {}", word(pair))).collect()
}

/// That command without the case: the options that differ from their defaults.
fn rerun(arguments: &RunArgs, services: &ServiceChoice) -> String {
    let mut words = vec![shell::program(), "run".to_owned()];
    let mut option = |name: &str, value: &dyn AsRef<OsStr>| words.extend([name.to_owned(), shell::quoted(value)]);
    if let Some(folder) = &arguments.selection.cases_dir {
        option("--cases-dir", folder);
    }
    if let Some(settings) = &arguments.selection.settings {
        option("--settings", settings);
    }
    if arguments.output_dir != Path::new("regress.out") {
        option("--output-dir", &arguments.output_dir);
    }
    if let Some(python) = &arguments.python {
        option("--python", python);
    }
    for (name, commit) in [("--base", &arguments.base), ("--head", &arguments.head)] {
        if let Some(commit) = commit {
            option(name, &commit.as_str());
        }
    }
    if let (true, Some(state)) = (arguments.state != States::All, arguments.state.to_possible_value()) {
        option("--state", &state.get_name());
    }
    if arguments.services != "auto" {
        option("--services", &arguments.services);
    }
    // Shown without their passwords: who runs it again has them.
    if let Some(url) = services.postgres_url.as_ref().filter(|_| arguments.postgres_url.is_some()) {
        option("--postgres-url", &url.to_string());
    }
    if let Some(url) = services.redis_url.as_ref().filter(|_| arguments.redis_url.is_some()) {
        option("--redis-url", &url.to_string());
    }
    if arguments.programs != "auto" {
        option("--programs", &arguments.programs);
    }
    if arguments.self_check {
        words.push("--self-check".to_owned());
    }
    words.join(" ")
}
