//! `memory`: how far an actor's process grew at its peak, in bytes.

use std::future::ready;

use super::measurement::{Measurement, Now, Requires, Sample, Sampling, Watch};
use super::peaks::{self, Memory};

/// How far a process grew.
pub struct GrownMemory<'m> {
    /// The actor: one process of ours.
    pub actor: &'m str,
}

impl Measurement for GrownMemory<'_> {
    fn requires(&self) -> Requires<'_> {
        Requires { process_of: Some(self.actor), ..Requires::default() }
    }

    fn begin(&self, watch: &mut Watch, window: Option<&str>) -> Result<(), String> {
        let pid = self.pid(watch)?;
        let now = Memory::of(pid).map_err(|why| self.about(&why))?;
        watch.peaks.entry(self.actor.to_owned()).or_default().begin(window, now);
        peaks::reset(pid).map_err(|why| self.about(&why))
    }

    fn sample<'s>(&'s self, now: &'s mut Now<'_>) -> Sampling<'s> {
        Box::pin(ready(Some(self.grown(now))))
    }

    /// By magnitude only: what the allocator keeps and gives back depends on what came before.
    fn tolerance(&self) -> Option<f64> {
        Some(1.0)
    }
}

impl GrownMemory<'_> {
    fn grown(&self, now: &mut Now<'_>) -> Sample {
        let memory = Memory::of(self.pid(now.watch)?).map_err(|why| self.about(&why))?;
        let peaks = now.watch.peaks.entry(self.actor.to_owned()).or_default();
        peaks.end(now.window, memory).map(Into::into).ok_or_else(|| self.about("it was not watched"))
    }

    fn pid(&self, watch: &Watch) -> Result<u32, String> {
        watch.processes.get(self.actor).copied().ok_or_else(|| self.about("it is gone"))
    }

    fn about(&self, why: &str) -> String {
        format!("the memory of {}: {why}", self.actor)
    }
}
