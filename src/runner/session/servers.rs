//! The servers of an arm, and the harness's own connections to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dj_regress_protocol::clock::Pace;
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::losses::Losses;
use super::web::Web;
use crate::actor::StepError;
use crate::case::{Actor, State};
use crate::clock::{ArmBackends, Clock};
use crate::deadline;
use crate::error::Result;
use crate::probe::{reading, server, sql};
use crate::proxy::{RedisClock, ServerClock, TimeAsked, asks_for_time};
use crate::runner::template_server::TemplateServer;
use crate::service::nginx::Nginx;
use crate::service::postgres::Postgres;
use crate::service::redis::Redis;

/// How long it may take until the death of a server is told that does not answer.
const NOTICE: Duration = Duration::from_secs(2);

/// An arm's servers.
pub struct Servers {
    /// The run's, or the arm's own.
    pub server: Arc<TemplateServer>,
    /// Whether it is the run's.
    pub is_shared: bool,
    /// The arm's database there.
    pub database: String,
    /// The arm's, where it needs one.
    pub redis: Option<Arc<Redis>>,
    /// The harness's connection to the database.
    pub client: Option<Client>,
    /// Connections of outside clients, by actor.
    outside: HashMap<String, Client>,
    losses: Losses,
    /// Whether the server's statistics are gone, as they are after a crash.
    pub statistics_lost: bool,
    /// Gives the arm's backends its clock; nothing where the Postgres has the machine's time.
    backends: Option<Arc<ArmBackends>>,
    /// What a Postgres was asked that has the machine's time.
    asked_postgres: TimeAsked,
    /// What a Redis, or an nginx, was asked that has the machine's time.
    pub asked_others: TimeAsked,
}

impl Servers {
    /// Nobody is connected yet.
    pub fn new(server: Arc<TemplateServer>, is_shared: bool, arm: usize, clock: &Arc<Clock>) -> Self {
        Self {
            backends: server.postgres.backends(clock),
            asked_postgres: TimeAsked::default(),
            asked_others: TimeAsked::default(),
            database: server.postgres.database_name(arm),
            server,
            is_shared,
            redis: None,
            client: None,
            outside: HashMap::new(),
            losses: Losses::new(),
            statistics_lost: false,
        }
    }

    /// The Postgres.
    pub fn postgres(&self) -> &Postgres {
        &self.server.postgres
    }

    /// Connects the harness anew; an outside client connects when it is asked again.
    pub async fn reconnect(&mut self) -> Result<()> {
        self.outside.clear();
        self.client = Some(self.connect().await?);
        Ok(())
    }

    /// A connection whose backend has the arm's clock, as those of the app.
    async fn connect(&self) -> Result<Client> {
        self.postgres().client_of(&self.database, self.backends.as_ref()).await
    }

    /// Whether the backends of the arm have its clock.
    pub fn has_clock(&self) -> bool {
        self.backends.is_some()
    }

    /// Whose time the backends of actors have.
    pub fn clock(&self) -> ServerClock {
        match &self.backends {
            Some(backends) => ServerClock::Arm(Arc::clone(backends)),
            None => ServerClock::Machine(self.asked_postgres.clone()),
        }
    }

    /// Whose time the Redis has.
    pub fn clock_of(&self, redis: &Redis) -> RedisClock {
        match redis.pace() {
            Some(Pace::Stands) => RedisClock::Stands,
            Some(Pace::Goes) => RedisClock::Goes,
            None => RedisClock::Machine(self.asked_others.clone()),
        }
    }

    /// Says that a server was asked for the time which has another than the arm, if one was.
    pub fn strange_time(&self) -> Result<(), String> {
        match self.asked_postgres.asked().or_else(|| self.asked_others.asked()) {
            Some(asked) => Err(format!("a server that has not the arm's time was asked for it: `{asked}`")),
            None => Ok(()),
        }
    }

    /// The harness's connection.
    pub fn client(&self) -> Result<&Client, String> {
        self.client.as_ref().ok_or_else(|| "the arm's connection is gone".to_owned())
    }

    /// Runs a statement as the harness, whose role no measurement counts, or as an outside client. `is_read`: the single value
    /// that it returns, as the type of its column says, or else the number of rows that it touched.
    pub async fn sql(
        &mut self,
        state: &State,
        actor: Option<&str>,
        statement: &str,
        is_read: bool,
    ) -> Result<Value, StepError> {
        let run = self.run_sql(state, actor, statement, is_read);
        timeout(deadline::step(), run)
            .await
            .unwrap_or_else(|_| Err(deadline::passed(deadline::step(), statement).into()))
    }

