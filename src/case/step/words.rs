//! Steps in words, for logs and messages.

use std::fmt;
use std::time::Duration;

use super::action::Action;
use super::hold::Role;
use super::http::Http;
use super::task::{Enqueue, Schedule, What};
use super::wait::WaitFor;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { actor, expect_exit: false, .. } => write!(f, "start {actor}"),
            Self::Start { actor, expect_exit: true, within } => {
                write!(f, "start {actor}, which is to exit{}", Deadline(*within))
            }
            Self::Stop { actor, within } => write!(f, "stop {actor}{}", Deadline(*within)),
            Self::Signal { actor, role, send } => write!(f, "send {send} to {}", Processes(actor, *role)),
            Self::Kill { actor, role } => write!(f, "kill {}", Processes(actor, *role)),
            Self::Pause { actor, role } => write!(f, "pause {}", Processes(actor, *role)),
            Self::Resume { actor, role } => write!(f, "resume {}", Processes(actor, *role)),
            Self::Restart { actor, count, by_kill: false } => write!(f, "restart {actor} {count} times"),
            Self::Restart { actor, count, by_kill: true } => write!(f, "kill and restart {actor} {count} times"),
            Self::Hold { actor, hold } => {
                write!(f, "hold {} at {}", Processes(actor, hold.role.unwrap_or(Role::Group)), hold.moment)?;
                if hold.at_return {
                    f.write_str(" on its return")?;
                }
                if hold.call == 1 { Ok(()) } else { write!(f, ", call {}", hold.call) }
            }
            Self::Release { actor } => write!(f, "release {actor}"),
            Self::Beat { actor, count, every: None } => write!(f, "{count} beats of {actor}"),
            Self::Beat { actor, count, every: Some(every) } => write!(f, "{count} beats of {actor}, every {every:?}"),
            Self::Enqueue(enqueue) => write!(f, "{enqueue}"),
            Self::Schedule(Schedule { by, task, kind, .. }) => write!(f, "schedule {task} {} by {by}", kind.word()),
            Self::Tick { actor, count } => write!(f, "{count} ticks of {actor}'s scheduler"),
            Self::Drain { actor, within } => write!(f, "drain {actor}{}", Deadline(*within)),
            Self::Python { actor, times: 1, .. } => write!(f, "python in {actor}"),
            Self::Python { actor, times, .. } => write!(f, "python in {actor}, {times} times"),
            Self::Sql { actor: None, .. } => f.write_str("sql"),
            Self::Sql { actor: Some(actor), .. } => write!(f, "sql as {actor}"),
            Self::Read { readings } => {
                write!(f, "read {}", readings.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Self::Wait { for_: WaitFor::Until { expression }, within } => {
                write!(f, "wait until {expression}{}", Deadline(*within))
            }
            Self::Wait { for_: WaitFor::Held { actor }, within } => {
                write!(f, "wait until {actor} is held{}", Deadline(*within))
            }
            Self::Advance { by } => write!(f, "advance {by:?}"),
            Self::Wait { for_: WaitFor::Quiet { actor }, within } => {
                write!(f, "wait until {actor} is quiet{}", Deadline(*within))
            }
            Self::Measure { .. } => f.write_str("measure"),
            Self::MeasureFor { time } => write!(f, "measure for {time:?}"),
            Self::Fault { fault, .. } => write!(f, "fault: {fault}"),
            Self::Http { http, .. } => write!(f, "{http}"),
        }
    }
}

impl fmt::Display for Enqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Task { task, .. } => write!(f, "enqueue {task}")?,
            What::Iter { task, args } => write!(f, "enqueue {task} over {} arguments", args.len())?,
            What::Chain { links } => {
                let tasks: Vec<&str> = links.iter().map(|(task, _)| task.as_str()).collect();
                write!(f, "enqueue the chain {}", tasks.join(", "))?;
            }
        }
        write!(f, " by {}", self.by)?;
        if self.times == 1 { Ok(()) } else { write!(f, ", {} times", self.times) }
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, to, via, times, callers, .. } = self;
        write!(f, "{} {}", request.method, request.target)?;
        for (word, actor) in [("to", to), ("via", via)] {
            actor.as_ref().map_or(Ok(()), |actor| write!(f, " {word} {actor}"))?;
        }
        match callers {
            1 => {}
            callers => write!(f, " by {callers} callers")?,
        }
        match (times, self.until.is_empty()) {
            (1, true) => Ok(()),
            (times, true) => write!(f, ", {times} times"),
            (times, false) => write!(f, ", at most {times} times"),
        }
    }
}

/// Which processes of an actor.
struct Processes<'a>(&'a str, Role);

impl fmt::Display for Processes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(actor, role) = self;
        match role {
            Role::Group => f.write_str(actor),
            Role::Held => write!(f, "{actor}'s held process"),
            role => write!(f, "{actor}'s {}", role.word()),
        }
    }
}

/// `, within 5s`, where there is a deadline.
struct Deadline(Option<Duration>);

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |within| write!(f, ", within {within:?}"))
    }
}
