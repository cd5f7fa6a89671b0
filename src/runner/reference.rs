//! How long a wait may take that does not say: twenty times what it took where the bug is away.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::case::{Action, Case};
use crate::plan::{Arm, State};

/// A wait may take so many times what it took in the reference arm,
const TIMES: u32 = 20;

/// and at least so long: the machine may be busy.
const LEAST: Duration = Duration::from_secs(2);

/// More than that only a hang takes, and what the reference arm waited for in vain.
const MOST: Duration = Duration::from_secs(60);

/// How long waits took, by the line of their step.
type Took = HashMap<usize, Duration>;

/// The reference arms of a run: of each case whose waits need one, the control, else the first fix applied.
#[derive(Debug, Default)]
pub struct References {
    /// By case; `None` until its reference arm has been played.
    cases: Mutex<HashMap<usize, watch::Sender<Option<Took>>>>,
}

impl References {
    /// Of these arms.
    pub fn new(cases: &[Case], arms: &[Arm]) -> Self {
        let references = arms.iter().filter(|arm| is_reference(&cases[arm.case], arm));
        Self { cases: Mutex::new(references.map(|arm| (arm.case, watch::Sender::new(None))).collect()) }
    }

    /// Tells how long the waits of a reference arm took, once it is over: whoever waits for it goes on. Of an arm that
    /// is none, nothing is kept.
    pub fn tell(&self, case: &Case, arm: &Arm, took: Took) {
        if is_reference(case, arm)
            && let Some(told) = self.cases.lock().get(&arm.case)
        {
            told.send_replace(Some(took));
        }
    }

    /// How long each wait of an arm may take: waits until the reference arm has been played. Nothing for the reference
    /// itself, and where there is none.
    pub async fn deadlines(&self, case: &Case, arm: &Arm) -> HashMap<usize, Duration> {
        if is_reference(case, arm) {
            return HashMap::new();
        }
        let told = self.cases.lock().get(&arm.case).map(watch::Sender::subscribe);
        let Some(mut told) = told else { return HashMap::new() };
        // The sender lives as long as the run.
        let Ok(took) = told.wait_for(Option::is_some).await else { return HashMap::new() };
        took.iter().flatten().map(|(line, took)| (*line, deadline(*took))).collect()
    }
}

fn deadline(took: Duration) -> Duration {
    (took * TIMES).clamp(LEAST, MOST)
}

/// Whether others are held against this arm. It comes first in its case.
pub fn is_reference(case: &Case, arm: &Arm) -> bool {
    let is_state = if case.control.is_some() {
        arm.state == State::Control
    } else {
        arm.state == State::Applied && arm.fix.as_ref() == case.fixes.keys().next()
    };
    is_state
        && arm.repetition == 0
        && arm.growth.is_none()
        && arm.resolved.any_step(|action| matches!(action, Action::Wait { within: None, .. }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::quick(10, 2000)]
    #[case::at_the_edge(100, 2000)]
    #[case::slow(2500, 50_000)]
    #[case::in_vain(60_000, 60_000)]
    fn a_wait_may_take_twenty_times_as_long_and_at_least_two_seconds(#[case] took: u64, #[case] expected: u64) {
        assert_eq!(deadline(Duration::from_millis(took)), Duration::from_millis(expected));
    }
}
