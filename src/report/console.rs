//! The console: what a run says.

use std::io::{self, Write};

use super::text::{self, ms};
use super::under_way::UnderWay;
use super::{Progress, Reporter, terminal};
use crate::error::{Result, shown};
use crate::judge::Verdict;
use crate::probe::writer::Writer;
use crate::runner::{ArmReport, CaseReport, Event, FixReport, RunReport, Setting, Timings};

/// What the console is told to show.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// Where each arm's time went.
    pub timings: bool,
    /// Of every case what is otherwise said of failures.
    pub verbose: bool,
    /// The table whose writers were asked for.
    pub writes: Option<String>,
    /// For each case, in their order, the command that runs it again.
    pub reruns: Vec<String>,
}

/// Prints one line per case, and what a reader needs where a case is not as declared.
pub struct Console<W: Write> {
    out: W,
    style: Style,
    /// Width of the longest case name.
    width: usize,
    cases: usize,
    number: usize,
    colour: bool,
    progress: Progress,
    under_way: UnderWay,
}

impl Console<io::Stdout> {
    /// A console on standard output, for these cases.
    pub fn new(names: &[String], style: Style) -> Self {
        Self {
            out: terminal::out(),
            style,
            width: names.iter().map(|name| text::columns(name)).max().unwrap_or(0),
            cases: names.len(),
            number: 0,
            colour: terminal::has_colour(),
            progress: Progress::new(),
            under_way: UnderWay::default(),
        }
    }
}

impl<W: Write> Reporter for Console<W> {
    fn event(&mut self, event: &Event) -> Result<()> {
        let written = match event {
            Event::Preparing(what) | Event::Hurt(what) => {
                self.progress.announce(what);
                Ok(())
            }
            Event::ArmStarted { case, state } => {
                self.progress.show(&self.under_way.begins(case, state));
                Ok(())
            }
            Event::ArmFinished { case, state, .. } => {
                self.progress.show(&self.under_way.ends(case, state));
                Ok(())
            }
            Event::Ready(setting) => self.ready(setting),
            Event::CaseFinished(case) => self.case(case),
            Event::Finished(run) => self.finished(run),
        };
        terminal::unless_gone(written)
    }
}

