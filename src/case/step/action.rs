//! A step and what it does: one verb, what it acts on, and beside it how.

use std::time::Duration;

use indexmap::IndexMap;
use nix::sys::signal::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::hold::{self, HoldSpec, Role, SignalWord};
use super::http::Http;
use super::task::{Enqueue, Schedule, client};
use super::wait::WaitFor;
use crate::case::fault::Fault;
use crate::case::unit::{self, Time};
use crate::case::yaml::text::Verbatim;

/// One step: a verb, what stands beside it, and a name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(expecting = "a step (a mapping with one verb)")]
pub struct Step {
    /// The name of the step's window, and of the readings that it gives.
    #[serde(rename = "as")]
    pub name: Option<String>,
    /// What is done.
    #[serde(rename = "$rest")]
    pub action: Action,
    /// Line in the case file, 1-based.
    #[serde(rename = "$line")]
    pub line: usize,
    /// It in one line, for logs and messages: as it is written, with the variables put in.
    #[serde(rename = "$written")]
    pub written: String,
}

/// A step is written as what it does, with its name beside it.
impl JsonSchema for Step {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Action::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        Action::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Action::json_schema(generator)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Action")]
#[serde(rename = "$a step/verb", deny_unknown_fields, expecting = "a step (a mapping with one verb)")]
pub enum Action {
    /// Starts a cluster; a simulated one gets a new identity and one registering beat. With `expect: exit` a real one is
    /// to end by itself; `as: boot` then gives the readings `boot.reached`, `boot.exit` (its exit code, or a text such as
    /// `signal 9`; null if it had to be killed) and `boot.seconds`.
    #[serde(rename = "start")]
    Start {
        /// The cluster.
        #[serde(rename = "start")]
        actor: String,
        /// The cluster is to `exit` by itself.
        #[serde(rename = "expect", default, deserialize_with = "exit")]
        #[schemars(with = "Option<Expect>")]
        expect_exit: bool,
        /// It is killed if it has not ended by itself then.
        #[serde(default, deserialize_with = "unit::read_optional_real_time")]
        #[schemars(with = "Option<Time>")]
        within: Option<Duration>,
    },
    /// Stops a real cluster (SIGTERM) and waits for its end; one that has ended already is stopped. `as: halt` gives the
    /// readings `halt.reached`, `halt.exit` (its exit code, or a text such as `signal 9`; null if it had to be killed; of
    /// several clusters the first that is not 0) and `halt.seconds`.
    #[serde(rename = "stop")]
    Stop {
        /// The cluster.
        #[serde(rename = "stop")]
        actor: String,
        /// It is killed if it has not ended by itself then.
        #[serde(default, deserialize_with = "unit::read_optional_real_time")]
        #[schemars(with = "Option<Time>")]
        within: Option<Duration>,
    },
    /// Sends a signal to processes of a real cluster, and waits for nothing.
    #[serde(rename = "signal")]
    Signal {
        /// The cluster.
        #[serde(rename = "signal")]
        actor: String,
        /// Which of its processes (default parent).
        #[serde(default = "Role::parent")]
        role: Role,
        /// TERM (default), INT, HUP, USR1 or USR2.
        #[serde(default = "hold::term", deserialize_with = "SignalWord::deserialize")]
        #[schemars(with = "SignalWord")]
        send: Signal,
    },
    /// SIGKILL of processes of a real cluster.
    #[serde(rename = "kill")]
    Kill {
        /// The cluster.
        #[serde(rename = "kill")]
        actor: String,
        /// Which of its processes (default group: all of them).
        #[serde(default = "Role::group")]
        role: Role,
    },
    /// SIGSTOP of processes of a real cluster.
    #[serde(rename = "pause")]
    Pause {
        /// The cluster.
        #[serde(rename = "pause")]
        actor: String,
        /// Which of its processes (default group: all of them).
        #[serde(default = "Role::group")]
        role: Role,
    },
    /// SIGCONT of processes of a real cluster.
    #[serde(rename = "resume")]
    Resume {
        /// The cluster.
        #[serde(rename = "resume")]
        actor: String,
        /// Which of its processes (default group: all of them).
        #[serde(default = "Role::group")]
        role: Role,
    },
    /// Restarts a cluster: a simulated one 4 virtual seconds later, a real one with SIGTERM.
    #[serde(rename = "restart")]
    Restart {
        /// The cluster.
        #[serde(rename = "restart")]
        actor: String,
        /// How often (default once).
        #[serde(rename = "times", default = "unit::once", deserialize_with = "unit::read_count")]
        count: u64,
        /// Of a real cluster: `kill` it instead of stopping it.
        #[serde(rename = "by", default, deserialize_with = "kill")]
        #[schemars(with = "Option<By>")]
        by_kill: bool,
    },
    /// The first process of a real cluster that reaches the moment stops itself there; of a web actor it is a thread.
    #[serde(rename = "hold")]
    Hold {
        /// The actor.
        #[serde(rename = "hold")]
        actor: String,
        /// Where.
        #[serde(rename = "$rest")]
        #[schemars(flatten)]
        hold: HoldSpec,
    },
    /// The held process of this actor goes on; of a web actor, all threads that are held.
    #[serde(rename = "release")]
    Release {
        /// The actor.
        #[serde(rename = "release")]
        actor: String,
    },
    /// Heartbeats of a simulated cluster.
    #[serde(rename = "beat")]
    Beat {
        /// The cluster.
        #[serde(rename = "beat")]
        actor: String,
        /// How many (default 1).
        #[serde(rename = "times", default = "unit::once", deserialize_with = "unit::read_count")]
        count: u64,
        /// Virtual time between two beats, e.g. `2s`.
        #[serde(default, deserialize_with = "unit::read_optional_duration")]
        #[schemars(with = "Option<Time>")]
        every: Option<Duration>,
    },
    /// Puts tasks into the queue. `as: put` gives the readings `put.accepted` and `put.refused`.
    #[serde(rename = "enqueue")]
    Enqueue(Enqueue),
    /// Makes a schedule.
    #[serde(rename = "schedule")]
    Schedule(Schedule),
    /// Runs the scheduler of a simulated cluster.
    #[serde(rename = "tick")]
    Tick {
        /// The cluster.
        #[serde(rename = "tick")]
        actor: String,
        /// How often (default once).
        #[serde(rename = "times", default = "unit::once", deserialize_with = "unit::read_count")]
        count: u64,
    },
    /// Runs queued tasks in a simulated cluster's process, or waits for a real one, until none is left. Of a real one,
    /// `as: NAME` gives the readings `NAME.reached` and `NAME.seconds`.
    #[serde(rename = "drain")]
    Drain {
        /// The cluster.
        #[serde(rename = "drain")]
        actor: String,
        /// How long a real cluster has, e.g. `10s`.
        #[serde(default, deserialize_with = "unit::read_optional_real_time")]
        #[schemars(with = "Option<Time>")]
        within: Option<Duration>,
    },
    /// Runs Python source in a python or web actor.
    #[serde(rename = "python")]
    Python {
        /// The actor.
        #[serde(rename = "python")]
        actor: String,
        /// Source text.
        #[serde(rename = "run", default)]
        source: String,
        /// How often (default once).
        #[serde(default = "unit::once", deserialize_with = "unit::read_count")]
        times: u64,
    },
    /// Runs a management command, in the process of a python actor.
    #[serde(rename = "manage")]
    Manage {
        /// The command and its arguments: `[send_reminders, --limit, 5]`.
        #[serde(rename = "manage", deserialize_with = "words")]
        #[schemars(with = "Vec<Verbatim>")]
        command: Vec<String>,
        /// The python or web actor; absent: `client`, which every case has.
        #[serde(rename = "by", default = "client")]
        actor: String,
    },
    /// One SQL statement, run as the harness, or `by` a stranger; with `as`, its rows or single value are a reading.
    #[serde(rename = "sql")]
    Sql {
        /// The stranger; absent: the harness, which no measurement counts.
        #[serde(rename = "by")]
        actor: Option<String>,
        /// The statement.
        #[serde(rename = "sql")]
        statement: String,
    },
    /// Readings: name -> Python expression, evaluated apart from all measurements.
    #[serde(rename = "read")]
    Read {
        /// Reading -> expression.
        #[serde(rename = "read")]
        readings: IndexMap<String, String>,
    },
    /// Web requests. `as: polls` gives the readings `polls.status` (of the last answer), `polls.answers`, `polls.errors`,
    /// and with `until` `polls.reached`; without `as`, an answer of 400 or more, or none, is an error.
    #[serde(rename = "http")]
    Http {
        /// What is asked.
        #[serde(rename = "$rest")]
        #[schemars(flatten)]
        http: Box<Http>,
        /// What is done while the requests are under way.
        #[serde(rename = "while", default)]
        steps: Vec<Step>,
    },
    /// Waits; needs `as: NAME`, and gives the readings `NAME.reached` and `NAME.seconds`.
    #[serde(rename = "wait")]
    Wait {
        /// For what.
        #[serde(rename = "wait")]
        for_: WaitFor,
        /// The deadline, e.g. `5s`; absent: 20 times what it took with the fix or under the control, at least 2 s.
        #[serde(default, deserialize_with = "unit::read_optional_real_time")]
        #[schemars(with = "Option<Time>")]
        within: Option<Duration>,
    },
    /// Moves the virtual clock: `2.5s`, `10min`, `1d`.
    #[serde(rename = "advance")]
    Advance {
        /// By so much.
        #[serde(rename = "advance", deserialize_with = "unit::read_duration")]
        #[schemars(with = "Time")]
        by: Duration,
    },
    /// Several steps as one window; needs `as`.
    #[serde(rename = "measure: []")]
    Measure {
        /// The steps.
        #[serde(rename = "measure")]
        steps: Vec<Step>,
    },
    /// A window of so much real time, for real clusters to live: `20s`; needs `as`.
    #[serde(rename = "measure")]
    MeasureFor {
        /// So long.
        #[serde(rename = "measure", deserialize_with = "some_time")]
        #[schemars(with = "Time")]
        time: Duration,
    },
    /// Something breaks, for as long as the steps under `while` are played, or until the arm ends.
    #[serde(rename = "fault")]
    Fault {
        /// What.
        #[serde(rename = "fault")]
        fault: Fault,
        /// What is done while it lasts; left out: it lasts until the arm ends.
        #[serde(rename = "while", default)]
        steps: Vec<Step>,
    },
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words: Vec<Verbatim> = Vec::deserialize(deserializer)?;
    if words.is_empty() {
        return Err(serde::de::Error::custom("`manage` needs a command: `manage: [clearsessions]`"));
    }
    Ok(words.into_iter().map(|Verbatim(word)| word).collect())
}

/// What becomes of a cluster that is started.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Expect {
    /// It ends by itself.
    Exit,
}

