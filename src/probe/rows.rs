//! `rows`: how many rows a table has.

use serde_json::Value;
use tokio_postgres::Client;

/// A name as SQL quotes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `count(*)` of a table in the database that `client` is connected to. The error is what the
/// server said, e.g. that there is no such table.
pub async fn count(client: &Client, table: &str) -> Result<Value, String> {
    match client.query_one(&format!("SELECT count(*) FROM {}", quoted(table)), &[]).await {
        Ok(row) => Ok(Value::from(row.get::<_, i64>(0))),
        Err(error) => Err(message(&error)),
    }
}

/// What the server said, or the connection.
pub fn message(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
