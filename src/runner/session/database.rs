//! The arm's database as the harness sees it: SQL of a case, rows, triggers, statistics.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Session;
use crate::actor::Trouble;
use crate::case::model::{Quantity, RedisField};
use crate::case::resolve::ResolvedActor;
use crate::error::Result;
use crate::probe::journal::{Journal, TaskCounts};
use crate::probe::triggers::{self, Write};
use crate::probe::{keys, rows, server};
use crate::runner::arm::explain;

impl Session<'_> {
    /// Connects the harness anew; a stranger connects when it is asked again.
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        self.strangers.clear();
        self.client = Some(self.server.postgres.client(&self.database).await?);
        Ok(())
    }

    pub(super) fn client(&self) -> Result<&Client, String> {
        self.client.as_ref().ok_or_else(|| "the arm's connection is gone".to_owned())
    }

    /// Installs the triggers that `writers` invariants need; their tables are there by now.
    pub async fn watch_writers(&self) -> Result<(), String> {
        for table in self.written_tables() {
            triggers::install(self.client()?, table).await.map_err(|why| format!("watch who writes {table}: {why}"))?;
        }
        Ok(())
    }

    /// What the triggers recorded of a table.
    pub async fn writes(&self, table: &str) -> Result<Vec<Write>, String> {
        if self.written_tables().contains(&table) {
            triggers::read(self.client()?, table).await
        } else {
            Ok(Vec::new())
        }
    }

    fn written_tables(&self) -> Vec<&str> {
        let wanted = self.state.invariants.values().filter_map(|invariant| match &invariant.of {
            Quantity::Writers { table, .. } => Some(table.as_str()),
            _ => None,
        });
        let mut tables: Vec<&str> = wanted.chain(self.stage.writes_of.as_deref()).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// Runs a statement as the harness, whose role no measurement counts, or as a stranger. The single value that it
    /// returns, or else the number of rows that it touched.
    pub async fn sql(&mut self, actor: Option<&str>, statement: &str) -> Result<Value, Trouble> {
        let refused = |error: tokio_postgres::Error| Trouble::Refused(rows::message(&error));
        if let Some(actor) = actor
            && !self.strangers.contains_key(actor)
            && let Some(ResolvedActor::Stranger { application_name }) = self.state.actors.get(actor)
        {
            let client = self.server.postgres.client(&self.database).await?;
            let name = application_name.replace('\'', "''");
            client.batch_execute(&format!("SET application_name = '{name}'")).await.map_err(refused)?;
            self.strangers.insert(actor.to_owned(), client);
        }
        let client = match actor {
            Some(actor) => self.strangers.get(actor),
            None => self.client.as_ref(),
        };
        let client = client.ok_or_else(|| Trouble::Died("the connection for sql".to_owned()))?;
        let mut value = Value::Null;
        for message in client.simple_query(statement).await.map_err(refused)? {
            match message {
                SimpleQueryMessage::Row(row) if row.len() == 1 => {
                    let text = row.get(0).unwrap_or_default();
                    return Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
                }
                SimpleQueryMessage::CommandComplete(rows) => value = Value::from(rows),
                _ => {}
            }
        }
        Ok(value)
    }

    /// Counts the tables that an invariant wants at the end of this window (without a name: of the case).
    pub async fn count_rows(&mut self, window: Option<&str>) -> Result<(), String> {
        let wanted = self.state.invariants.values().filter_map(|invariant| match &invariant.of {
            Quantity::Rows { table, during } if during.as_deref() == window => Some((table.clone(), during.clone())),
            _ => None,
        });
        for (table, during) in wanted.collect::<Vec<_>>() {
            let count = rows::count(self.client()?, &table).await;
            self.counted.insert((table, during), count);
        }
        Ok(())
    }

    /// Rows of a table, as counted at the end of a window.
    pub fn rows(&self, table: &str, during: Option<&str>) -> Result<Value, String> {
        let key = (table.to_owned(), during.map(str::to_owned));
        self.counted.get(&key).cloned().unwrap_or_else(|| Err(format!("the rows of {table} were not counted")))
    }

    /// What the server says that the app executed in this arm's database, so far.
    pub async fn executed(&self) -> Result<server::Statistics> {
        let postgres = &self.server.postgres;
        let client = postgres.statistics_client().await?;
        server::statistics(&client, postgres.oid_of(&self.database).await?).await
    }

    /// Whether the server can say what it executed: it counts, and has not lost count in a crash.
    pub fn has_statistics(&self) -> bool {
        self.server.postgres.has_statistics() && !self.statistics_lost
    }

    /// Whether an invariant looks at the write-ahead log, which is then read at the ends of every window.
    pub fn wants_wal(&self) -> bool {
        self.state.invariants.values().any(|invariant| matches!(invariant.of, Quantity::WalBytes { .. }))
    }

    /// Keeps the backends of new connections on the arm's processor.
    pub async fn keep_backends(&mut self) -> Result<(), String> {
        let Some(core) = self.core else { return Ok(()) };
        let connections = self.wires.values().map(|wire| wire.postgres.counters().connections).sum();
        if connections > self.kept {
            let statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = $1";
            let rows = self
                .client()?
                .query(statement, &[&self.server.postgres.login(&self.database).user])
                .await
                .map_err(|error| rows::message(&error))?;
            for row in rows {
                core.keep(row.get::<_, i32>(0).cast_unsigned());
            }
            self.kept = connections;
        }
        Ok(())
    }

    /// Asks Redis for what an invariant wants of it at the end of this window (without a name: of the case).
    pub async fn ask_redis(&mut self, window: Option<&str>) {
        let wanted = self.state.invariants.values().filter_map(|invariant| match &invariant.of {
            Quantity::Redis { field, during } if during.as_deref() == window => Some((*field, during.clone())),
            _ => None,
        });
        for (field, during) in wanted.collect::<Vec<_>>() {
            let said = match &self.redis {
                Some(redis) => keys::said(redis, field).await.map_err(|error| error.message),
                None => Err("the arm has no Redis: its settings do not mention $redis".to_owned()),
            };
            self.said.insert((field, during), said.map(Value::from));
        }
    }

    /// Redis does not see the arm's clock: where it moves, the keys are aged. Not while a fault lasts, which may have
    /// taken Redis away.
    pub async fn age_keys(&self, by: Duration) -> Result<()> {
        match &self.redis {
            Some(redis) if self.under_way == 0 => redis.age(by).await,
            _ => Ok(()),
        }
    }

    /// What Redis said at the end of a window.
    pub fn redis_said(&self, field: RedisField, during: Option<&str>) -> Result<Value, String> {
        let said = self.said.get(&(field, during.map(str::to_owned)));
        said.cloned().unwrap_or_else(|| Err("Redis was not asked".to_owned()))
    }

    /// What became of the arm's tasks, where an invariant wants to know.
    pub async fn task_counts(&mut self, journal: &Journal) -> Result<TaskCounts, String> {
        if !self.state.invariants.values().any(|invariant| matches!(invariant.of, Quantity::Tasks(_))) {
            return Ok(TaskCounts::default());
        }
        let said = self.tasks().await.map_err(|trouble| explain(&self.log, "ask django-q2 for its tasks", &trouble))?;
        Ok(journal.tasks(&said))
    }
}