fn exit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Expect::deserialize(deserializer).map(|Expect::Exit| true)
}

/// How a cluster is ended.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    /// SIGKILL.
    Kill,
}

fn kill<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    By::deserialize(deserializer).map(|By::Kill| true)
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match unit::read_real_time(deserializer)? {
        Duration::ZERO => Err(serde::de::Error::custom("a window of no time measures nothing")),
        time => Ok(time),
    }
}

impl Step {
    /// It, and then the steps that are played within it, in the order of the case.
    pub fn all(&self) -> Vec<&Self> {
        let within = self.action.steps().iter().flat_map(Self::all);
        std::iter::once(self).chain(within).collect()
    }
}

impl Action {
    /// The steps that are played within it.
    pub fn steps(&self) -> &[Step] {
        match self {
            Self::Measure { steps } | Self::Fault { steps, .. } | Self::Http { steps, .. } => steps,
            _ => &[],
        }
    }

    /// The same, to be changed.
    pub fn steps_mut(&mut self) -> &mut [Step] {
        match self {
            Self::Measure { steps } | Self::Fault { steps, .. } | Self::Http { steps, .. } => steps,
            _ => &mut [],
        }
    }

    /// The actor that the verb acts on, where it is one.
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Start { actor, .. }
            | Self::Stop { actor, .. }
            | Self::Signal { actor, .. }
            | Self::Kill { actor, .. }
            | Self::Pause { actor, .. }
            | Self::Resume { actor, .. }
            | Self::Restart { actor, .. }
            | Self::Hold { actor, .. }
            | Self::Release { actor }
            | Self::Beat { actor, .. }
            | Self::Tick { actor, .. }
            | Self::Drain { actor, .. }
            | Self::Python { actor, .. } => Some(actor),
            Self::Sql { actor, .. } => actor.as_deref(),
            _ => None,
        }
    }
}
