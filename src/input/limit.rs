//! Ceilings: each in one place, with its reason. They keep a slip of the keyboard from filling a machine; a case that
//! shows something does not come near them.

use std::fmt::Display;
use std::time::Duration;

use crate::error::Error;

/// The most that may be asked for of one thing.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The most; what it counts is in [`Limit::said`].
    pub most: u64,
    /// What is said of more: `{asked}` and `{most}` stand for the two.
    said: &'static str,
    /// Why.
    why: &'static str,
}

const fn limit(most: u64, said: &'static str, why: &'static str) -> Limit {
    Limit { most, said, why }
}

/// Of a verb: how often it acts.
pub const COUNT: Limit = limit(
    20_000,
    "{asked} times are too many: at most {most}",
    "counts are exact from a few on: more of them only take longer",
);
/// Of a case.
pub const REPEAT: Limit =
    limit(100, "{asked} repetitions are too many: at most {most}", "each repetition plays the states once more");
/// Of a step with requests: who asks at the same time.
pub const CALLERS: Limit =
    limit(128, "{asked} callers are too many: at most {most}", "more side by side would be a load test");
/// Of a web actor.
pub const THREADS: Limit = limit(
    64,
    "{asked} threads are too many: at most {most}",
    "each thread has a connection of its own to the database",
);
/// Of a real cluster.
pub const CLUSTERS: Limit =
    limit(16, "{asked} clusters are too many: at most {most}", "each of them is five processes or more");
/// Of a case's growth.
pub const GROWTH: Limit = limit(
    32,
    "growth over {asked} values is too much: at most {most}",
    "each value plays the states once more, and a few tell how something grows",
);
/// Of a case, those within others included.
pub const STEPS: Limit =
    limit(1_000, "{asked} steps are too many: at most {most}", "let a step act several times, or make several cases");
/// Of a case.
pub const ACTORS: Limit =
    limit(128, "{asked} actors are too many: at most {most}", "each is a process with connections of its own");
/// Of a case.
pub const FIXES: Limit = limit(32, "{asked} fixes are too many: at most {most}", "make several cases of them");
/// Of a change.
pub const EDITS: Limit =
    limit(64, "{asked} edits are too many: at most {most}", "the case is run twice for each of them");
/// Of a case.
pub const INVARIANTS: Limit =
    limit(256, "{asked} invariants are too many: at most {most}", "make several cases of them");
/// Of anything that has a name, in bytes: names become file names, and Postgres cuts an application's after 63 bytes.
pub const NAME: Limit = limit(
    60,
    "a name of {asked} bytes is too long: at most {most}",
    "names stand in file names and in the server's statistics, which cut longer ones",
);
/// Of an actor, in bytes.
pub const ACTOR_NAME: Limit = limit(
    52,
    "an actor's name of {asked} bytes is too long: at most {most}",
    "it comes after `dj-regress/` in the name that an actor gives to the server, which cuts it after 63",
);
/// Of a case's path below the folder of cases, in bytes.
pub const CASE_NAME: Limit = limit(
    90,
    "the name of a case with {asked} bytes is too long: at most {most}",
    "the names of logs are made of it and may have 255",
);
/// Of a case, in bytes.
pub const FILE: Limit = limit(
    256 * 1024,
    "a case file of more than {most} bytes is too large",
    "put a long patch into a file of its own: `patch: fix.diff`",
);
/// Of a case: its mappings, lists and single values, aliases counted as what they stand for.
pub const NODES: Limit =
    limit(10_000, "more than {most} values in one case are too many", "a value that an alias stands for counts again");
/// Of a case: mappings and lists within each other.
pub const DEPTH: Limit =
    limit(40, "values more than {most} levels deep are too deep", "no part of the language goes deeper than ten");
/// Of a file with a patch, in bytes.
pub const PATCH: Limit =
    limit(1024 * 1024, "a patch of more than {most} bytes is too large", "take the files of a release instead: `take`");
/// Of a source file that is changed, of a lock, of a file of a case's own app, in bytes.
pub const SOURCE: Limit =
    limit(16 * 1024 * 1024, "more than {most} bytes are too many", "code is read into memory to be changed");
/// Of a package that is copied, such as a case's own app.
pub const PACKAGE_FILES: Limit =
    limit(20_000, "more than {most} files are too many", "the package is copied for each state");
/// Of a package that is copied, in bytes.
pub const PACKAGE_BYTES: Limit =
    limit(128 * 1024 * 1024, "more than {most} bytes are too many", "the package is copied for each state");
