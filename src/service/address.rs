//! Addresses of servers that somebody else runs, as URLs. Shown without their password everywhere.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Uid, User};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use crate::error::{Error, Result};
use crate::proxy::Endpoint;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long Redis may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

const POSTGRES_FORM: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";
const REDIS_FORM: &str = "redis://USER:PASSWORD@HOST:PORT";
const POSTGRES_PORT: u16 = 5432;

/// Postgres, and as whom to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresUrl {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database to connect to; nothing is ever made or changed in it.
    pub database: String,
}

impl PostgresUrl {
    /// Whether a text is a URL of Postgres at all.
    pub fn is_one(text: &str) -> bool {
        ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; `from` says in messages where it comes from.
    ///
    /// # Errors
    ///
    /// Usage if it is none, or asks for TLS. The text itself is in no message.
    pub fn parse(text: &Secret, from: &str) -> Result<Self> {
        // The library's own message could repeat a part of the password.
        let unreadable =
            || Error::usage(format!("{from} is not a URL of Postgres")).hint(format!("as in {POSTGRES_FORM}"));
        let text = text.reveal();
        if !Self::is_one(text) {
            return Err(unreadable());
        }
        let mode = text.split(['?', '&']).find_map(|part| part.strip_prefix("sslmode="));
        refuse_tls(mode, from)?;
        let config: tokio_postgres::Config = text.parse().map_err(|_| unreadable())?;
        let port = config.get_ports().first().copied().unwrap_or(POSTGRES_PORT);
        let host = match config.get_hosts() {
            [tokio_postgres::config::Host::Tcp(host)] => host.clone(),
            [tokio_postgres::config::Host::Unix(folder)] => folder.display().to_string(),
            _ => return Err(Error::usage(format!("{from} must name one host")).hint(format!("as in {POSTGRES_FORM}"))),
        };
        let password = config.get_password().map(|bytes| String::from_utf8(bytes.to_vec()));
        let password = password.transpose().map_err(|_| unreadable())?;
        Self::new((&host, port), config.get_user(), password, config.get_dbname(), from)
    }

    /// From libpq's own variables, if `PGHOST` is set.
    ///
    /// # Errors
    ///
    /// Usage if `PGPORT` is no port, or `PGSSLMODE` asks for TLS.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(host) = variable("PGHOST") else { return Ok(None) };
        refuse_tls(variable("PGSSLMODE").as_deref(), "PGSSLMODE")?;
        let port = variable("PGPORT").map_or(Ok(POSTGRES_PORT), |port| port.parse());
        let port = port.map_err(|_| Error::usage("PGPORT is not a port"))?;
        let (user, database) = (variable("PGUSER"), variable("PGDATABASE"));
        Self::new((&host, port), user.as_deref(), variable("PGPASSWORD"), database.as_deref(), "PGHOST").map(Some)
    }

    fn new(
        (host, port): (&str, u16),
        user: Option<&str>,
        password: Option<String>,
        database: Option<&str>,
        from: &str,
    ) -> Result<Self> {
        // As libpq has it.
        let system_user = || User::from_uid(Uid::effective()).ok().flatten().map(|user| user.name);
        let user = user.map(str::to_owned).or_else(system_user).unwrap_or_else(|| "postgres".to_owned());
        if password.iter().any(|password| password.contains(['\n', '\r', '\0'])) {
            return Err(Error::usage(format!(
                "the password in {from} has a line break: libpq's service file cannot hold it"
            )));
        }
        let endpoint = if host.starts_with('/') {
            Endpoint::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
        } else {
            Endpoint::Tcp { host: host.to_owned(), port }
        };
        let database = database.unwrap_or(&user).to_owned();
        Ok(Self { endpoint, user, password: password.map(Secret::new), database })
    }

    /// How to connect to one of its databases.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        match &self.endpoint {
            Endpoint::Unix(socket) => {
                let port = socket.extension().and_then(|port| port.to_str()?.parse().ok());
                config.host_path(socket.parent().unwrap_or(socket)).port(port.unwrap_or(POSTGRES_PORT))
            }
            Endpoint::Tcp { host, port } => config.host(host).port(*port),
        };
        if let Some(password) = &self.password {
            config.password(password.reveal());
        }
        config
            .user(&self.user)
            .dbname(database)
            .application_name("dj-regress")
            .ssl_mode(tokio_postgres::config::SslMode::Disable)
            .connect_timeout(CONNECT_TIMEOUT);
        config
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@{}/{}", self.user, self.endpoint, self.database)
    }
}

fn refuse_tls(mode: Option<&str>, from: &str) -> Result<()> {
    match mode {
        Some(mode @ ("require" | "verify-ca" | "verify-full")) => Err(no_tls(from, &format!("sslmode {mode}"))),
        _ => Ok(()),
    }
}

fn no_tls(from: &str, asked: &str) -> Error {
    Error::usage(format!(
        "{from} asks for TLS ({asked}), which dj-regress does not speak: it counts what is on the wire"
    ))
    .hint("give a server on this machine or on a private network, without TLS")
}

/// Redis, and as whom to log in. A database number in the URL is not followed: a run looks for empty databases itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisUrl {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The user, where there are users.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