impl<W: Write> Console<W> {
    fn ready(&mut self, setting: &Setting) -> io::Result<()> {
        self.progress.show("");
        text::setting(setting).iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    fn case(&mut self, case: &CaseReport) -> io::Result<()> {
        self.progress.show("");
        self.number += 1;
        let (word, ok) =
            if case.as_declared { ("ok", self.paint("ok", "32")) } else { ("not ok", self.paint("not ok", "31;1")) };
        // As pg_regress does it: the names stand in one column, whether ok or not.
        let digits = self.cases.to_string().len() + "not ok".len() - word.len();
        write!(
            self.out,
            "{ok} {:<digits$} + {}   {:<14} ",
            self.number,
            text::padded(&text::plain(&case.name), self.width),
            case.verdict.map_or("measured".to_owned(), |verdict| verdict.to_string()),
        )?;
        if case.verdict == Some(Verdict::Skipped) {
            writeln!(self.out, "# SKIP {}", case.reason.as_deref().unwrap_or_default())?;
            return self.out.flush();
        }
        let numbers = text::headline(case);
        writeln!(self.out, "{numbers}{}{:.1}s", if numbers.is_empty() { "" } else { "   " }, case.wall)?;
        if !case.as_declared || self.style.verbose {
            self.details(case)?;
        } else if case.fixes.len() > 1 {
            let fixes: Vec<String> = case.fixes.iter().map(as_declared).collect();
            writeln!(self.out, "#   as declared: {}", fixes.join(" · "))?;
        }
        if let Some(table) = self.style.writes.clone() {
            let judged = |arm: &&ArmReport| arm.growth.is_none() && arm.repetition == 0 && !arm.state.is_ablation();
            for arm in case.arms.iter().filter(judged) {
                writeln!(self.out, "#   who wrote {table} ({}):", text::arm(arm))?;
                for line in text::writers(arm) {
                    writeln!(self.out, "#     {line}")?;
                }
            }
        }
        if self.style.timings {
            for arm in case.played() {
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
            self.fix(case, fix)?;
        }
        for arm in case.played().filter(|arm| arm.broken.is_some() || !case.as_declared) {
            writeln!(self.out, "#   log ({}): {}", text::arm(arm), shown(&arm.log))?;
        }
        match self.style.reruns.get(self.number - 1) {
            Some(rerun) => writeln!(self.out, "#   run it again: {rerun}"),
            None => Ok(()),
        }
    }

    fn fix(&mut self, case: &CaseReport, fix: &FixReport) -> io::Result<()> {
        let name = fix.fix.as_ref().map_or_else(|| "no fix".to_owned(), |name| format!("fix `{name}`"));
        let reason = fix.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match fix.verdict {
            Some(verdict) if verdict == fix.declared => {
                writeln!(self.out, "#   {name}: {verdict}, as declared{reason}")?;
            }
            Some(verdict) => writeln!(self.out, "#   {name}: {verdict}, declared {}{reason}", fix.declared)?,
            None => writeln!(self.out, "#   {name}: no verdict, not every state was run{reason}")?,
        }
        if let (agreeing, of @ 2..) = fix.agreement {
            writeln!(self.out, "#     {agreeing} of {of} repetitions agree")?;
        }
        if self.style.verbose {
            for line in text::invariants(case, fix) {
                writeln!(self.out, "#     {line}")?;
            }
        }
        for name in &fix.decisive {
            self.invariant(case, fix, name)?;
        }
        for line in text::growths(fix) {
            writeln!(self.out, "#     {line}")?;
        }
        for line in text::kill_matrix(case, fix) {
            writeln!(self.out, "#     {line}")?;
        }
        Ok(())
    }

    fn invariant(&mut self, case: &CaseReport, fix: &FixReport, name: &str) -> io::Result<()> {
        let arms = text::both(case, fix.fix.as_ref());
        writeln!(self.out, "#     {}", self.paint(name, "1"))?;
        for arm in &arms {
            let Some(found) = text::find(arm, name) else { continue };
            let verdict = if found.holds { "holds" } else { "does not hold" };
            let (value, bound) = (text::in_unit(found), &found.bound);
            writeln!(self.out, "#       {:<9} measured {value}, bound {bound}: {verdict}", arm.state)?;
            if let Some(instead) = &found.instead {
                let there_was = if instead.is_empty() { "nothing at all".to_owned() } else { instead.join(", ") };
                writeln!(self.out, "#         it names what did not happen; there was {there_was}")?;
            }
        }
        let writers = |arm: &ArmReport| text::find(arm, name).map(|found| found.writers.clone()).unwrap_or_default();
        match arms.as_slice() {
            [fixed, reverted] if writers(fixed) == writers(reverted) => {
                self.writers(&format!("{} and {}", fixed.state, reverted.state), &writers(reverted))
            }
            arms => arms.iter().try_for_each(|arm| self.writers(&arm.state.to_string(), &writers(arm))),
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
        self.progress.show("");
        let skipped = if run.skipped > 0 { format!(", {} skipped", run.skipped) } else { String::new() };
        let summary = if run.otherwise == 0 && run.as_declared == 0 {
            format!("nothing was run: {} skipped", count(run.skipped))
        } else if run.otherwise == 0 {
            format!("{} as declared{skipped}", count(run.as_declared))
        } else {
            format!("{} not as declared, {} as declared{skipped}", count(run.otherwise), run.as_declared)
        };
        writeln!(self.out, "# {summary} in {:.1}s", run.wall)?;
        if self.style.timings {
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

/// `hope NOT FIXED`
fn as_declared(fix: &FixReport) -> String {
    let verdict = fix.verdict.map_or("measured".to_owned(), |verdict| verdict.to_string());
    format!("{} {verdict}", fix.fix.as_deref().unwrap_or_default())
}

fn timings(arm: &ArmReport) -> String {
    let Timings { clone, fork, steps, probes, teardown } = arm.timings;
    format!(
        "{:<32} clone {}, fork {}, steps {}, probes {}, teardown {}",
        text::arm(arm),
        ms(clone),
        ms(fork),
        ms(steps),
        ms(probes),
        ms(teardown)
    )
}
