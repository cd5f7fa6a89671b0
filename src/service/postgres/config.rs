//! The configuration of the private instance.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use super::connection::SUPERUSER;
use crate::case::postgres_setting::refusal;
use crate::error::{Error, Result};
use crate::service::files::give;
use crate::service::user::ServerUser;

/// `(name, value)`; what is not here is Postgres' default.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "''"),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "200"),
    // Every statement is counted; a full table would drop some without a word.
    ("shared_preload_libraries", "'pg_stat_statements'"),
    ("pg_stat_statements.max", "50000"),
    ("pg_stat_statements.track", "'top'"),
    ("pg_stat_statements.track_utility", "on"),
    // Or the counts of the run that made the templates would come back.
    ("pg_stat_statements.save", "off"),
    // Processes crash here, machines do not: commits stay as they are, flushes go.
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "on"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("min_wal_size", "'2MB'"),
    ("max_wal_size", "'128MB'"),
    ("wal_init_zero", "off"),
    // It would come at its own time, into the counts.
    ("autovacuum", "off"),
    ("shared_buffers", "'32MB'"),
    ("huge_pages", "off"),
    // In the data directory, so that it goes with it.
    ("dynamic_shared_memory_type", "'mmap'"),
    ("jit", "off"),
    // A worker is a process of its own, of which nobody knows for which arm it works: it has no arm's clock.
    ("max_parallel_workers_per_gather", "0"),
    ("timezone", "'UTC'"),
    ("log_timezone", "'UTC'"),
    ("logging_collector", "off"),
    ("log_destination", "'stderr'"),
    ("log_line_prefix", "'%m [%p] %d %a '"),
    ("lc_messages", "'C'"),
];

/// What is wanted of a Postgres.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresWants {
    /// The container image, e.g. `postgres:17`.
    pub image: Option<String>,
    /// Settings by the names of `postgresql.conf`, as text.
    pub settings: Vec<(String, String)>,
    /// A server that one arm has for itself; its templates are not kept.
    pub private: bool,
}

/// Beyond the server's own: 1 MB segments keep the data directory small.
pub(super) const INITDB_OPTIONS: &[&str] =
    &["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=1", "--username", SUPERUSER];

/// Everybody who can enter the socket's folder is the owner of the run.
const AUTHENTICATION: &str = "local all all trust\n";

/// Where the server listens, which a container has its own word in.
const LOCAL: &[&str] = &["listen_addresses", "unix_socket_permissions"];

/// Whether a case can set these.
///
/// # Errors
///
/// Usage if it cannot: see [`refusal`].
pub(super) fn check(settings: &[(String, String)]) -> Result<()> {
    match settings.iter().find_map(|(name, value)| refusal(name, value)) {
        Some((message, help)) => Err(Error::usage(message).hint(help)),
        None => Ok(()),
    }
}

/// The settings of a server that is configured by its arguments, and in a container; those of a case come last, and so
/// win.
///
/// # Errors
///
/// As [`check`].
pub(super) fn arguments(settings: &[(String, String)]) -> Result<Vec<(String, String)>> {
    check(settings)?;
    let ours = SETTINGS.iter().filter(|(name, _)| !LOCAL.contains(name));
    let ours = ours.map(|(name, value)| ((*name).to_owned(), value.trim_matches('\'').to_owned()));
    // All versions that there are images of know it.
    let identified = [("compute_query_id".to_owned(), "on".to_owned())];
    Ok(ours.chain(identified).chain(settings.iter().cloned()).collect())
}

/// Writes `postgresql.conf` and `pg_hba.conf` into a data directory; `settings` come last, and so win.
pub(super) fn write(
    data: &Path,
    socket_directory: &Path,
    major: u32,
    settings: &[(String, String)],
    user: Option<&ServerUser>,
) -> io::Result<()> {
    let mut text = String::from("# Written by dj-regress at every start.\n");
    for (name, value) in SETTINGS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} = {value}");
    }
    if major >= 14 {
        text.push_str("compute_query_id = on\n");
    }
    let quoted = socket_directory.display().to_string().replace('\'', "''");
    let _ = writeln!(text, "unix_socket_directories = '{quoted}'");
    for (name, value) in settings {
        let quoted = value.replace('\\', r"\\").replace('\'', "''");
        let _ = writeln!(text, "{name} = '{quoted}'");
    }
    for (name, text) in [("postgresql.conf", text.as_str()), ("pg_hba.conf", AUTHENTICATION)] {
        let path = data.join(name);
        fs::write(&path, text)?;
        give(&path, user)?;
    }
    Ok(())
}
