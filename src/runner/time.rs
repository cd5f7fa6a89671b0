//! The time of an arm: one clock for all of its processes and servers, and one way to move it.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::actor::StepError;
use crate::clock::Clock;
use crate::probe::window::monotonic;
use crate::proxy::TimeAsked;
use crate::service::redis::Redis;

/// The arm's clock, and who must have seen it before the arm goes on.
#[derive(Debug, Clone)]
pub struct Time {
    clock: Arc<Clock>,
    /// It is the arm's, who ends it: nobody holds it by this.
    redis: Option<Weak<Redis>>,
    /// What a server lets last that has the machine's time: once the arm's is moved, it lasts too long.
    strange: TimeAsked,
    marks: Arc<Mutex<Vec<Mark>>>,
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// `CLOCK_MONOTONIC` of the machine, in nanoseconds.
    machine: u64,
    arm: SystemTime,
}

impl Time {
    /// As this clock shows it.
    pub fn new(clock: Arc<Clock>, strange: TimeAsked) -> Self {
        Self { clock, redis: None, strange, marks: Arc::default() }
    }

    /// This server is the arm's, too.
    pub fn moves(&mut self, redis: &Arc<Redis>) {
        self.redis = Some(Arc::downgrade(redis));
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Moves all of it. Everybody reads the clock when they need it; Redis has read it before, and is waited for.
    pub async fn advance(&self, by: Duration) -> Result<(), StepError> {
        self.clock.advance(by);
        if let Some(lasting) = self.strange.lasting() {
            self.strange.ask(lasting);
        }
        match self.redis.as_ref().and_then(Weak::upgrade) {
            Some(redis) => Ok(redis.see().await?),
            None => Ok(()),
        }
    }

    /// Now, by the machine's `CLOCK_MONOTONIC` in nanoseconds, as windows have it. It is kept in mind how late it is then by
    /// the arm's clock.
    pub fn mark(&self) -> u64 {
        let mark = Mark { machine: monotonic(), arm: self.clock.now() };
        self.marks.lock().push(mark);
        mark.machine
    }

    /// What a backend of the arm has read from its clock, by the machine's: that of the next mark. No two readings are the
    /// same, so it lies between the same marks.
    pub fn machine(&self, arm: SystemTime) -> u64 {
        let marks = self.marks.lock();
        let next = marks.partition_point(|mark| mark.arm <= arm);
        marks.get(next).map_or(u64::MAX, |mark| mark.machine)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use dj_regress_protocol::clock::Pace;

    use super::*;
    use crate::clock::Clocks;

    #[tokio::test]
    async fn what_was_read_between_two_marks_is_told_by_the_second() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        let clock = Arc::new(clocks.clock(Pace::Stands, UNIX_EPOCH).expect("a clock"));
        let time = Time::new(clock, TimeAsked::default());
        time.mark();
        let first = UNIX_EPOCH;
        time.advance(Duration::from_secs(5)).await.expect("it moves");
        let (second, last) = (time.mark(), UNIX_EPOCH + Duration::from_secs(5));
        assert_eq!((time.machine(first), time.machine(last)), (second, u64::MAX));
        time.advance(Duration::from_micros(1)).await.expect("it moves");
        let third = time.mark();
        assert_eq!((time.machine(first), time.machine(last)), (second, third));
    }
}
