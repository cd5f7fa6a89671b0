//! Settings of Postgres that a case cannot set.

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
