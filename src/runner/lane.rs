//! A lane: it plays one arm after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::case_report::Played;
use super::context::RunContext;
use super::cpu_pin::CpuPin;
use super::event::{Event, Events};
use super::{arm, log};
use crate::case::Case;
use crate::plan::Arm;
use crate::probe::arm_log::ArmLog;

/// Takes the next arm, in the order of the plan, until there is none.
pub struct Lane {
    pub pin: Option<CpuPin>,
    pub cases: Arc<Vec<Case>>,
    pub arms: Arc<[Arm]>,
    pub next: Arc<AtomicUsize>,
    pub context: Arc<RunContext>,
    pub logs: PathBuf,
    pub events: Events,
}

impl Lane {
    /// Until there is none.
    pub async fn run(self, finished: mpsc::Sender<(usize, Played)>) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(arm) = self.arms.get(index) else { return };
            let case = &self.cases[arm.case];
            let log = self.logs.join(format!("{}.log", arm.name(&case.name)));
            let _ = self.events.send(Event::ArmStarted { case: case.name.clone(), state: arm.state.clone() });
            let written = ArmLog::new(log::written_to(&log, &self.context.folder, index));
            let outcome = arm::run(&self.context, case, arm, index, (&written, self.pin), &self.events).await;
            log::keep(written.path(), &log);
            let broken = outcome.measured.as_ref().err().cloned();
            let told = Event::ArmFinished { case: case.name.clone(), state: arm.state.clone(), broken };
            let _ = self.events.send(told);
            if finished.send((index, Played::new(arm.clone(), outcome, log))).await.is_err() {
                return;
            }
        }
    }
}
