//! How long anything may take that the case does not bound: nothing is waited for without end.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::{Error, Result};

/// The variable that replaces both deadlines: whole seconds.
pub const VARIABLE: &str = "DJ_REGRESS_DEADLINE";

/// No step of a case waits on the wall clock unless it says so: only a hang reaches this.
const STEP: Duration = Duration::from_mins(2);

/// A slow index, and packages that have to be built.
const INSTALL: Duration = Duration::from_mins(15);

/// How long an answer may take: of a process of the app, of a server.
pub fn step() -> Duration {
    asked().unwrap_or(STEP)
}

/// How long a program may take that installs something.
pub fn install() -> Duration {
    asked().unwrap_or(INSTALL)
}

/// How long a lock or a place may be waited for that somebody else holds: who holds one may have two things to install.
pub fn turn() -> Duration {
    2 * install()
}

/// Refuses a value that is no number of seconds.
///
/// # Errors
///
/// Usage, if it is not.
pub fn check() -> Result<()> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let text = text.to_string_lossy();
    parse(&text).map(drop).ok_or_else(|| {
        Error::usage(format!("{VARIABLE} is `{text}`, expected whole seconds from 1")).hint(format!("{VARIABLE}=300"))
    })
}

/// Waits for some work, but not for ever; `what` says what was waited for.
///
/// # Errors
///
/// Those of the work; cannot run if it takes longer.
pub fn within<T>(
    limit: Duration,
    what: impl FnOnce() -> String,
    work: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    // The futures of a database client are large, and would be part of all that waits for them.
    let work = timeout(limit, Box::pin(work));
    async move { work.await.unwrap_or_else(|_| Err(passed(limit, &what()))) }
}

/// Waits for what a server is asked while an arm is played; the error is the sentence for the arm.
///
/// # Errors
///
/// Those of the question, or that there was no answer.
pub fn answer<T>(
    what: &str,
    asked: impl Future<Output = Result<T, String>>,
) -> impl Future<Output = Result<T, String>> {
    let asked = timeout(step(), Box::pin(asked));
    async move { asked.await.unwrap_or_else(|_| Err(passed(step(), what).message)) }
}

/// The error for what has not come in time.
pub fn passed(limit: Duration, what: &str) -> Error {
    Error::cannot_run(format!("{what}: no answer within {} s", limit.as_secs()))
}

fn asked() -> Option<Duration> {
    static ASKED: OnceLock<Option<Duration>> = OnceLock::new();
    *ASKED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?))
}

fn parse(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("300", Some(300))]
    #[case("0", None)]
    #[case("-1", None)]
    #[case("2m", None)]
    #[case("", None)]
    fn a_deadline_is_whole_seconds(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(parse(text), expected.map(Duration::from_secs));
    }

    #[tokio::test]
    async fn what_does_not_come_in_time_is_named() {
        let late = within(Duration::ZERO, || "ask the oracle".to_owned(), std::future::pending::<Result<()>>()).await;
        assert_eq!(late.expect_err("nothing comes").message, "ask the oracle: no answer within 0 s");
    }
}
