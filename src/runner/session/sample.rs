//! What measurements need while an arm is played, and look at when windows end.

use std::collections::HashMap;

use super::Session;
use crate::deadline;
use crate::probe::measurement::Requires;
use crate::probe::registry::measurement;
use crate::probe::triggers::{self, Write};
use crate::probe::window::monotonic_of;
use crate::runner::log::explain;

impl Session<'_> {
    /// Whether a measurement needs something.
    pub fn needs(&self, is_needed: impl Fn(Requires<'_>) -> bool) -> bool {
        self.state
            .invariants
            .values()
            .any(|invariant| measurement(&invariant.of).is_some_and(|it| is_needed(it.requires())))
    }

    /// What measurements of this window (without a name: of the case) look at begins. An actor that one watches and that is
    /// not there yet is forked: its start-up is not counted.
    pub async fn begin_samples(&mut self, window: Option<&str>) -> Result<(), String> {
        let own = self.state.invariants.values().filter(|invariant| invariant.of.during() == window);
        let actors = own.filter_map(|invariant| measurement(&invariant.of)?.requires().process_of.map(str::to_owned));
        let mut processes = HashMap::new();
        for actor in actors.collect::<Vec<_>>() {
            let process = self.process(&actor).await.map(|process| process.hello.pid);
            let pid = process.map_err(|trouble| explain(&self.log, &format!("start {actor}"), &trouble))?;
            processes.insert(actor, pid);
        }
        self.record.samples.begin(&self.state.invariants, window, processes)
    }

    /// What is looked at when a window ends (without a name: the case).
    pub async fn end_samples(&mut self, window: Option<&str>) -> Result<(), String> {
        let (client, redis) = (self.servers.client.as_ref(), self.servers.redis.as_deref());
        let end = async {
            self.record.samples.end(&self.state.invariants, window, client, redis).await;
            Ok(())
        };
        deadline::answer("look at what a window leaves", end).await
    }

    /// Installs the triggers that measurements need; their tables are there by now.
    pub async fn watch_writers(&self) -> Result<(), String> {
        for table in self.written_tables() {
            triggers::install(self.servers.client()?, &table)
                .await
                .map_err(|why| format!("watch who writes {table}: {why}"))?;
        }
        Ok(())
    }

    /// What the triggers recorded, by table.
    pub async fn writes(&self) -> Result<HashMap<String, Vec<Write>>, String> {
        let mut writes = HashMap::new();
        for table in self.written_tables() {
            let has_clock = self.servers.has_clock();
            let machine = |at| if has_clock { self.time.machine(at) } else { monotonic_of(at) };
            let read = triggers::read(self.servers.client()?, &table, machine).await;
            writes.insert(table.clone(), read.map_err(|why| format!("read who wrote {table}: {why}"))?);
        }
        Ok(writes)
    }

    fn written_tables(&self) -> Vec<String> {
        let wanted = self.state.invariants.values();
        let wanted =
            wanted.filter_map(|invariant| measurement(&invariant.of)?.requires().triggers_on.map(str::to_owned));
        let mut tables: Vec<String> = wanted.chain(self.context.writes_of.clone()).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}
