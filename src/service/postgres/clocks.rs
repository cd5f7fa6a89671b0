//! The arms' clocks in a server: each backend has that of the arm that it works for.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use dj_regress_protocol::clock::Pace;
use tokio_postgres::Client;

use super::connection::answered;
use super::server::Postgres;
use crate::clock::{ArmBackends, Clock, Clocks, ServerClocks};
use crate::error::Result;

/// Between what was asked for and what a backend shows that heeds it.
const NEAR: Duration = Duration::from_mins(1);

impl Postgres {
    /// What gives this arm's backends its clock; nothing where the server cannot be reached by one.
    pub fn backends(&self, clock: &Arc<Clock>) -> Option<Arc<ArmBackends>> {
        let server = self.clocks.as_ref()?;
        Some(Arc::new(ArmBackends::new(Arc::clone(server), Arc::clone(clock))))
    }

    /// As [`Postgres::client`], for a connection that is the arm's: its backend has the arm's clock.
    ///
    /// # Errors
    ///
    /// Cannot run if the server refuses.
    pub async fn client_of(&self, database: &str, backends: Option<&Arc<ArmBackends>>) -> Result<Client> {
        let client = self.client(database).await?;
        if let Some(backends) = backends {
            backends.give(pid(&client).await?);
        }
        Ok(client)
    }

    /// Whether what a backend is given is what it shows: the dynamic linker does not preload everywhere.
    pub(super) async fn heeds(&self, clocks: &Clocks, server: &ServerClocks) -> Result<bool> {
        let moment = UNIX_EPOCH + Duration::from_hours(24);
        let (clock, admin) = (clocks.clock(Pace::Goes, moment)?, self.admin());
        let pid = pid(&admin).await?;
        server.give(pid, &clock);
        let asked = admin.query_one("SELECT extract(epoch FROM clock_timestamp())::float8", &[]);
        let row = answered("ask the server for its time", asked).await;
        server.take(pid, &clock);
        let found: f64 = row?.get(0);
        let moment = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok((moment.as_secs_f64()..(moment + NEAR).as_secs_f64()).contains(&found))
    }
}

/// The process id of a client's backend, as the server knows it.
async fn pid(client: &Client) -> Result<u32> {
    let row = answered("ask for a backend's process id", client.query_one("SELECT pg_backend_pid()", &[])).await?;
    Ok(row.get::<_, i32>(0).unsigned_abs())
}
