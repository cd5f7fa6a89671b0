//! Steps and units in words, for logs and messages.

use std::fmt;
use std::time::Duration;

use super::model::{Link, Per, Role, What};
use super::resolve::{Action, CutAt, Enqueue, Fault, Http, Schedule, WaitFor};

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
            Self::Schedule(Schedule { by, task, kind, .. }) => write!(f, "schedule {task} {kind} by {by}"),
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
        let Self { method, target, asked, times, callers, .. } = self;
        write!(f, "{method} {target}")?;
        if let Some(asked) = asked {
            write!(f, " {} {}", asked.key(), asked.actor())?;
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, server, after) = match self {
            Self::Kill { server, after } => ("kill", server, after),
            Self::Stop { server, after } => ("stop", server, after),
            Self::Restart { server, after } => ("restart", server, after),
            Self::Pause { server, after } => ("pause", server, after),
            Self::Terminate { actor } => return write!(f, "terminate the backends of {actor}"),
            Self::Refuse { server, from: None } => return write!(f, "{} refuses connections", server.word()),
            Self::Refuse { server, from: Some(actor) } => {
                return write!(f, "{} refuses connections of {actor}", server.word());
            }
            Self::Latency { link, latency, jitter: Duration::ZERO } => {
                return write!(f, "latency of {latency:?} {link}");
            }
            Self::Latency { link, latency, jitter } => {
                return write!(f, "latency of {latency:?} +- {jitter:?} {link}");
            }
            Self::Bandwidth { link, bytes_per_second } => {
                return write!(f, "bandwidth of {bytes_per_second} B/s {link}");
            }
            Self::Cut { link, at } => {
                return match at {
                    CutAt::AfterCommit => write!(f, "cut after COMMIT {link}"),
                    CutAt::BeforeCommit => write!(f, "cut before COMMIT {link}"),
                    CutAt::AfterStatements(count) => write!(f, "cut after {count} {} {link}", link.server.requests()),
                    CutAt::AfterBytes(bytes) => write!(f, "cut after {bytes} B {link}"),
                };
            }
            Self::Reset { link } => return write!(f, "reset {link}"),
            Self::BlackHole { link } => return write!(f, "black hole {link}"),
            Self::Partition { link } => return write!(f, "partition {link}"),
            Self::Fill => return f.write_str("fill redis"),
            Self::Flush => return f.write_str("flush redis"),
            Self::Evict => return f.write_str("evict redis"),
        };
        write!(f, "{verb} {}", server.word())?;
        match after {
            None => Ok(()),
            Some(after) => write!(f, " after {} {} of {}", after.statements, server.requests(), after.actor),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "between {} and {}", self.actor, self.server.word())
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

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Beat => "beat",
            Self::Task => "task",
            Self::Restart => "restart",
            Self::Day => "day",
            Self::Second => "second",
            Self::Request => "request",
            Self::Fetch => "fetch",
        })
    }
}