    async fn run_sql(
        &mut self,
        state: &State,
        actor: Option<&str>,
        statement: &str,
        is_read: bool,
    ) -> Result<Value, StepError> {
        let refused = |error: tokio_postgres::Error| StepError::Refused(sql::message(&error));
        if self.backends.is_none() && asks_for_time(statement) {
            self.asked_postgres.ask(statement);
        }
        if let Some(actor) = actor
            && !self.outside.contains_key(actor)
            && let Some(Actor::Stranger { application_name }) = state.actors.get(actor)
        {
            let client = self.connect().await?;
            let name = application_name.replace('\'', "''");
            client.batch_execute(&format!("SET application_name = '{name}'")).await.map_err(refused)?;
            self.outside.insert(actor.to_owned(), client);
        }
        let client = match actor {
            Some(actor) => self.outside.get(actor),
            None => self.client.as_ref(),
        };
        let client = client.ok_or_else(|| StepError::Died("the connection for sql".to_owned()))?;
        if !is_read {
            client.simple_query(statement).await.map_err(refused)?;
            return Ok(Value::Null);
        }
        // The types of columns are known of one statement only.
        let prepared = client.prepare(statement).await.map_err(refused)?;
        let messages = client.simple_query(statement).await.map_err(refused)?;
        let rows: Vec<_> = messages
            .iter()
            .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None })
            .collect();
        match (prepared.columns(), rows.as_slice()) {
            ([], _) => {
                let touched = messages.iter().find_map(|message| match message {
                    SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                    _ => None,
                });
                Ok(touched.map_or(Value::Null, Value::from))
            }
            ([column], [row]) => Ok(reading::of_column(column.type_(), row.get(0))),
            (columns, rows) => Err(StepError::Refused(format!(
                "a reading is one value, and this gives {} rows of {} columns",
                rows.len(),
                columns.len()
            ))),
        }
    }

    /// What the server says that the app executed in this arm's database, so far.
    pub async fn executed(&self) -> Result<server::Statistics> {
        let postgres = self.postgres();
        let client = postgres.statistics_client().await?;
        server::statistics(&client, postgres.oid_of(&self.database).await?).await
    }

    /// Whether the server can say what it executed: it counts, and has not lost count in a crash.
    pub fn has_statistics(&self) -> bool {
        self.postgres().has_statistics() && !self.statistics_lost
    }

    /// Backends of an actor that wait for each other.
    pub async fn blocked_backends(&self, actor: &str) -> Result<usize, StepError> {
        let statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND application_name = $1 AND state = 'active' AND wait_event_type = 'Lock'";
        let client = self.client().map_err(StepError::Refused)?;
        let name = format!("dj-regress/{actor}");
        let ask = async { client.query_one(statement, &[&name]).await.map_err(|error| error.to_string()) };
        let row = deadline::answer("ask who waits for a lock", ask).await;
        let count: i64 = row.map_err(StepError::Refused)?.get(0);
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Transactions of the app that are open, by actor: each with its process of the server and its beginning.
    pub async fn open_transactions(&self) -> Result<Vec<(String, String)>, String> {
        let statement = "SELECT application_name, pid || ' ' || xact_start FROM pg_stat_activity \
                         WHERE datname = current_database() AND usename = $1 AND state LIKE 'idle in transaction%'";
        let user = self.postgres().login(&self.database).user;
        let client = self.client()?;
        let ask = async { client.query(statement, &[&user]).await.map_err(|error| sql::message(&error)) };
        let rows = deadline::answer("ask for open transactions", ask).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get::<_, Option<String>>(1).unwrap_or_default())).collect())
    }

    /// Watches the servers that are the arm's own from now on, unless its case hurts servers.
    pub fn watch(&mut self, state: &State) {
        if state.server_faults() {
            return;
        }
        // One that somebody else runs is watched for all arms.
        if let Some(redis) = self.redis.as_ref().filter(|redis| redis.is_ours()) {
            self.losses.watch("the Redis of an arm", redis.died());
        }
        if !self.is_shared {
            let server = Arc::clone(&self.server);
            self.losses.watch("the Postgres of an arm", async move { server.postgres.died().await });
        }
    }

    /// Watches an nginx of the arm from now on.
    pub fn watch_nginx(&mut self, state: &State, nginx: &Nginx) {
        if !state.server_faults() {
            self.losses.watch("the nginx of an arm", nginx.died());
        }
    }

    /// Tells how a server of the arm's own has died, if one does.
    pub fn losses(&mut self) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel(1);
        self.losses.sender = sender;
        receiver
    }

    /// How a server was lost, after something has gone wrong: that may be seen before the loss is.
    pub async fn lost(&self, web: &Web, losses: &mut Receiver<String>) -> Option<String> {
        if let Ok(how) = losses.try_recv() {
            return Some(how);
        }
        if self.losses.watching.is_empty() {
            return None;
        }
        let redis = async {
            match &self.redis {
                Some(redis) => redis.answers().await,
                None => true,
            }
        };
        if redis.await && (self.is_shared || self.postgres().answers().await) && web.answers().await {
            return None;
        }
        timeout(NOTICE, losses.recv()).await.ok().flatten()
    }

    /// Closes the harness's connections.
    pub async fn disconnect(&mut self) {
        // They hold the servers, and must not take their end for a death.
        self.losses.end().await;
        drop(self.client.take());
        self.outside.clear();
    }
}
