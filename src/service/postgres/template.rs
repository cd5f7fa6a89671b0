//! Template databases, and the arms' databases that are cloned from them.
//!
//! A template is built as `building_<key>` and becomes `template_<key>` when it is sealed; only sealed ones are cloned
//! or kept, so one whose builder died is never used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::answered;
use super::server::{Host, Postgres};
use super::store::Kept;
use crate::error::{Error, Result};

/// Templates that are kept between runs; the ones made first go first.
const KEPT_TEMPLATES: usize = 24;

/// Postgres cuts longer names.
const NAME_LENGTH: usize = 63;

const BUILDING: &str = "building_";
const SEALED: &str = "template_";

/// A backend whose client is gone ends within milliseconds.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(5);

impl Postgres {
    /// Whether there is a sealed template for this key.
    pub fn has_template(&self, key: &str) -> bool {
        self.state().templates.contains(key)
    }

    /// Whether the template of this key, which an earlier run may have made, is all there. One that is not is forgotten:
    /// it can be made again.
    pub async fn is_sound(&self, key: &str) -> bool {
        let name = self.name(&format!("{SEALED}{key}"));
        let is_sound = self.bring(&name).await.is_ok();
        if !is_sound {
            self.state().templates.remove(key);
        }
        is_sound
    }

    /// Makes an empty database, owned by the app's role, to be filled and then sealed; gives its name. One that was
    /// begun before under the same key is dropped.
    ///
    /// # Errors
    ///
    /// A bug if the key is not `[a-z0-9_]{1,34}`; cannot run if the server refuses.
    pub async fn create_template_database(&self, key: &str) -> Result<String> {
        let name = self.checked(self.name(&format!("{BUILDING}{key}")))?;
        self.drop_database(&name).await?;
        self.create("template0", &name).await?;
        Ok(name)
    }

    /// Seals the template of this key: from now on it is cloned and kept, and nobody can connect to it.
    ///
    /// # Errors
    ///
    /// Cannot run if it was not begun, or somebody is still connected after 5 s.
    pub async fn seal_template(&self, key: &str) -> Result<()> {
        let from = self.checked(self.name(&format!("{BUILDING}{key}")))?;
        let to = self.name(&format!("{SEALED}{key}"));
        self.disconnect(&from).await?;
        self.drop_database(&to).await?;
        self.execute(&format!("seal {to}"), &format!("ALTER DATABASE {from} RENAME TO {to}")).await?;
        self.execute(&format!("seal {to}"), &format!("ALTER DATABASE {to} ALLOW_CONNECTIONS false")).await?;
        let mut state = self.state();
        state.templates.insert(key.to_owned());
        state.is_new = true;
        Ok(())
    }

    /// Makes the database of an arm from the template of this key.
    ///
    /// # Errors
    ///
    /// A bug if there is no such template; cannot run if the server refuses.
    pub async fn clone_template(&self, key: &str, name: &str) -> Result<()> {
        if !self.has_template(key) {
            return Err(Error::bug(format!("the template {key} is not sealed")));
        }
        if let Some(role) = self.role_of(name) {
            let run = &self.app().user;
            let make = match &self.host {
                Host::External(external) => {
                    external.role_statement(&role, run, external.verifier.as_deref().unwrap_or_default())
                }
                Host::Local(_) | Host::Contained(_) => format!("CREATE ROLE {role} LOGIN NOSUPERUSER IN ROLE {run}"),
            };
            self.execute(&format!("make the role {role}"), &make).await?;
        }
        self.create(&self.name(&format!("{SEALED}{key}")), &self.checked(name.to_owned())?).await
    }

    /// Drops a database with everybody connected to it, if it is there.
    ///
    /// # Errors
    ///
    /// Cannot run if the server refuses.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let name = self.checked(name.to_owned())?;
        self.execute(&format!("drop {name}"), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        match self.role_of(&name) {
            Some(role) => self.execute(&format!("drop the role {role}"), &format!("DROP ROLE IF EXISTS {role}")).await,
            None => Ok(()),
        }
    }

