//! The configuration of the private instance.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

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
    ("timezone", "'UTC'"),
    ("log_timezone", "'UTC'"),
    ("logging_collector", "off"),
    ("log_destination", "'stderr'"),
    ("log_line_prefix", "'%m [%p] %d %a '"),
    ("lc_messages", "'C'"),
];

/// Everybody who can enter the socket's folder is the owner of the run.
const AUTHENTICATION: &str = "local all all trust\n";

/// Where the server listens, which a container has its own word in.
const LOCAL: &[&str] = &["listen_addresses", "unix_socket_permissions"];

/// What the harness itself stands on: a case cannot set it.
const OWN: &[&str] = &[
    "config_file",
    "data_directory",
    "dynamic_shared_memory_type",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "listen_addresses",
    "log_destination",
    "logging_collector",
    "port",
    "shared_preload_libraries",
    "unix_socket_directories",
    "unix_socket_group",
    "unix_socket_permissions",
];

/// Why a case cannot set this, where it cannot: what is wrong, and what helps.
pub fn refusal(name: &str, value: &str) -> Option<(String, &'static str)> {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
    if name.is_empty() || !is_name(name) {
        return Some((format!("`{name}` is not a setting of Postgres"), "write a name of postgresql.conf"));
    }
    if value.contains(['\n', '\r', '\0']) {
        return Some((format!("the value of Postgres' `{name}` has more than one line"), "write it in one line"));
    }
    let lower = name.to_ascii_lowercase();
    if OWN.contains(&lower.as_str()) || lower.starts_with("include") || lower.starts_with("pg_stat_statements.") {
        let message = format!("Postgres' `{name}` cannot be set: the harness needs it as it is");
        return Some((message, "leave it out"));
    }
    // Where servers are somebody's machine, a setting could have them write or run what is outside of the arm.
    if ["_command", "_directory", "_file", "_library", "_filename"].iter().any(|end| lower.ends_with(end)) {
        let message = format!("Postgres' `{name}` cannot be set: it names a file or a program");
        return Some((message, "leave it out"));
    }
    None
}

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
