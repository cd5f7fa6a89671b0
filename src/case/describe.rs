//! Steps and units in words, for logs and messages.

use std::fmt;

use super::model::Per;
use super::resolve::Action;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { actor } => write!(f, "start {actor}"),
            Self::Stop { actor } => write!(f, "stop {actor}"),
            Self::Restart { actor, count } => write!(f, "restart {actor} {count} times"),
            Self::Beat { actor, count, every: None } => write!(f, "{count} beats of {actor}"),
            Self::Beat { actor, count, every: Some(every) } => write!(f, "{count} beats of {actor}, every {every:?}"),
            Self::Drain { actor } => write!(f, "drain {actor}"),
            Self::Python { actor, times: 1, .. } => write!(f, "python in {actor}"),
            Self::Python { actor, times, .. } => write!(f, "python in {actor}, {times} times"),
            Self::Sql { actor: None, .. } => f.write_str("sql"),
            Self::Sql { actor: Some(actor), .. } => write!(f, "sql as {actor}"),
            Self::Read { readings } => {
                write!(f, "read {}", readings.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Self::Advance { by } => write!(f, "advance {by:?}"),
            Self::Measure { .. } => f.write_str("measure"),
            Self::MeasureFor { time } => write!(f, "measure for {time:?}"),
        }
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
        })
    }
}