    /// What all databases of the server share, and what is in those that nobody should use, as a text to compare: roles
    /// and their settings, tablespaces, the server's own settings.
    pub(super) async fn shared(&self) -> Result<String> {
        let statement = "SELECT string_agg(line, E'\n' ORDER BY line) FROM (
            SELECT 'role ' || pg_authid::text FROM pg_authid
            UNION ALL SELECT 'member ' || pg_auth_members::text FROM pg_auth_members
            UNION ALL SELECT 'setting ' || pg_db_role_setting::text FROM pg_db_role_setting
            UNION ALL SELECT 'tablespace ' || pg_tablespace::text FROM pg_tablespace
            UNION ALL SELECT 'description ' || pg_shdescription::text FROM pg_shdescription
            UNION ALL SELECT 'label ' || pg_shseclabel::text FROM pg_shseclabel
            UNION ALL SELECT 'file ' || name || ' ' || coalesce(setting, '') FROM pg_file_settings
                WHERE sourcefile LIKE '%postgresql.auto.conf'
            UNION ALL SELECT 'relation ' || oid || ' ' || relname FROM pg_class WHERE oid >= 16384
            UNION ALL SELECT 'database ' || datname || ' ' || datdba || ' ' || coalesce(datacl::text, '')
                FROM pg_database WHERE datname IN ('postgres', 'template0', 'template1')
            ) AS lines (line)";
        Ok(answered("ask what all databases share", self.admin().query_one(statement, &[])).await?.get(0))
    }

    /// The oid of a database, by which the server's statistics name it.
    ///
    /// # Errors
    ///
    /// Cannot run if there is no such database.
    pub async fn oid_of(&self, database: &str) -> Result<u32> {
        let statement = "SELECT oid FROM pg_database WHERE datname = $1";
        let doing = format!("look for the database {database}");
        match answered(&doing, self.admin().query_opt(statement, &[&database])).await? {
            Some(row) => Ok(row.get(0)),
            None => Err(Error::cannot_run(format!("there is no database {database}"))),
        }
    }

    pub(super) async fn create(&self, from: &str, name: &str) -> Result<()> {
        let options = match &self.host {
            // The default strategy of PG 15 and later writes every page to the WAL.
            Host::Local(_) | Host::Contained(_) if self.major >= 15 => "STRATEGY file_copy",
            // As on a server of our own, whatever this one's default is.
            Host::External(_) if from == "template0" && self.major >= 15 => {
                "ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
            }
            Host::External(_) if from == "template0" => "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
            Host::Local(_) | Host::Contained(_) | Host::External(_) => "",
        };
        self.bring(from).await?;
        let owner = self.login(name).user.replace('"', "\"\"");
        let statement = format!("CREATE DATABASE {name} TEMPLATE {from} {options} OWNER \"{owner}\"");
        self.execute(&format!("make {name} from {from}"), &statement).await?;
        if self.role_of(name).is_some() {
            // Its owner still can; the apps of other arms are somebody else.
            let revoke = format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC");
            self.execute(&format!("close {name} to others"), &revoke).await?;
        }
        match &self.host {
            Host::Local(_) | Host::Contained(_) => Ok(()),
            Host::External(external) => {
                let label = format!("COMMENT ON DATABASE {name} IS '{}'", external.token);
                self.execute(&format!("label {name}"), &label).await
            }
        }
    }

    /// Makes sure that the files of a database of an earlier run are in the data directory.
    async fn bring(&self, database: &str) -> Result<()> {
        let Host::Local(local) = &self.host else { return Ok(()) };
        let lock = Arc::clone(self.state().locks.entry(database.to_owned()).or_default());
        let _guard = lock.lock().await;
        local.bring(self.oid_of(database).await?).await
    }

    /// Ends all connections to a database and waits until they are gone.
    async fn disconnect(&self, database: &str) -> Result<()> {
        // Others than clients get out of the way by themselves.
        let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = $1 AND backend_type = 'client backend'";
        let deadline = Instant::now() + DISCONNECT_DEADLINE;
        loop {
            let doing = format!("disconnect from {database}");
            let left: i64 = answered(&doing, self.admin().query_one(statement, &[&database])).await?.get(0);
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::cannot_run(format!("{left} are still connected to {database}")));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Reads which templates the data directory brought along.
    pub(super) async fn find_templates(&self) -> Result<()> {
        let names = self.databases().await?.into_iter().map(|(_, name)| name);
        let keys = names.filter_map(|name| name.strip_prefix(SEALED).map(str::to_owned));
        self.state().templates = keys.collect();
        Ok(())
    }

    /// Leaves only what is worth keeping, and says what that is.
    pub(super) async fn drop_all_but_templates(&self) -> Result<Kept> {
        self.assert_ours().await?;
        let databases = self.databases().await?;
        let is_template = |name: &String| name.starts_with(SEALED);
        let is_builtin = |name: &String| ["postgres", "template0", "template1"].contains(&name.as_str());
        let templates: Vec<&String> = databases.iter().map(|(_, name)| name).filter(|name| is_template(name)).collect();
        let superfluous = &templates[..templates.len().saturating_sub(KEPT_TEMPLATES)];
        let mut kept = Kept { postgres: 0, others: Vec::new(), templates: std::collections::BTreeSet::new() };
        for (oid, name) in &databases {
            if !is_builtin(name) && (!is_template(name) || superfluous.contains(&name)) {
                self.drop_database(name).await?;
            } else if name == "postgres" {
                kept.postgres = *oid;
            } else {
                kept.others.push(*oid);
                kept.templates.extend(name.strip_prefix(SEALED).map(str::to_owned));
            }
        }
        Ok(kept)
    }

    /// All databases, the one made first (the lowest oid) first.
    async fn databases(&self) -> Result<Vec<(u32, String)>> {
        let admin = self.admin();
        let rows = admin.query("SELECT oid, datname::text FROM pg_database ORDER BY oid", &[]);
        Ok(answered("list the databases", rows).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// A name among those of this run.
    pub(super) fn name(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

    /// A name that needs no quotes, and that is one of this run's.
    fn checked(&self, name: String) -> Result<String> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = name.len() <= NAME_LENGTH && name.bytes().all(is_allowed);
        match name.strip_prefix(&self.prefix) {
            Some(rest) if is_name && rest.starts_with(|first: char| !first.is_ascii_digit()) => Ok(name),
            _ => Err(Error::bug(format!(
                "`{name}` is not a name for a database here: {}[a-z0-9_]+, {NAME_LENGTH} bytes at most",
                self.prefix
            ))),
        }
    }
}
