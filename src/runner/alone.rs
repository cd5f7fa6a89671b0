//! Arms that need a Postgres of their own: what they do or look at belongs to all databases of a server.

use crate::case::{Action, State};
use crate::probe::ledger::Ledger;

/// What changes a server as a whole, as the words that follow each other.
const CHANGES: &[[&str; 2]] = &[
    ["alter", "system"],
    ["alter", "role"],
    ["alter", "user"],
    ["alter", "group"],
    ["create", "role"],
    ["create", "user"],
    ["create", "group"],
    ["drop", "role"],
    ["drop", "user"],
    ["drop", "group"],
    ["create", "tablespace"],
    ["alter", "tablespace"],
    ["drop", "tablespace"],
    ["create", "database"],
    ["alter", "database"],
    ["drop", "database"],
];

/// What shows all databases of a server, or reaches into them.
const VIEWS: &[&str] = &[
    "pg_auth_members",
    "pg_authid",
    "pg_cancel_backend",
    "pg_database",
    "pg_db_role_setting",
    "pg_locks",
    "pg_reload_conf",
    "pg_roles",
    "pg_shadow",
    "pg_stat_activity",
    "pg_stat_bgwriter",
    "pg_stat_database",
    "pg_stat_statements",
    "pg_stat_wal",
    "pg_tablespace",
    "pg_terminate_backend",
    "pg_user",
];

/// Who says one of these looks at one database only.
const NARROWED: &[&str] = &["current_database", "datname"];

/// Whether an arm in this state needs a server that no other arm uses.
pub fn is_alone(state: &State) -> bool {
    state.own_postgres()
        || state.any_step(|action| match action {
            Action::Sql { statement, .. } => is_about_all(statement),
            Action::Python { source, .. } => is_about_all(source),
            Action::Read { readings } => readings.values().any(|expression| is_about_all(expression)),
            _ => false,
        })
}

/// Whether SQL, or Python with SQL in it, is about more than the database that it is sent to.
fn is_about_all(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let words = words(&text);
    words.windows(2).any(|pair| CHANGES.iter().any(|change| change == pair)) || looks_at_all(&words)
}

/// What an arm on a server that others use looked at, though it is not its own, in words; what it changes is its own.
pub fn looked_at_others(ledger: &Ledger) -> Option<String> {
    let statement = ledger.calls.iter().find(|statement| {
        let text = statement.sql.to_ascii_lowercase();
        looks_at_all(&words(&text))
    })?;
    Some(format!(
        "{} looks at all databases of a server that arms share ({}): give the case a Postgres of its own, by \
         `services: {{postgres: {{settings: ...}}}}`, or narrow it by `datname`",
        statement.site,
        statement.sql.trim()
    ))
}

fn looks_at_all(words: &[&str]) -> bool {
    let is_narrowed = words.iter().any(|word| NARROWED.contains(word));
    !is_narrowed && words.iter().any(|word| VIEWS.contains(word))
}

fn words(text: &str) -> Vec<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::role("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on", true)]
    #[case::within_a_block("DO 'BEGIN CREATE ROLE tenant_x; END'", true)]
    #[case::in_python("connection.cursor().execute(\"alter  system SET work_mem = '1MB'\")", true)]
    #[case::all_backends("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dj-regress/app'", true)]
    #[case::own_backends("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()", false)]
    #[case::own_tables("ALTER TABLE shop_order ADD COLUMN role text", false)]
    #[case::a_model_of_that_name("User.objects.create(username='a')", false)]
    #[case::set_role("connection.cursor().execute('SET ROLE tenant_x')", false)]
    fn what_is_about_all_databases_of_a_server_is_known_by_its_words(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_about_all(text), expected);
    }
}
