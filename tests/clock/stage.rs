//! Clocks in a folder of their own, and programs that have one.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use dj_regress::clock::{Clock, Clocks, Preload, START};
use dj_regress_protocol::clock::Pace;
use serde_json::Value;

use crate::common::Room;

pub const HOUR: Duration = Duration::from_secs(3600);

/// How much longer than it says something may take before it is the jump that it has waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that everybody can enter, with clocks in it.
pub struct Stage {
    pub room: Room,
    pub clocks: Clocks,
}

impl Stage {
    pub fn new() -> Self {
        let room = Room::new();
        let clocks = Clocks::create(&room.base().join("clocks")).unwrap();
        Self { room, clocks }
    }

    /// A clock that starts when an arm does whose case says nothing.
    pub fn clock(&self, pace: Pace) -> Clock {
        self.clocks.clock(pace, UNIX_EPOCH + START).unwrap()
    }

    /// A program with this clock.
    pub fn command(&self, program: impl AsRef<Path>, clock: &Clock) -> Command {
        let mut command = Command::new(program.as_ref());
        command.envs(self.clocks.of(clock).variables);
        command
    }
}

/// Variables as the supervisor takes them.
pub fn environment(clock: Preload) -> BTreeMap<String, String> {
    clock.variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A program that is told and says a line at a time. It ends with its input.
pub struct Talk {
    child: Child,
    told: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Talk {
    pub fn with(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (told, said) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, told, said }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it says nothing");
        line
    }

    pub fn tell(&mut self) {
        self.told.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    pub fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.told.take());
        let _ = self.child.wait();
    }
}

/// Whether something took as long as it says, and not as long as the clock was moved.
pub fn is_real(took: f64, length: f64) -> bool {
    // Readings of two clocks may be a tick apart.
    took >= length - 0.002 && took < length + PATIENCE.as_secs_f64()
}
