//! A server that somebody else runs: the run makes and drops databases of its own there, and touches no other.
//!
//! All of them begin with `dj_regress_` and a part of the run's token, and have the token as their comment. The app
//! logs in as a role of the run, if one can be made, else as the user of the URL.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::{Host, Login, Postgres, State, connect, failed};
use crate::error::{Context as _, Error, Result};
use crate::service::address::PostgresUrl;
use crate::service::locate::LEAST_POSTGRES;
use crate::service::run_directory::RunDirectory;
use crate::service::secret::{self, Secret};

/// Digits of the token in names: Postgres cuts names after 63 bytes.
const DIGITS: usize = 8;

/// Between two looks for backends that were told to end.
const BACKENDS_POLL: Duration = Duration::from_millis(10);

/// What a run has on somebody else's server.
#[derive(Debug)]
pub(super) struct Given {
    pub url: PostgresUrl,
    pub token: String,
    run_directory: Arc<RunDirectory>,
    /// The database that has `pg_stat_statements`, where it can be used.
    pub statistics: Option<String>,
    /// What the server compares the app's password with; none, where the run can make no role.
    pub verifier: Option<String>,
}

/// What the user of the URL may do.
struct Rights {
    user: String,
    is_superuser: bool,
    may_create_roles: bool,
    version: String,
}

/// What the names of a run's databases begin with.
fn prefix(token: &str) -> String {
    format!("dj_regress_{}_", &token[..DIGITS.min(token.len())])
}

fn role(token: &str) -> String {
    format!("dj_regress_app_{}", &token[..DIGITS.min(token.len())])
}

/// What the harness's connections of a run are called, so that whoever comes after it can end them.
fn application(token: &str) -> String {
    format!("dj-regress {}", &token[..DIGITS.min(token.len())])
}

impl Postgres {
    /// Connects to a server that somebody else runs, and makes the app's role there; also says what cannot be had.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not answer, is too old, or the user may not make databases.
    pub(in crate::service) async fn open_given(
        url: &PostgresUrl,
        run_directory: &Arc<RunDirectory>,
    ) -> Result<(Self, Vec<String>)> {
        let (token, mut notes) = (run_directory.token(), Vec::new());
        let admin = log_in_as(url, &application(&token)).await?;
        let rights = Rights::of(&admin, url).await?;
        run_directory.note(|elsewhere| elsewhere.postgres = Some(url.clone()))?;
        let own = make_role(&admin, url, &rights, &token).await;
        let (app, verifier) = own.unwrap_or_else(|why| {
            notes.push(format!("the app logs in as {} itself, in all arms: {why}", rights.user));
            (Login { user: url.user.clone(), password: url.password.clone() }, None)
        });
        let has_own_role = verifier.is_some();
        let run_directory = Arc::clone(run_directory);
        let given = Given { url: url.clone(), token, run_directory, statistics: None, verifier };
        let prefix = prefix(&given.token);
        let mut postgres = Self::new(Host::Given(given), admin, app, prefix, State::default()).await?;
        let statistics = if has_own_role {
            postgres.find_statistics(&rights).await?
        } else {
            Err("the app has no role of its own, so its statements cannot be told apart".to_owned())
        };
        match (statistics, &mut postgres.host) {
            (Ok(database), Host::Given(given)) => given.statistics = Some(database),
            (Err(why), _) => notes.push(format!("no pg_stat_statements: {why}")),
            (Ok(_), Host::Local(_) | Host::Contained(_)) => {}
        }
        Ok((postgres, notes))
    }

    /// The database in which `pg_stat_statements` can be read, or why there is none. One without the extension is
    /// never given it: a superuser gets a database for it.
    async fn find_statistics(&self, rights: &Rights) -> Result<Result<String, String>> {
        let Host::Given(given) = &self.host else { return Ok(Err("not a given server".to_owned())) };
        if self.major < 14 {
            return Ok(Err(format!("it cannot be trusted before PostgreSQL 14, this is {}", self.version)));
        }
        let database = if has_extension(&self.admin()).await? {
            given.url.database.clone()
        } else if rights.is_superuser && is_loaded(&self.admin()).await? {
            let name = self.name("statistics");
            self.create("template0", &name).await?;
            let made = self.client(&name).await?.batch_execute("CREATE EXTENSION pg_stat_statements").await;
            if let Err(error) = made {
                return Ok(Err(failed("make the extension", &error).message));
            }
            name
        } else {
            return Ok(Err("the server has not loaded it, or the extension is not there".to_owned()));
        };
        let client = self.client(&database).await?;
        Ok(usable(&client).await.map(|()| database))
    }
}

