//! The arm's database as the harness sees it: SQL of a case, statistics.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Session;
use crate::actor::Trouble;
use crate::case::resolve::ResolvedActor;
use crate::deadline;
use crate::error::Result;
use crate::probe::journal::{Journal, TaskCounts};
use crate::probe::{server, sql};
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

    /// Runs a statement as the harness, whose role no measurement counts, or as a stranger. The single value that it
    /// returns, or else the number of rows that it touched.
    pub async fn sql(&mut self, actor: Option<&str>, statement: &str) -> Result<Value, Trouble> {
        let run = self.run_sql(actor, statement);
        timeout(deadline::step(), run)
            .await
            .unwrap_or_else(|_| Err(deadline::passed(deadline::step(), statement).into()))
    }

    async fn run_sql(&mut self, actor: Option<&str>, statement: &str) -> Result<Value, Trouble> {
        let refused = |error: tokio_postgres::Error| Trouble::Refused(sql::message(&error));
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

    /// What the server says that the app executed in this arm's database, so far.
    pub async fn executed(&self) -> Result<server::Statistics> {
        let postgres = &self.server.postgres;
        let client = postgres.statistics_client().await?;
        server::statistics(&client, postgres.oid_of(&self.database).await?, &postgres.app().user).await
    }

    /// Whether the server can say what it executed: it counts, and has not lost count in a crash.
    pub fn has_statistics(&self) -> bool {
        self.server.postgres.has_statistics() && !self.statistics_lost
    }

    /// Keeps the backends of new connections on the arm's processor.
    pub async fn keep_backends(&mut self) -> Result<(), String> {
        let Some(core) = self.core else { return Ok(()) };
        let connections = self.wires.values().map(|wire| wire.postgres.counters().connections).sum();
        if connections > self.kept {
            let statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = $1";
            let user = &self.server.postgres.app().user;
            let ask = async { self.client()?.query(statement, &[user]).await.map_err(|error| sql::message(&error)) };
            for row in deadline::answer("ask for the arm's backends", ask).await? {
                core.keep(row.get::<_, i32>(0).cast_unsigned());
            }
            self.kept = connections;
        }
        Ok(())
    }

    /// Redis does not see the arm's clock: where it moves, the keys are aged. Not while a fault lasts, which may have
    /// taken Redis away.
    pub async fn age_keys(&self, by: Duration) -> Result<()> {
        match &self.redis {
            Some(redis) if self.under_way == 0 => redis.age(by).await,
            _ => Ok(()),
        }
    }

    /// What became of the arm's tasks, where an invariant wants to know.
    pub async fn task_counts(&mut self, journal: &Journal) -> Result<TaskCounts, String> {
        if !self.needs(|needs| needs.tasks) {
            return Ok(TaskCounts::default());
        }
        let said = self.tasks().await.map_err(|trouble| explain(&self.log, "ask django-q2 for its tasks", &trouble))?;
        Ok(journal.tasks(&said))
    }
}
