//! The life of a server that all arms of a run share: whether it is up, and how often it has died so far.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::deadline;
use crate::service::postgres::QUESTIONS;

/// Between two looks at a server whose arm has broken.
const POLL: Duration = Duration::from_millis(20);

/// The life of a server.
#[derive(Debug)]
pub struct Life {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    deaths: u32,
    is_up: bool,
}

impl Life {
    /// Of a server that answers.
    pub fn new() -> Self {
        Self { state: watch::Sender::new(State { deaths: 0, is_up: true }) }
    }

    /// It has died; says how often so far.
    pub fn ends(&self) -> u32 {
        let mut deaths = 0;
        self.state.send_modify(|state| {
            state.deaths += 1;
            state.is_up = false;
            deaths = state.deaths;
        });
        deaths
    }

    /// It is up again.
    pub fn goes_on(&self) {
        self.state.send_modify(|state| state.is_up = true);
    }

    /// How often it has died so far, as soon as it is up.
    pub async fn up(&self) -> u32 {
        let mut state = self.state.subscribe();
        // The sender lives as long as we do; where the server does not come back, the run ends.
        state.wait_for(|state| state.is_up).await.map_or(0, |state| state.deaths)
    }

    /// Resolves when it has died more often than that.
    pub async fn died(&self, before: u32) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| state.deaths > before).await;
    }

    /// Whether it has died since: asked when something on it has failed, which may be seen before its death is.
    pub async fn has_died<F: Future<Output = bool>>(&self, before: u32, answers: impl Fn() -> F) -> bool {
        // Whoever watches over it asks it so often, and waits so long for an answer.
        let deadline = Instant::now() + QUESTIONS + 2 * deadline::step();
        while self.state.borrow().deaths == before {
            if answers().await {
                return self.state.borrow().deaths > before;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}
