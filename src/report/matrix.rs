//! Cases over releases, as tables on standard output.

use std::io::{self, Write};

use super::release_table::{ReleaseTable, Row};
use super::{Progress, Reporter, terminal, text};
use crate::error::Result;
use crate::runner::{CaseReport, Event, RunReport};

/// Prints a table per case as soon as its last release is measured.
pub struct Matrix<W: Write> {
    out: W,
    progress: Progress,
    sheets: Vec<Filling>,
}

/// A table that is being filled.
struct Filling {
    sheet: ReleaseTable,
    /// Releases, and the name that the case has at each.
    releases: Vec<(String, String)>,
    rows: Vec<Row>,
}

impl Matrix<io::Stdout> {
    /// Tables on standard output: each with its releases, and the name that the case has at each.
    pub fn new(sheets: impl IntoIterator<Item = (ReleaseTable, Vec<(String, String)>)>) -> Self {
        let filling = |(sheet, releases)| Filling { sheet, releases, rows: Vec::new() };
        Self { out: terminal::out(), progress: Progress::new(), sheets: sheets.into_iter().map(filling).collect() }
    }
}

impl<W: Write> Reporter for Matrix<W> {
    fn event(&mut self, event: &Event) -> Result<()> {
        terminal::unless_gone(match event {
            Event::Preparing(what) | Event::Hurt(what) => {
                self.progress.announce(what);
                Ok(())
            }
            Event::ArmStarted { case, .. } => {
                self.progress.show(case);
                Ok(())
            }
            Event::ArmFinished { .. } => {
                self.progress.show("");
                Ok(())
            }
            Event::Ready(setting) => self.say(&text::setting(setting)),
            Event::CaseFinished(case) => self.case(case),
            Event::Finished(run) => self.finished(run),
        })
    }
}

impl<W: Write> Matrix<W> {
    fn case(&mut self, case: &CaseReport) -> io::Result<()> {
        for filling in &mut self.sheets {
            let Some((release, _)) = filling.releases.iter().find(|(_, name)| *name == case.name) else { continue };
            filling.rows.push(filling.sheet.row(release, case));
            if filling.rows.len() == filling.releases.len() {
                let lines = filling.sheet.lines(&filling.rows);
                return self.say(&lines);
            }
        }
        Ok(())
    }

    fn finished(&mut self, run: &RunReport) -> io::Result<()> {
        let ran = run.as_declared + run.otherwise;
        let skipped = if run.skipped > 0 { format!(", {} skipped", run.skipped) } else { String::new() };
        let runs = if ran == 1 { "run" } else { "runs" };
        self.say(&[format!("# {ran} {runs}{skipped} in {:.1}s", run.wall)])
    }

    fn say(&mut self, lines: &[String]) -> io::Result<()> {
        self.progress.show("");
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}
