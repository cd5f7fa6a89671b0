//! How long a wait may take that does not say: twenty times what it took where the bug is away.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::case::{Action, Case};
use crate::deadline;
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
    ///
    /// # Errors
    ///
    /// That the reference arm is played for too long.
    pub async fn deadlines(&self, case: &Case, arm: &Arm) -> Result<HashMap<usize, Duration>, String> {
        if is_reference(case, arm) {
            return Ok(HashMap::new());
        }
        let took = self.took(arm.case, deadline::turn()).await.map_err(|seconds| {
            format!(
                "the arm that its waits are held against is still played after {seconds} s: see its log, or give each wait a                  `within` of its own ({}=SECONDS allows more)",
                deadline::VARIABLE
            )
        })?;
        Ok(took.into_iter().map(|(line, took)| (line, within(took))).collect())
    }

    /// What the reference arm of a case has told, or the seconds that it was waited for.
    async fn took(&self, case: usize, limit: Duration) -> Result<Took, u64> {
        let told = self.cases.lock().get(&case).map(watch::Sender::subscribe);
        let Some(mut told) = told else { return Ok(Took::new()) };
        let told = timeout(limit, told.wait_for(Option::is_some)).await.map_err(|_| limit.as_secs())?;
        // The sender lives as long as the run.
        Ok(told.ok().and_then(|told| told.clone()).unwrap_or_default())
    }
}

fn within(took: Duration) -> Duration {
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
        assert_eq!(within(Duration::from_millis(took)), Duration::from_millis(expected));
    }

    #[tokio::test]
    async fn a_reference_arm_is_not_waited_for_without_end() {
        let told = watch::Sender::new(None);
        let references = References { cases: Mutex::new(HashMap::from([(7, told.clone())])) };
        assert_eq!(references.took(7, Duration::ZERO).await, Err(0));
        told.send_replace(Some(Took::from([(3, LEAST)])));
        assert_eq!(references.took(7, Duration::ZERO).await, Ok(Took::from([(3, LEAST)])));
        assert_eq!(references.took(8, Duration::ZERO).await, Ok(Took::new()), "it has none");
    }
}
