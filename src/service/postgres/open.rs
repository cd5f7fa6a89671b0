//! From nothing to a server that answers: processes of the run, a container, or somebody else's.

use std::sync::Arc;

use tokio_postgres::Client;

use super::config::{self, PostgresWants};
use super::connection::{APP, SETUP, SUPERUSER, answered, connect, failed};
use super::contained::{Contained, Wanted};
use super::external::{External, Rights, application, log_in, log_in_as, prefix, role};
use super::local::Local;
use super::login::Login;
use super::server::{Host, Postgres, State};
use crate::cache::Cache;
use crate::clock::ServerClocks;
use crate::error::{Context as _, Result};
use crate::service::address::PostgresUrl;
use crate::service::docker::{self, Daemon, Owner};
use crate::service::locate::PostgresBinaries;
use crate::service::run_directory::RunDirectory;
use crate::service::secret::{self, Secret};
use crate::service::supervisor::Supervisor;

impl Postgres {
    /// Starts an instance of these programs below the run directory.
    ///
    /// # Errors
    ///
    /// Usage if a setting cannot be set; cannot run if the server cannot be reached, started or connected to within
    /// 30 s; with the end of its log.
    pub(in crate::service) async fn start_local(
        supervisor: &Supervisor,
        run_directory: &RunDirectory,
        cache: &Cache,
        binaries: &PostgresBinaries,
        wants: &PostgresWants,
    ) -> Result<Self> {
        let (local, clocks, admin) = Local::start(supervisor, run_directory, cache, binaries, wants).await?;
        let state = State { is_new: local.generation.is_none(), ..State::default() };
        let app = Login { user: APP.to_owned(), password: None };
        let postgres = Self::new(Host::Local(local), admin, app, String::new(), state).await?;
        let postgres = postgres.with_clocks(run_directory, clocks).await?;
        postgres.assert_ours().await?;
        postgres.find_templates().await?;
        let shared = postgres.shared().await?;
        postgres.state().shared = shared;
        Ok(postgres)
    }

    /// Starts one in a container of this image.
    ///
    /// # Errors
    ///
    /// Usage if a setting cannot be set; cannot run if the image cannot be had, or the server does not answer within a
    /// minute; with the end of its log.
    pub(in crate::service) async fn start_contained(
        daemon: &Daemon,
        owner: &Owner,
        image: &str,
        run_directory: &RunDirectory,
        wants: &PostgresWants,
    ) -> Result<Self> {
        let settings = config::arguments(&wants.settings)?;
        let private = tempfile::Builder::new().prefix("postgres-").tempdir_in(run_directory.path());
        let private = private.cannot_run(|| format!("make a folder in {}", run_directory.path().display()))?.keep();
        let folder = docker::socket_folder(&private, "c")?;
        let (superuser, is_private) = (SUPERUSER, wants.private);
        let name = private.file_name().unwrap_or_default().to_string_lossy();
        let clocks = run_directory.clocks().server(&name)?;
        let preload = run_directory.clocks().of_server(&clocks);
        let clock = Some(&preload);
        let wanted = Wanted { owner, image, folder: &folder, superuser, is_private, settings: &settings, clock };
        let contained = match Contained::start(daemon, wanted).await {
            // An image of another C library.
            Err(error) if preload.is_to_blame(&error) => {
                Contained::start(daemon, Wanted { clock: None, ..wanted }).await
            }
            started => started,
        }?;
        let admin = answered("connect to postgres", connect(&contained.config("postgres"))).await?;
        let setup = format!("CREATE ROLE {APP} LOGIN NOSUPERUSER; {SETUP}");
        answered("set up the server", admin.batch_execute(&setup)).await?;
        let app = Login { user: APP.to_owned(), password: None };
        let postgres = Self::new(Host::Contained(contained), admin, app, String::new(), State::default()).await?;
        postgres.with_clocks(run_directory, clocks).await
    }

    /// With the arms' clocks, if it heeds them.
    async fn with_clocks(mut self, run_directory: &RunDirectory, clocks: ServerClocks) -> Result<Self> {
        if self.heeds(run_directory.clocks(), &clocks).await? {
            self.clocks = Some(Arc::new(clocks));
        }
        Ok(self)
    }

    /// Connects to a server that somebody else runs, and makes the app's role there; also says what cannot be had.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not answer, is too old, or the user may not make databases.
    pub(in crate::service) async fn open_external(
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
        let external = External { url: url.clone(), token, run_directory, statistics: None, verifier };
        let prefix = prefix(&external.token);
        let mut postgres = Self::new(Host::External(external), admin, app, prefix, State::default()).await?;
        let statistics = if has_own_role {
            postgres.find_statistics(&rights).await?
        } else {
            Err("the app has no role of its own, so its statements cannot be told apart".to_owned())
        };
        match (statistics, &mut postgres.host) {
            (Ok(database), Host::External(external)) => external.statistics = Some(database),
            (Err(why), _) => notes.push(format!("no pg_stat_statements: {why}")),
            (Ok(_), Host::Local(_) | Host::Contained(_)) => {}
        }
        Ok((postgres, notes))
    }

    /// The database in which `pg_stat_statements` can be read, or why there is none. One without the extension is
    /// never external it: a superuser gets a database for it.
    async fn find_statistics(&self, rights: &Rights) -> Result<Result<String, String>> {
        let Host::External(external) = &self.host else { return Ok(Err("not an external server".to_owned())) };
        if self.major < 14 {
            return Ok(Err(format!("it cannot be trusted before PostgreSQL 14, this is {}", self.version)));
        }
        let database = if has_extension(&self.admin()).await? {
            external.url.database.clone()
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
