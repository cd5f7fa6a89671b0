//! What is looked at while an arm is played: at the end of a window, and never again.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::measurement::{Measurement, Now, Sample, Watch};
use super::registry::measurement;
use crate::case::Invariant;
use crate::service::redis::Redis;

/// The samples of an arm.
#[derive(Debug, Default)]
pub struct Samples {
    /// By invariant.
    taken: HashMap<String, Sample>,
    watch: Watch,
}

impl Samples {
    /// A window begins (without a name: the case), with these processes of actors.
    ///
    /// # Errors
    ///
    /// Something cannot be watched.
    pub fn begin<'i>(
        &mut self,
        invariants: impl IntoIterator<Item = (&'i String, &'i Invariant)>,
        window: Option<&str>,
        processes: HashMap<String, u32>,
    ) -> Result<(), String> {
        self.watch.processes.extend(processes);
        for (_, measurement) in of_window(invariants, window) {
            measurement.begin(&mut self.watch, window)?;
        }
        Ok(())
    }

    /// A window ends (without a name: the case).
    pub async fn end<'i>(
        &mut self,
        invariants: impl IntoIterator<Item = (&'i String, &'i Invariant)>,
        window: Option<&str>,
        client: Option<&Client>,
        redis: Option<&Redis>,
    ) {
        for (name, measurement) in of_window(invariants, window) {
            let mut now = Now { window, client, redis, watch: &mut self.watch };
            let sample = measurement.sample(&mut now).await;
            if let Some(sample) = sample {
                self.taken.insert(name.clone(), sample);
            }
        }
    }

    /// What was seen for an invariant.
    pub fn of(&self, invariant: &str) -> Option<&Sample> {
        self.taken.get(invariant)
    }
}

/// The invariants that look at this window.
fn of_window<'i>(
    invariants: impl IntoIterator<Item = (&'i String, &'i Invariant)>,
    window: Option<&str>,
) -> impl Iterator<Item = (&'i String, Box<dyn Measurement + 'i>)> {
    let own = invariants.into_iter().filter(move |(_, invariant)| invariant.of.during() == window);
    own.filter_map(|(name, invariant)| Some((name, measurement(&invariant.of)?)))
}
