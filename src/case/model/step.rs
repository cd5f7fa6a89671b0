//! Steps: the incident, one verb after the other.

use indexmap::IndexMap;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Fault, Http, Scalar};

/// One step, with the name that its window and readings go by.
#[derive(Debug, Clone)]
pub struct Step {
    /// `as`: the name of the window.
    pub name: Option<String>,
    /// What is done.
    pub action: Action,
    /// Line in the case file, 1-based, for messages.
    pub line: usize,
}

/// What a step does. Counts and texts may still hold `$vars`: see [`crate::case::resolve`].
#[derive(Debug, Clone)]
pub enum Action {
    /// Starts an actor.
    Start {
        /// The actor.
        actor: String,
        /// Whether its process must end by itself, instead of coming up.
        expect_exit: bool,
        /// It is killed if it has not ended by itself then.
        within: Option<Scalar>,
    },
    /// Stops a real cluster.
    Stop {
        /// The actor.
        actor: String,
        /// It is killed if it has not ended by itself then.
        within: Option<Scalar>,
    },
    /// A signal to processes of a real cluster.
    Signal {
        /// The actor.
        actor: String,
        /// Which of its processes: of [`ROLES`].
        role: Scalar,
        /// Of [`SIGNALS`].
        send: Scalar,
    },
    /// SIGKILL of processes of a real cluster.
    Kill {
        /// The actor.
        actor: String,
        /// Which of its processes: of [`ROLES`].
        role: Scalar,
    },
    /// SIGSTOP of processes of a real cluster.
    Pause {
        /// The actor.
        actor: String,
        /// Which of its processes: of [`ROLES`].
        role: Scalar,
    },
    /// SIGCONT of processes of a real cluster.
    Resume {
        /// The actor.
        actor: String,
        /// Which of its processes: of [`ROLES`].
        role: Scalar,
    },
    /// Restarts a cluster `count` times.
    Restart {
        /// The actor.
        actor: String,
        /// How many times.
        count: Scalar,
        /// Whether a real cluster is killed instead of stopped.
        by_kill: bool,
    },
    /// The first process of a real cluster that reaches a moment stops itself there.
    Hold {
        /// The actor.
        actor: String,
        /// Where.
        hold: Hold,
    },
    /// The held process goes on.
    Release {
        /// The actor.
        actor: String,
    },
    /// Heartbeats.
    Beat {
        /// The actor.
        actor: String,
        /// How many.
        count: Scalar,
        /// Virtual time between two of them.
        every: Option<Scalar>,
    },
    /// Puts tasks into the queue.
    Enqueue(Enqueue),
    /// Makes a schedule.
    Schedule(Schedule),
    /// Runs a simulated cluster's scheduler.
    Tick {
        /// The actor.
        actor: String,
        /// How often.
        count: Scalar,
    },
    /// Runs queued tasks in a simulated cluster's process, or waits for a real one, until none is left.
    Drain {
        /// The actor.
        actor: String,
        /// How long a real cluster has.
        within: Option<Scalar>,
    },
    /// Runs Python source in an actor.
    Python {
        /// The actor.
        actor: String,
        /// Source text.
        source: Scalar,
        /// How often.
        times: Scalar,
    },
    /// Runs SQL on the arm's database: as a stranger, or as the harness, which no measurement counts.
    Sql {
        /// The stranger; absent: the harness.
        actor: Option<String>,
        /// One statement; the rows affected or the single value returned become the reading `name`.
        statement: Scalar,
    },
    /// Evaluates Python expressions as the actor `probe`.
    Read {
        /// Reading -> expression.
        readings: IndexMap<String, Scalar>,
    },
    /// Waits for something, with a deadline.
    Wait {
        /// For what.
        for_: WaitFor,
        /// The deadline; absent: from what it took in the reference arm.
        within: Option<Scalar>,
    },
    /// Moves the virtual clock of the whole arm.
    Advance {
        /// By so much.
        by: Scalar,
    },
    /// Several steps as one window.
    Measure {
        /// The steps.
        steps: Vec<Step>,
    },
    /// A wall-clock window: lets real clusters live for so long.
    MeasureFor {
        /// So long.
        time: Scalar,
    },
    /// Something breaks.
    Fault {
        /// What.
        fault: Fault,
        /// What is done while it lasts; empty: it lasts until the arm ends.
        steps: Vec<Step>,
    },
    /// Web requests.
    Http {
        /// What is asked.
        http: Box<Http>,
        /// What is done while they are under way.
        steps: Vec<Step>,
    },
}

/// Processes of a real cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// All of them.
    Group,
    /// The process of the command.
    Parent,
    /// The one that watches the others.
    Sentinel,
    /// The one that takes tasks from the broker.
    Pusher,
    /// The one that saves results.
    Monitor,
    /// One that runs tasks.
    Worker,
    /// The one that a hold stopped.
    Held,
}