impl Given {
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
    pub fn not_ours(&self, what: &str) -> Error {
        Error::cannot_run(format!("{what} {}: somebody else runs it", self.url))
    }
}

impl Rights {
    async fn of(admin: &Client, url: &PostgresUrl) -> Result<Self> {
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
async fn log_in(url: &PostgresUrl) -> Result<Client> {
    log_in_as(url, "dj-regress").await
}

async fn log_in_as(url: &PostgresUrl, application: &str) -> Result<Client> {
    let mut config = url.config(&url.database);
    config.application_name(application);
    connect(&config).await.map_err(|error| failed(&format!("connect to {url}"), &error))
}

/// Makes the role of the app and tries it; or says why the app has none.
async fn make_role(
    admin: &Client,
    url: &PostgresUrl,
    rights: &Rights,
    token: &str,
) -> Result<(Login, Option<String>), String> {
    if !rights.may_create_roles {
        return Err(format!("{} may not create roles", rights.user));
    }
    let (user, password) = (role(token), secret::random().map_err(|error| error.to_string())?);
    // The password itself would be in the server's log.
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    // Who is no superuser must be a member to give databases to the role, and to drop them.
    let membership = if rights.is_superuser { String::new() } else { format!("GRANT {user} TO CURRENT_USER;") };
    let make = format!(
        "BEGIN; CREATE ROLE {user} LOGIN NOSUPERUSER PASSWORD '{verifier}'; COMMENT ON ROLE {user} IS '{token}'; \
         {membership} COMMIT"
    );
    if let Err(error) = admin.batch_execute(&make).await {
        // There is nothing to roll back if it did not begin.
        let _ = admin.batch_execute("ROLLBACK").await;
        return Err(failed("make a role", &error).message);
    }
    let login = PostgresUrl { user: user.clone(), password: Some(Secret::new(password)), ..url.clone() };
    match log_in(&login).await {
        Ok(_) => Ok((Login { user, password: login.password }, Some(verifier))),
        Err(error) => {
            let dropped = admin.batch_execute(&format!("DROP ROLE {user}")).await;
            dropped.map_err(|error| failed(&format!("drop {user}"), &error).message)?;
            Err(format!("a role of its own cannot log in: {}", error.message))
        }
    }
}

/// A superuser needs no membership, and is a member of all.
fn membership(role: &str) -> String {
    format!(
        "DO $$ BEGIN IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \
         THEN GRANT {role} TO CURRENT_USER; END IF; END $$"
    )
}

async fn has_extension(client: &Client) -> Result<bool> {
    ask(client, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')").await
}

/// Whether the server has the library; only a superuser may know.
async fn is_loaded(client: &Client) -> Result<bool> {
    ask(client, "SELECT current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%'").await
}

async fn ask(client: &Client, statement: &str) -> Result<bool> {
    let row = client.query_one(statement, &[]).await.map_err(|error| failed("look for pg_stat_statements", &error))?;
    Ok(row.get(0))
}

/// Whether everything that the app does is counted, once, and can be read.
async fn usable(client: &Client) -> Result<(), String> {
    let statement = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), \
                     current_setting('pg_stat_statements.track') = 'top', \
                     current_setting('compute_query_id') IN ('on', 'auto'), \
                     dealloc FROM pg_stat_statements_info";
    let row = client.query_one(statement, &[]).await.map_err(|error| failed("read it", &error).message)?;
    let (is_readable, is_top, is_identified): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    let dropped: i64 = row.get(3);
    if !is_readable {
        return Err("the user may not read other roles' statements (GRANT pg_read_all_stats)".to_owned());
    }
    if !is_top || !is_identified {
        return Err("pg_stat_statements.track must be top, and compute_query_id on or auto".to_owned());
    }
    if dropped != 0 {
        return Err(format!("it has dropped entries {dropped} times since its last reset: its counts have gaps"));
    }
    Ok(())
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

/// Drops the databases and the role of the run with this token, and nothing else.
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
