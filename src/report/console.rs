//! The console: the one place that writes to the terminal during a run.

use std::io::{self, IsTerminal as _, Write};

use serde_json::Value;

use super::Reporter;
use crate::error::{Error, Result};
use crate::judge::Verdict;
use crate::plan::State;
use crate::probe::statements::Writer;
use crate::runner::{ArmReport, CaseReport, Event, FixReport, InvariantReport, RunReport, Setting, Timings};

/// Prints one line per case, and what a reader needs where a case is not as declared.
pub struct Console<W: Write> {
    out: W,
    /// The command that reruns a case: everything but its name.
    rerun: String,
    /// Width of the longest case name.
    width: usize,
    cases: usize,
    number: usize,
    timings: bool,
    verbose: bool,
    colour: bool,
    /// Progress goes to standard error, and only where that is a terminal.
    progress: bool,
}

impl Console<io::Stdout> {
    /// A console on standard output.
    pub fn new(names: &[String], rerun: String, timings: bool, verbose: bool) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            out: io::stdout(),
            rerun,
            width: names.iter().map(String::len).max().unwrap_or(0),
            cases: names.len(),
            number: 0,
            timings,
            verbose,
            colour,
            progress: io::stderr().is_terminal(),
        }
    }
}

impl<W: Write> Reporter for Console<W> {
    fn event(&mut self, event: &Event) -> Result<()> {
        let written = match event {
            Event::Preparing(what) => self.preparing(what),
            Event::Ready(setting) => self.ready(setting),
            Event::ArmStarted { case, state } => self.progress(&format!("{case} ({state})")),
            Event::CaseFinished(case) => self.case(case),
            Event::Finished(run) => self.finished(run),
        };
        // `dj-regress | head` ends here: the reader has gone, the run goes on to its exit code.
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Error::cannot_run(format!("write to standard output: {error}"))),
        }
    }
}

impl<W: Write> Console<W> {
    fn preparing(&mut self, what: &str) -> io::Result<()> {
        self.progress("")?;
        // Slow and rare: said also where there is no terminal, so that a CI log explains its minute.
        writeln!(io::stderr(), "# {what}")
    }

    fn progress(&mut self, what: &str) -> io::Result<()> {
        if self.progress {
            write!(io::stderr(), "\r\x1b[K{what}\r")?;
        }
        Ok(())
    }

    fn ready(&mut self, setting: &Setting) -> io::Result<()> {
        self.progress("")?;
        let redis = setting.redis.as_ref().map(|redis| format!(", {redis}")).unwrap_or_default();
        let lanes = if setting.lanes == 1 { "lane" } else { "lanes" };
        writeln!(
            self.out,
            "# {}{redis} ({}) · Python {} · {} {lanes}",
            setting.postgres,
            setting.services,
            setting.python.join(", "),
            setting.lanes
        )
    }

    fn case(&mut self, case: &CaseReport) -> io::Result<()> {
        self.progress("")?;
        self.number += 1;
        let (word, ok) =
            if case.as_declared { ("ok", self.paint("ok", "32")) } else { ("not ok", self.paint("not ok", "31;1")) };
        // As pg_regress does it: the names stand in one column, whether ok or not.
        let digits = self.cases.to_string().len() + "not ok".len() - word.len();
        write!(
            self.out,
            "{ok} {:<digits$} + {:<width$}   {:<14} ",
            self.number,
            case.name,
            case.verdict,
            width = self.width
        )?;
        if case.verdict == Verdict::Skipped {
            writeln!(self.out, "# SKIP {}", case.reason.as_deref().unwrap_or_default())?;
            return self.out.flush();
        }
        let numbers = headline(case);
        writeln!(self.out, "{numbers}{}{:.1}s", if numbers.is_empty() { "" } else { "   " }, case.wall)?;
        if !case.as_declared || self.verbose {
            self.details(case)?;
        } else if case.fixes.len() > 1 {
            let fixes: Vec<String> = case.fixes.iter().map(as_declared).collect();
            writeln!(self.out, "#   as declared: {}", fixes.join(" · "))?;
        }
        if self.timings {
            for arm in &case.arms {
                writeln!(self.out, "#   {}", timings(arm))?;
            }
        }
        self.out.flush()
    }

    /// What a failure says: which invariant, the bounds, the values, who sent the statements, how
    /// to run it again.
    fn details(&mut self, case: &CaseReport) -> io::Result<()> {
        writeln!(self.out, "#   {}", case.title)?;
        for fix in &case.fixes {
            let name = fix.fix.as_ref().map_or_else(|| "no fix".to_owned(), |name| format!("fix `{name}`"));
            let reason = fix.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            if fix.verdict == fix.declared {
                writeln!(self.out, "#   {name}: {}, as declared{reason}", fix.verdict)?;
            } else {
                writeln!(self.out, "#   {name}: {}, declared {}{reason}", fix.verdict, fix.declared)?;
            }
            let other = case.arms.iter().find(|arm| arm.fix == fix.fix && arm.state != State::Reverted);
            let Some(reverted) = case.arms.iter().find(|arm| arm.state == State::Reverted) else { continue };
            for name in &fix.decisive {
                self.invariant(name, other, reverted)?;
            }
        }
        for arm in case.arms.iter().filter(|arm| arm.broken.is_some() || !case.as_declared) {
            writeln!(self.out, "#   log ({}): {}", arm_name(arm), arm.log.display())?;
        }
        writeln!(self.out, "#   run it again: {} {}", self.rerun, case.name)
    }

