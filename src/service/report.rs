//! What `doctor` says about services.

use super::locate;
use super::run_directory::{chosen_base, free};
use super::user::ServerUser;
use super::wheels::Tools;
use crate::cache::Cache;

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

/// What is there, what would be used, and how to get what is missing. Installs and starts nothing.
pub fn report(cache: &Cache) -> Vec<Finding> {
    let wheels = Tools::find(cache);
    let (mut looked_postgres, mut looked_redis) = (Vec::new(), Vec::new());
    let postgres = locate::installed_postgres(&mut looked_postgres)
        .map(|found| format!("{} in {}", found.version, found.folder.display()));
    let redis = locate::installed_redis(&mut looked_redis)
        .map(|found| format!("{} at {}", found.version, found.program.display()));
    let cached = |path: Option<String>| path.map(|path| format!("from PyPI, at {path}"));
    let cached_postgres = cached(wheels.as_ref().map(|tools| tools.postgres.display().to_string()));
    let cached_redis = cached(wheels.as_ref().map(|tools| tools.redis.display().to_string()));
    vec![
        server("PostgreSQL", postgres, cached_postgres, &looked_postgres, "postgresql postgresql-contrib"),
        server("Redis", redis, cached_redis, &looked_redis, "redis-server"),
        room(),
        server_user(),
        Finding { subject: "cache".to_owned(), is_good: true, found: cache.root().display().to_string(), hint: None },
    ]
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
