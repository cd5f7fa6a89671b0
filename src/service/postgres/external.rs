//! A server that somebody else runs: the run makes and drops databases of its own there, and touches no other.
//!
//! All of them begin with `dj_regress_` and a part of the run's token, and have the token as their comment. The app
//! logs in as a role of the run, if one can be made, else as the user of the URL.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::connection::{connect, failed};
use crate::error::{Context as _, Error, Result};
use crate::service::address::PostgresUrl;
use crate::service::lifecycle::Change;
use crate::service::locate::LEAST_POSTGRES;
use crate::service::run_directory::RunDirectory;

/// Digits of the token in names: Postgres cuts names after 63 bytes.
const DIGITS: usize = 8;

/// Between two looks for backends that were told to end.
const BACKENDS_POLL: Duration = Duration::from_millis(10);

/// What a run has on somebody else's server.
#[derive(Debug)]
pub(super) struct External {
    pub url: PostgresUrl,
    pub token: String,
    pub run_directory: Arc<RunDirectory>,
    /// The database that has `pg_stat_statements`, where it can be used.
    pub statistics: Option<String>,
    /// What the server compares the app's password with; none, where the run can make no role.
    pub verifier: Option<String>,
}

/// What the user of the URL may do.
pub(super) struct Rights {
    pub user: String,
    pub is_superuser: bool,
    pub may_create_roles: bool,
    pub version: String,
}

/// What the names of a run's databases begin with.
pub(super) fn prefix(token: &str) -> String {
    format!("dj_regress_{}_", &token[..DIGITS.min(token.len())])
}

pub(super) fn role(token: &str) -> String {
    format!("dj_regress_app_{}", &token[..DIGITS.min(token.len())])
}

/// What the harness's connections of a run are called, so that whoever comes after it can end them.
pub(super) fn application(token: &str) -> String {
    format!("dj-regress {}", &token[..DIGITS.min(token.len())])
}

impl External {
    /// How the harness connects to one of its databases.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = self.url.config(database);
        config.application_name(application(&self.token));
        config
    }

    /// What makes the role of one arm, a member of the run's, with the run's password.
    pub fn role_statement(&self, role: &str, run: &str, verifier: &str) -> String {
        // Whoever is no superuser must be a member to give databases to the role.
        format!(
            "BEGIN; CREATE ROLE {role} LOGIN NOSUPERUSER PASSWORD '{verifier}' IN ROLE {run}; \
             COMMENT ON ROLE {role} IS '{}'; {}; COMMIT",
            self.token,
            membership(role)
        )
    }

    /// Removes all that the run has on the server.
    pub async fn finish(&self, admin: &Client) -> Result<()> {
        remove(admin, &self.token).await?;
        self.run_directory.note(|elsewhere| elsewhere.postgres = None)
    }

    /// For what can only be done to a server of our own.
    pub fn not_ours(&self, what: Change) -> Error {
        Error::cannot_run(format!("{what} {}: somebody else runs it", self.url))
    }
}

impl Rights {
    pub async fn of(admin: &Client, url: &PostgresUrl) -> Result<Self> {
        let statement = "SELECT rolname::text, rolsuper, rolcreatedb, rolcreaterole, \
                         current_setting('server_version_num')::int, current_setting('server_version') \
                         FROM pg_roles WHERE rolname = current_user";
        let row = admin.query_one(statement, &[]).await.map_err(|error| failed(&format!("ask {url}"), &error))?;
        let (user, is_superuser, may_create): (String, bool, bool) = (row.get(0), row.get(1), row.get(2));
        let (number, version): (i32, String) = (row.get(4), row.get(5));
        if number / 10_000 < LEAST_POSTGRES.cast_signed() {
            let message = format!("{url} is PostgreSQL {version}: {LEAST_POSTGRES} or later is needed");
            return Err(Error::cannot_run(message).hint("give a newer server, or use --services local"));
        }
        if !is_superuser && !may_create {
            return Err(Error::cannot_run(format!("{url}: the user {user} may not make databases"))
                .hint(format!("as a superuser: ALTER ROLE {user} CREATEDB CREATEROLE")));
        }
        Ok(Self { user, is_superuser, may_create_roles: is_superuser || row.get(3), version })
    }
}

/// Connects to the database of the URL, as nobody's in particular.
pub(super) async fn log_in(url: &PostgresUrl) -> Result<Client> {
    log_in_as(url, "dj-regress").await
}

pub(super) async fn log_in_as(url: &PostgresUrl, application: &str) -> Result<Client> {
    let mut config = url.config(&url.database);
    config.application_name(application);
    connect(&config).await.map_err(|error| failed(&format!("connect to {url}"), &error))
}

/// Says what is there, and whether a run could use it; changes nothing.
pub async fn look_at(url: &PostgresUrl) -> Result<String> {
    let rights = Rights::of(&log_in(url).await?, url).await?;
    let role = if rights.may_create_roles { "a role" } else { "no role" };
    Ok(format!("{} at {url}; the app gets {role} of its own", rights.version))
}

/// Removes what a run that is over has on a server that somebody else runs; says what that was.
pub async fn undo(url: &PostgresUrl, token: &str) -> Result<Vec<String>> {
    let admin = log_in(url).await?;
    end_backends(&admin, token).await?;
    let removed = remove(&admin, token).await?;
    Ok(removed.into_iter().map(|name| format!("{name} of {url}")).collect())
}

/// A superuser needs no membership, and is a member of all.
fn membership(role: &str) -> String {
    format!(
        "DO $$ BEGIN IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \
         THEN GRANT {role} TO CURRENT_USER; END IF; END $$"
    )
}

/// Ends the backends of a run that is over. They finish what they were told though nobody listens any more: a database
/// that is being copied would come up after all others were dropped.
async fn end_backends(admin: &Client, token: &str) -> Result<()> {
    let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()";
    loop {
        let row = admin.query_one(statement, &[&application(token)]).await;
        let left: i64 = row.map_err(|error| failed("end the backends of the run", &error))?.get(0);
        if left == 0 {
            return Ok(());
        }
        // Whoever undoes has a deadline for all of it.
        tokio::time::sleep(BACKENDS_POLL).await;
    }
}

/// Drops the databases and the roles of the run with this token, and nothing else.
async fn remove(admin: &Client, token: &str) -> Result<Vec<String>> {
    // A database without a comment was made a moment before everything ended: its name has the token, too.
    let databases = "SELECT datname::text FROM pg_database d WHERE starts_with(datname::text, $1) \
                     AND coalesce(shobj_description(d.oid, 'pg_database'), $2) = $2 ORDER BY oid";
    // The run's, and those of its arms.
    let roles = "SELECT rolname::text FROM pg_roles r WHERE starts_with(rolname::text, $1) \
                 AND shobj_description(r.oid, 'pg_authid') = $2 ORDER BY oid DESC";
    let (prefix, role) = (prefix(token), role(token));
    let mut removed = Vec::new();
    for (kind, statement, name, how) in [("database", databases, &prefix, " WITH (FORCE)"), ("role", roles, &role, "")]
    {
        let rows = admin.query(statement, &[name, &token]).await;
        for row in rows.cannot_run(|| format!("look for what the run has made: each {kind}"))? {
            let name: String = row.get(0);
            let drop = format!("DROP {kind} IF EXISTS \"{name}\"{how}");
            admin.batch_execute(&drop).await.map_err(|error| failed(&format!("drop the {kind} {name}"), &error))?;
            removed.push(format!("{kind} {name}"));
        }
    }
    Ok(removed)
}
