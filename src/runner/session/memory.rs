//! The memory of an arm's actors, where an invariant asks for it.

use std::collections::HashMap;

use serde_json::Value;

use super::Session;
use crate::case::Quantity;
use crate::probe::memory::{self, Memory, Peaks};
use crate::runner::arm::explain;

/// What is known of the memory of actors.
#[derive(Default)]
pub(super) struct Memories {
    /// Windows that go on, by actor.
    peaks: HashMap<String, Peaks>,
    /// How far each grew, by actor and window (without one: the case).
    grown: HashMap<(String, Option<String>), Result<Value, String>>,
}

impl Session<'_> {
    /// The actors whose memory an invariant wants to know in this window (without a name: in the case).
    fn remembered(&self, window: Option<&str>) -> Vec<String> {
        let wanted = self.state.invariants.values().filter_map(|invariant| match &invariant.of {
            Quantity::Memory { actor, during } if during.as_deref() == window => Some(actor.clone()),
            _ => None,
        });
        let mut actors: Vec<String> = wanted.collect();
        actors.sort_unstable();
        actors.dedup();
        actors
    }

    /// Begins to watch the memory of actors. One that is not there yet is forked: its start-up is not counted.
    pub async fn watch_memory(&mut self, window: Option<&str>) -> Result<(), String> {
        for actor in self.remembered(window) {
            let process = self.process(&actor).await.map(|process| process.hello.pid);
            let pid = process.map_err(|trouble| explain(&self.log, &format!("start {actor}"), &trouble))?;
            let about = |why: String| format!("the memory of {actor}: {why}");
            let now = Memory::of(pid).map_err(about)?;
            self.memories.peaks.entry(actor.clone()).or_default().begin(window, now);
            memory::reset(pid).map_err(about)?;
        }
        Ok(())
    }

    /// Looks how far actors have grown, at the end of a window.
    pub fn weigh(&mut self, window: Option<&str>) {
        for actor in self.remembered(window) {
            let grown = match self.processes.get(&actor) {
                Some(process) => Memory::of(process.hello.pid),
                None => Err("it is gone".to_owned()),
            };
            let peaks = self.memories.peaks.entry(actor.clone()).or_default();
            let grown = grown.and_then(|now| peaks.end(window, now).ok_or_else(|| "it was not watched".to_owned()));
            let grown = grown.map(Value::from).map_err(|why| format!("the memory of {actor}: {why}"));
            self.memories.grown.insert((actor, window.map(str::to_owned)), grown);
        }
    }

    /// How far an actor grew in a window.
    pub fn grown(&self, actor: &str, during: Option<&str>) -> Result<Value, String> {
        let grown = self.memories.grown.get(&(actor.to_owned(), during.map(str::to_owned)));
        grown.cloned().unwrap_or_else(|| Err(format!("the memory of {actor} was not looked at")))
    }
}