/// The roles, as they are written.
pub const ROLES: [(&str, Role); 7] = [
    ("group", Role::Group),
    ("parent", Role::Parent),
    ("sentinel", Role::Sentinel),
    ("pusher", Role::Pusher),
    ("monitor", Role::Monitor),
    ("worker", Role::Worker),
    ("held", Role::Held),
];

impl Role {
    /// As it is written.
    pub fn word(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(word, _)| word)
    }
}

/// Signals that an operator sends, as they are written.
pub const SIGNALS: [(&str, Signal); 5] = [
    ("TERM", Signal::SIGTERM),
    ("INT", Signal::SIGINT),
    ("HUP", Signal::SIGHUP),
    ("USR1", Signal::SIGUSR1),
    ("USR2", Signal::SIGUSR2),
];

/// Where a process stops itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// `module:function`, `module:Class.method`, or a named moment.
    pub moment: Scalar,
    /// `entry` or `return` of the function; absent: entry.
    pub at: Option<Scalar>,
    /// At the n-th call.
    pub call: Scalar,
    /// Only a process of this role; absent: any.
    pub role: Option<Scalar>,
    /// Of a web actor: every thread that comes is held, not only the first.
    pub every: bool,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitFor {
    /// A Python expression that becomes true, evaluated as the actor `probe`.
    Until {
        /// The expression.
        expression: Scalar,
    },
    /// A process, of a web actor a thread, that reached a hold.
    Held {
        /// The actor.
        actor: String,
    },
    /// Of a web actor: each request under way is held, or waits for another.
    Quiet {
        /// The actor.
        actor: String,
    },
}

/// Tasks for the queue. `$i` in arguments and group is the index of the enqueueing, from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Enqueue {
    /// The actor that enqueues.
    pub by: String,
    /// What.
    pub what: What,
    /// How often.
    pub times: Scalar,
    /// The group's name.
    pub group: Option<Scalar>,
    /// `cached` of `async_task`.
    pub cached: Option<Value>,
    /// Further keyword arguments of `async_task`.
    pub options: IndexMap<String, Value>,
    /// Whether an exception ends the enqueueing and is a reading.
    pub until_refused: bool,
}

/// What is enqueued. In a case as written, tasks may lack their module and arguments may hold `$vars`.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// `async_task`.
    Task {
        /// The function.
        task: String,
        /// Its arguments.
        args: Vec<Value>,
        /// Its keyword arguments.
        kwargs: IndexMap<String, Value>,
    },
    /// `async_iter`: the function once for each.
    Iter {
        /// The function.
        task: String,
        /// One argument each.
        args: Vec<Value>,
    },
    /// `async_chain`: one after the other.
    Chain {
        /// Functions with their arguments.
        links: Vec<(String, Vec<Value>)>,
    },
}

/// The kinds of schedules, as they are written.
pub const SCHEDULES: [&str; 7] = ["once", "minutes", "hourly", "daily", "weekly", "monthly", "cron"];

/// A schedule to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The actor that makes it.
    pub by: String,
    /// The function.
    pub task: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its keyword arguments.
    pub kwargs: IndexMap<String, Value>,
    /// Of [`SCHEDULES`].
    pub kind: Scalar,
    /// Other fields of the row: `minutes`, `cron`, `repeats`, `name`, ...
    pub fields: IndexMap<String, Value>,
    /// When it is due, from now on; may lie in the past.
    pub due: Scalar,
}

impl Action {
    /// The verb as it is written.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Signal { .. } => "signal",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Restart { .. } => "restart",
            Self::Hold { .. } => "hold",
            Self::Release { .. } => "release",
            Self::Beat { .. } => "beat",
            Self::Enqueue(_) => "enqueue",
            Self::Schedule(_) => "schedule",
            Self::Tick { .. } => "tick",
            Self::Drain { .. } => "drain",
            Self::Python { .. } => "python",
            Self::Sql { .. } => "sql",
            Self::Read { .. } => "read",
            Self::Wait { .. } => "wait",
            Self::Advance { .. } => "advance",
            Self::Measure { .. } | Self::MeasureFor { .. } => "measure",
            Self::Fault { .. } => "fault",
            Self::Http { .. } => "http",
        }
    }

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

    /// The actor that the verb names, where it names one.
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
            Self::Enqueue(_)
            | Self::Schedule(_)
            | Self::Read { .. }
            | Self::Wait { .. }
            | Self::Advance { .. }
            | Self::Measure { .. }
            | Self::MeasureFor { .. }
            | Self::Fault { .. }
            | Self::Http { .. } => None,
        }
    }
}
