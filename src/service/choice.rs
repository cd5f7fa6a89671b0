//! What was asked for: the place of the services, and who is named where somebody else runs them.

use std::fmt;
use std::str::FromStr;

use super::address::{PostgresUrl, RedisUrl};
use super::locate::Programs;
use super::secret::Secret;
use crate::error::{Error, Result};

/// The variable that names the place, where `--services` does not.
pub const SERVICES_VARIABLE: &str = "DJ_REGRESS_SERVICES";

/// The variable that names a Postgres to use, before all others.
pub const POSTGRES_VARIABLE: &str = "DJ_REGRESS_POSTGRES_URL";

/// The variable that names a Redis to use, before all others.
pub const REDIS_VARIABLE: &str = "DJ_REGRESS_REDIS_URL";

/// Variables in which CI jobs name their Postgres; looked at with `--services external` alone.
const POSTGRES_OF_CI: &[&str] = &["DATABASE_URL", "POSTGRES_URL"];

/// The same of Redis.
const REDIS_OF_CI: &[&str] = &["REDIS_URL"];

/// Where services run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In containers of the run's own.
    Docker,
    /// As processes of the run's own.
    Local,
    /// Somebody else runs them.
    External,
}

impl Place {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Local => "local",
            Self::External => "external",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // As it was called before.
        let text = if text == "given" { Self::External.name() } else { text };
        let place = [Self::Docker, Self::Local, Self::External].into_iter().find(|place| place.name() == text);
        let unknown = || Error::usage(format!("services from `{text}`")).hint("one of: auto, docker, local, external");
        place.ok_or_else(unknown)
    }
}

/// The place that the environment names for runs that name none.
///
/// # Errors
///
/// Usage if it is none.
pub fn preferred_place() -> Result<Option<Place>> {
    match std::env::var(SERVICES_VARIABLE) {
        Ok(text) if !matches!(text.as_str(), "" | "auto") => {
            let place =
                text.parse().map_err(|error: Error| Error::usage(format!("{SERVICES_VARIABLE}: {}", error.message)))?;
            Ok(Some(place))
        }
        _ => Ok(None),
    }
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct ServiceChoice {
    /// The place; without one, the first that is there.
    pub place: Option<Place>,
    /// A Postgres that somebody else runs.
    pub postgres_url: Option<PostgresUrl>,
    /// A Redis that somebody else runs.
    pub redis_url: Option<RedisUrl>,
    /// Where the programs of local servers come from.
    pub programs: Programs,
}

impl ServiceChoice {
    /// What the options of the command line and the environment say together.
    ///
    /// Options win over `DJ_REGRESS_POSTGRES_URL` and `DJ_REGRESS_REDIS_URL`. What else may be set where somebody
    /// works (`DATABASE_URL`, `POSTGRES_URL`, libpq's `PGHOST`; `REDIS_URL`) counts only if `external` is asked for.
    ///
    /// # Errors
    ///
    /// Usage if a URL cannot be read or used, or the options contradict each other.
    pub fn new(
        place: Option<Place>,
        postgres: Option<&Secret>,
        redis: Option<&Secret>,
        programs: Programs,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let mut choice = Self { place, programs, ..Self::default() };
        if let Some(place @ (Place::Docker | Place::Local)) = place {
            if postgres.is_some() || redis.is_some() {
                let option = if postgres.is_some() { "--postgres-url" } else { "--redis-url" };
                return Err(Error::usage(format!("{option} has no use with --services {place}"))
                    .hint("leave one of the two out"));
            }
            return Ok(choice);
        }
        let is_asked_for = place == Some(Place::External);
        let variable = |name: &str| variable(name).filter(|text| !text.is_empty());
        let set = |name: &'static str| variable(name).map(|text| (Secret::new(text), name));
        let of_ci = |names: &'static [&'static str]| if is_asked_for { names } else { &[] };

        let given = postgres.map(|text| (text.clone(), "--postgres-url")).or_else(|| set(POSTGRES_VARIABLE));
        let found = given.or_else(|| {
            let mut of_ci = of_ci(POSTGRES_OF_CI).iter().filter_map(|name| set(name));
            // A DATABASE_URL may be of another kind of database.
            of_ci.find(|(text, _)| PostgresUrl::is_one(text.reveal()))
        });
        choice.postgres_url = match found {
            Some((text, from)) => Some(PostgresUrl::parse(&text, from)?),
            None if is_asked_for => PostgresUrl::from_variables(&variable)?,
            None => None,
        };
        let given = redis.map(|text| (text.clone(), "--redis-url")).or_else(|| set(REDIS_VARIABLE));
        let found = given.or_else(|| of_ci(REDIS_OF_CI).iter().find_map(|name| set(name)));
        choice.redis_url = found.map(|(text, from)| RedisUrl::parse(&text, from)).transpose()?;
        if choice.postgres_url.is_none() && (is_asked_for || choice.redis_url.is_some()) {
            let known = format!("{POSTGRES_VARIABLE}, {}, PGHOST", POSTGRES_OF_CI.join(", "));
            return Err(Error::usage(
                "no Postgres is given: there is no --postgres-url, and the environment names none",
            )
            .hint(format!("give --postgres-url, or set one of {known}")));
        }
        Ok(choice)
    }
}