impl RedisUrl {
    /// Reads `redis://USER:PASSWORD@HOST:PORT`; `from` says in messages where it comes from.
    ///
    /// # Errors
    ///
    /// Usage if it is none, or asks for TLS. The text itself is in no message.
    pub fn parse(text: &Secret, from: &str) -> Result<Self> {
        let text = text.reveal();
        if let Some(scheme @ ("rediss" | "valkeys")) = text.split_once("://").map(|(scheme, _)| scheme) {
            return Err(no_tls(from, &format!("{scheme}://")));
        }
        let unreadable = || Error::usage(format!("{from} is not a URL of Redis")).hint(format!("as in {REDIS_FORM}"));
        let info = text.into_connection_info().map_err(|_| unreadable())?;
        let endpoint = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Endpoint::Tcp { host: host.clone(), port: *port },
            ConnectionAddr::Unix(socket) => Endpoint::Unix(socket.clone()),
            _ => return Err(unreadable()),
        };
        let settings = info.redis_settings();
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Self { endpoint, user: given(settings.username()), password: given(settings.password()).map(Secret::new) })
    }

    /// A private server of our own.
    pub fn of_socket(socket: PathBuf) -> Self {
        Self { endpoint: Endpoint::Unix(socket), user: None, password: None }
    }

    /// A connection to one of its databases.
    ///
    /// # Errors
    ///
    /// Those of the library, which never hold the password.
    pub async fn connect(&self, database: i64) -> Result<redis::aio::MultiplexedConnection, RedisError> {
        let address = match &self.endpoint {
            Endpoint::Unix(socket) => ConnectionAddr::Unix(socket.clone()),
            Endpoint::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let mut settings = RedisConnectionInfo::default().set_db(database);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.reveal());
        }
        let info = address.into_connection_info()?.set_redis_settings(settings);
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        Client::open(info)?.get_multiplexed_async_connection_with_config(&timeouts).await
    }

    /// What a client must say first to be in this database.
    pub fn preamble(&self, database: i64) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        if let Some(password) = &self.password {
            let user = self.user.iter().cloned();
            commands.push(["AUTH".to_owned()].into_iter().chain(user).chain([password.reveal().to_owned()]).collect());
        }
        if database != 0 {
            commands.push(vec!["SELECT".to_owned(), database.to_string()]);
        }
        commands
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        write!(f, "redis://{user}{}", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FROM: &str = "--url";

    #[rstest]
    #[case("postgres://me:hunter2@db.example:5433/app?sslmode=prefer", "postgres://me@db.example:5433/app")]
    #[case("postgresql://me:hunter2@[::1]/", "postgres://me@[::1]:5432/me")]
    #[case("postgres://me:hunter2@%2Frun%2Fpg/app", "postgres://me@/run/pg/.s.PGSQL.5432/app")]
    fn a_postgres_url_is_shown_without_its_password(#[case] text: &str, #[case] shown: &str) {
        let url = PostgresUrl::parse(&text.into(), FROM).expect("a URL");
        assert_eq!(url.to_string(), shown);
        assert_eq!(url.password.as_ref().map(Secret::reveal), Some("hunter2"));
        assert!(!format!("{url:?} {:?}", url.config("x")).contains("hunter2"));
    }

    #[rstest]
    #[case("redis://:hunter2@cache:6380/3", "redis://cache:6380")]
    #[case("redis://me:hunter2@cache", "redis://me@cache:6379")]
    fn a_redis_url_is_shown_without_its_password(#[case] text: &str, #[case] shown: &str) {
        let url = RedisUrl::parse(&text.into(), FROM).expect("a URL");
        assert_eq!(url.to_string(), shown);
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[rstest]
    #[case("postgres://me:hunter2@db/app?sslmode=require", "TLS")]
    #[case("postgres://me:hunter2@db/app?x=1&sslmode=verify-full", "TLS")]
    #[case("postgres://me:hunter2@db/app?hunter2=1", "not a URL of Postgres")]
    #[case("postgres://me:hunter2@db:port/app", "not a URL of Postgres")]
    #[case("postgres://me:hunter2@one,two/app", "one host")]
    #[case("postgres://me:hunter2%0A@db/app", "line break")]
    #[case("mysql://me:hunter2@db/app", "not a URL of Postgres")]
    fn what_is_no_usable_postgres_url_is_told_without_repeating_it(#[case] text: &str, #[case] said: &str) {
        let error = PostgresUrl::parse(&text.into(), FROM).expect_err("no URL");
        assert!(error.message.contains(said), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[rstest]
    #[case("rediss://:hunter2@cache", "TLS")]
    #[case("redis://:hunter2@cache:port", "not a URL of Redis")]
    #[case("http://:hunter2@cache", "not a URL of Redis")]
    fn what_is_no_usable_redis_url_is_told_without_repeating_it(#[case] text: &str, #[case] said: &str) {
        let error = RedisUrl::parse(&text.into(), FROM).expect_err("no URL");
        assert!(error.message.contains(said), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn libpq_variables_make_a_url() {
        let set = |name: &str| match name {
            "PGHOST" => Some("db".to_owned()),
            "PGUSER" => Some("me".to_owned()),
            "PGPASSWORD" => Some("hunter2".to_owned()),
            _ => None,
        };
        let url = PostgresUrl::from_variables(&set).expect("readable").expect("set");
        assert_eq!(url.to_string(), "postgres://me@db:5432/me");
        assert_eq!(PostgresUrl::from_variables(&|_| None).expect("readable"), None);
        let tls = |name: &str| if name == "PGSSLMODE" { Some("require".to_owned()) } else { set(name) };
        assert!(PostgresUrl::from_variables(&tls).is_err());
    }

    #[test]
    fn a_redis_client_logs_in_and_selects() {
        let url = RedisUrl::parse(&"redis://me:hunter2@cache".into(), FROM).expect("a URL");
        assert_eq!(url.preamble(7), [vec!["AUTH", "me", "hunter2"], vec!["SELECT", "7"]]);
        assert_eq!(RedisUrl::of_socket("/redis.sock".into()).preamble(0), [] as [Vec<String>; 0]);
    }
}