/// Of a project's tree.
pub const TREE_FILES: Limit =
    limit(200_000, "{asked} files are too many: at most {most}", "the tree is copied for each state");
/// Of a project's tree, in bytes.
pub const TREE_BYTES: Limit =
    limit(1024 * 1024 * 1024, "more than {most} bytes are too many", "the tree is copied for each state");
/// Of the memory of a Redis, in bytes.
pub const REDIS: Limit = limit(
    1_000_000_000,
    "`{asked}` is too much memory: at most 1 GB",
    "the servers of a run share one machine, and a small Redis fills up the sooner",
);
/// Of virtual time, in seconds: a step's, and that of all steps of a case.
pub const VIRTUAL: Limit = limit(
    100 * 365 * 86_400,
    "`{asked}` is too long: at most 36500d",
    "databases and Python's dates end not long after",
);
/// Of real time, in seconds: a wait, a window, the delay of a fault.
pub const REAL: Limit =
    limit(3_600, "`{asked}` is too long: at most 1h", "real time has to pass; an hour of virtual time costs nothing");

impl Limit {
    /// Whether so much may be asked for.
    ///
    /// # Errors
    ///
    /// What was asked, what is allowed, and why; without a place.
    pub fn check(&self, asked: u64) -> Result<(), Error> {
        if asked > self.most { Err(self.refuse(asked)) } else { Ok(()) }
    }

    /// As [`Limit::check`], for a duration as it is written.
    pub fn check_time(&self, asked: Duration, written: &str) -> Result<(), Error> {
        if asked > Duration::from_secs(self.most) { Err(self.refuse(written)) } else { Ok(()) }
    }

    /// What is said of too much.
    pub fn refuse(&self, asked: impl Display) -> Error {
        Error::usage(self.message(asked)).hint(self.why)
    }

    /// The same without the reason, where there is no case file to point into.
    pub fn message(&self, asked: impl Display) -> String {
        self.said.replace("{asked}", &asked.to_string()).replace("{most}", &self.most.to_string())
    }
}

/// As [`name`], for an actor: it introduces itself to the server by it.
///
/// # Errors
///
/// The server would not give it back as it is.
pub fn actor_name(text: &str) -> Result<(), Error> {
    name(text)?;
    if !text.is_ascii() {
        let message = format!("the name of the actor `{text}` has more than ASCII characters in it");
        return Err(Error::usage(message).hint("actors introduce themselves to the server, which replaces others"));
    }
    ACTOR_NAME.check(text.len() as u64)
}

/// Whether something may be called so.
///
/// # Errors
///
/// It is empty, too long, or has a control character in it.
pub fn name(text: &str) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::usage("a name is empty").hint("names stand in reports and in the names of files"));
    }
    if text.chars().any(char::is_control) {
        let message = format!("the name `{}` has a control character in it", text.escape_debug());
        return Err(Error::usage(message).hint("names stand in reports and in the names of files"));
    }
    NAME.check(text.len() as u64)
}

/// As [`name`], for a case: its path below the folder of cases.
///
/// # Errors
///
/// It has a control character in it, or is too long.
pub fn case_name(text: &str) -> Result<(), Error> {
    if text.chars().any(char::is_control) {
        let message = format!("the name of the case, `{}`, has a control character in it", text.escape_debug());
        return Err(Error::usage(message).hint("give its file another name"));
    }
    CASE_NAME.check(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn too_much_is_said_with_what_was_asked_and_what_is_allowed() {
        let error = CALLERS.check(129).expect_err("it is one too many");
        assert_eq!(error.message, "129 callers are too many: at most 128");
        assert!(CALLERS.check(128).is_ok());
    }

    #[test]
    fn a_duration_is_said_as_it_was_written() {
        let error = REAL.check_time(Duration::from_secs(7200), "2h").expect_err("it is too long");
        assert_eq!(error.message, "`2h` is too long: at most 1h");
    }

    #[rstest]
    #[case("", "empty")]
    #[case("a\nb", "`a\\nb` has a control character")]
    #[case("a\u{1b}[31m", "control character")]
    #[case(&"x".repeat(61), "a name of 61 bytes is too long: at most 60")]
    fn what_cannot_be_a_name_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = name(text).expect_err("it is none");
        assert!(error.message.contains(expected), "{}", error.message);
    }

    #[rstest]
    #[case("the whole fix")]
    #[case("größer / kleiner")]
    fn names_may_have_spaces_and_any_letters(#[case] text: &str) {
        assert_eq!(name(text), Ok(()));
    }
}