    fn invariant<'a>(&mut self, name: &str, other: Option<&'a ArmReport>, reverted: &'a ArmReport) -> io::Result<()> {
        writeln!(self.out, "#     {}", self.paint(name, "1"))?;
        for arm in other.into_iter().chain([reverted]) {
            let Some(found) = arm.invariants.iter().find(|invariant| invariant.name == name) else { continue };
            let verdict = if found.holds { "holds" } else { "does not hold" };
            writeln!(
                self.out,
                "#       {:<9} measured {}, bound {}: {verdict}",
                arm.state,
                value(&found.value),
                found.bound
            )?;
        }
        let writers = |arm: &'a ArmReport| {
            let found = arm.invariants.iter().find(|invariant| invariant.name == name);
            found.map(|found| found.writers.as_slice()).unwrap_or_default()
        };
        match other {
            Some(other) if writers(other) == writers(reverted) => {
                self.writers(&format!("{} and {}", other.state, reverted.state), writers(reverted))
            }
            other => other
                .into_iter()
                .chain([reverted])
                .try_for_each(|arm| self.writers(&arm.state.to_string(), writers(arm))),
        }
    }

    fn writers(&mut self, states: &str, writers: &[Writer]) -> io::Result<()> {
        if !writers.is_empty() {
            writeln!(self.out, "#       top statements, {states}:")?;
        }
        for Writer { statements, actor, site, sql } in writers {
            writeln!(self.out, "#         {statements:>6} × {actor} {site}  {sql}")?;
        }
        Ok(())
    }

    fn finished(&mut self, run: &RunReport) -> io::Result<()> {
        self.progress("")?;
        let skipped = if run.skipped > 0 { format!(", {} skipped", run.skipped) } else { String::new() };
        let summary = if run.otherwise == 0 && run.as_declared == 0 {
            format!("nothing was run: {} skipped", count(run.skipped))
        } else if run.otherwise == 0 {
            format!("{} as declared{skipped}", count(run.as_declared))
        } else {
            format!("{} not as declared, {} as declared{skipped}", count(run.otherwise), run.as_declared)
        };
        writeln!(self.out, "# {summary} in {:.1}s", run.wall)?;
        if self.timings {
            let shared = run.shared;
            writeln!(
                self.out,
                "# shared: environments {}, services {}, zygotes {}, templates {}",
                ms(shared.environments),
                ms(shared.services),
                ms(shared.zygotes),
                ms(shared.templates)
            )?;
        }
        self.out.flush()
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn count(cases: usize) -> String {
    if cases == 1 { "1 case".to_owned() } else { format!("{cases} cases") }
}

fn arm_name(arm: &ArmReport) -> String {
    arm.fix.as_ref().map_or_else(|| arm.state.to_string(), |fix| format!("{} {fix}", arm.state))
}

/// `hope NOT FIXED`
fn as_declared(fix: &FixReport) -> String {
    format!("{} {}", fix.fix.as_deref().unwrap_or_default(), fix.verdict)
}

/// The numbers that tell the states apart: `listed 1 applied · 122 reverted, cache writes 1 · 2`. Of several fixes,
/// those of the one that gave the case its verdict.
fn headline(case: &CaseReport) -> String {
    let Some(reverted) = case.arms.iter().find(|arm| arm.state == State::Reverted) else { return String::new() };
    let telling = case.fixes.iter().find(|fix| fix.verdict == case.verdict).and_then(|fix| fix.fix.as_ref());
    let other = case.arms.iter().find(|arm| arm.state != State::Reverted && arm.fix.as_ref() == telling);
    let shown = |arm: &ArmReport, name: &str| {
        let found = arm.invariants.iter().find(|invariant| invariant.name == name);
        // An arm that broke was not measured.
        found.map_or_else(|| "–".to_owned(), |found| value(&found.value))
    };
    // Where the reverted arm broke, the other knows the invariants.
    let measured = [Some(reverted), other].into_iter().flatten().find(|arm| !arm.invariants.is_empty());
    let names = measured.into_iter().flat_map(|arm| &arm.invariants).filter(|invariant| !invariant.guard).take(3);
    let pairs = names.enumerate().map(|(index, InvariantReport { name, .. })| {
        let arms = other.into_iter().chain([reverted]);
        let values = arms.map(|arm| match index {
            0 => format!("{} {}", shown(arm, name), arm.state),
            _ => shown(arm, name),
        });
        format!("{name} {}", values.collect::<Vec<_>>().join(" · "))
    });
    pairs.collect::<Vec<_>>().join(", ")
}

/// A value as a reader wants it: no more than six significant digits, long texts cut.
fn value(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let digits = (5 - number.abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
            let text = format!("{number:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "none".to_owned(),
        Value::String(text) if text.chars().count() <= 40 => text.clone(),
        Value::String(text) => text.chars().take(39).chain(['…']).collect(),
        other => other.to_string(),
    }
}

fn timings(arm: &ArmReport) -> String {
    let Timings { clone, fork, steps, probes, teardown } = arm.timings;
    format!(
        "{:<20} clone {}, fork {}, steps {}, probes {}, teardown {}",
        arm_name(arm),
        ms(clone),
        ms(fork),
        ms(steps),
        ms(probes),
        ms(teardown)
    )
}

fn ms(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}
