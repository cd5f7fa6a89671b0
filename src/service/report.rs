//! What `doctor` says about services.

use std::time::Duration;

use super::bounded::bounded;
use super::choice::{Place, ServiceChoice};
use super::docker::Daemon;
use super::locate::{self, Programs};
use super::run_directory::{chosen_base, free};
use super::user::ServerUser;
use super::wheels::Tools;
use super::{postgres, redis};
use crate::cache::Cache;
use crate::error::Result;

/// How long somebody else's server may take to answer.
const LOOK_DEADLINE: Duration = Duration::from_secs(15);

/// One line of what is there and what would be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, e.g. `PostgreSQL`.
    pub subject: String,
    /// Whether a run can go on with it.
    pub is_good: bool,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What is there, what would be used, and how to get what is missing. Installs and starts nothing; `variable` is the
/// environment, which may name servers of others.
pub fn report(cache: &Cache, variable: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let wheels = Tools::find(cache);
    let (mut looked_postgres, mut looked_redis) = (Vec::new(), Vec::new());
    let postgres = locate::installed_postgres(&mut looked_postgres)
        .map(|found| format!("{} in {}", found.version, found.folder.display()));
    let redis = locate::installed_redis(&mut looked_redis)
        .map(|found| format!("{} at {}", found.version, found.program.display()));
    let cached = |path: Option<String>| path.map(|path| format!("from PyPI, at {path}"));
    let cached_postgres = cached(wheels.as_ref().map(|tools| tools.postgres.display().to_string()));
    let cached_redis = cached(wheels.as_ref().map(|tools| tools.redis.display().to_string()));
    let mut findings = vec![
        server("PostgreSQL", postgres, cached_postgres, &looked_postgres, "postgresql postgresql-contrib"),
        server("Redis", redis, cached_redis, &looked_redis, "redis-server"),
        room(),
        server_user(),
        Finding { subject: "cache".to_owned(), is_good: true, found: cache.root().display().to_string(), hint: None },
    ];
    findings.extend([containers(), nginx()]);
    findings.extend(given(variable));
    findings
}

/// Whether services can come from containers: no run needs them to.
fn containers() -> Finding {
    let looked = bounded(LOOK_DEADLINE, async { Daemon::connect().await });
    let found = match looked {
        Ok(daemon) => format!("{}, for --services docker", daemon.version()),
        Err(error) => format!("none: {}", error.message),
    };
    Finding { subject: "docker".to_owned(), is_good: true, found, hint: None }
}

/// Whether a case can have a real nginx: most have none.
fn nginx() -> Finding {
    let mut looked = Vec::new();
    let (found, hint) = if let Some(nginx) = locate::installed_nginx(&mut looked) {
        (format!("{} at {}, for cases behind one", nginx.version, nginx.program.display()), None)
    } else {
        let found = format!("none installed: cases behind one are skipped; looked at: {}", looked.join("; "));
        (found, Some(locate::NO_NGINX.to_owned()))
    };
    Finding { subject: "nginx".to_owned(), is_good: true, found, hint }
}

/// Servers of others that the environment names. Those meant for runs are looked at; those of a CI job are only named.
fn given(variable: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let finding = |subject: &str, looked: Result<String>| {
        let (is_good, found, hint) = match looked {
            Ok(found) => (true, found, None),
            Err(error) => (false, error.message, error.hint),
        };
        Finding { subject: subject.to_owned(), is_good, found, hint }
    };
    let choice = |place| ServiceChoice::new(place, None, None, Programs::Auto, variable);
    let meant = match choice(None) {
        Ok(choice) => choice,
        Err(error) => return vec![finding("given services", Err(error))],
    };
    let mut findings = Vec::new();
    if let Some(url) = meant.postgres_url.clone() {
        let looked = bounded(LOOK_DEADLINE, async move { postgres::look_at(&url).await });
        findings.push(finding("given PostgreSQL", looked));
    }
    if let Some(url) = meant.redis_url {
        let looked = bounded(LOOK_DEADLINE, async move { redis::look_at(&url).await });
        findings.push(finding("given Redis", looked));
    }
    // Where none is named, or one that cannot be used, nobody has asked for it.
    if let (None, Ok(ServiceChoice { postgres_url: Some(url), .. })) =
        (meant.postgres_url, choice(Some(Place::External)))
    {
        findings.push(finding("given PostgreSQL", Ok(format!("{url}, with --services given only"))));
    }
    findings
}

fn server(
    subject: &str,
    installed: Option<String>,
    cached: Option<String>,
    looked: &[String],
    packages: &str,
) -> Finding {
    let is_good = installed.is_some() || cached.is_some();
    let nothing = || format!("none installed; looked at: {}", looked.join("; "));
    let found = installed.or(cached).unwrap_or_else(nothing);
    let hint = format!("apt-get install {packages}  (or the like); else the next run installs wheels from PyPI");
    Finding { subject: subject.to_owned(), is_good, found, hint: (!is_good).then_some(hint) }
}

fn room() -> Finding {
    let base = chosen_base();
    let is_memory = base.starts_with("/dev/shm");
    Finding {
        subject: "run directories".to_owned(),
        is_good: true,
        found: format!("below {}, {} MB free", base.display(), free(&base) >> 20),
        hint: (!is_memory).then(|| "512 MB of /dev/shm make runs faster, e.g. docker run --shm-size=1g".to_owned()),
    }
}

fn server_user() -> Finding {
    let found = match ServerUser::find() {
        Some(user) => format!("{} ({}), because this is root", user.name, user.user),
        None => "the user who runs dj-regress".to_owned(),
    };
    Finding { subject: "servers run as".to_owned(), is_good: true, found, hint: None }
}
