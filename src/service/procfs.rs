//! Processes as `/proc` shows them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One process at the moment it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The first word of what it runs, cut to 15 characters by the kernel.
    pub command: String,
    /// `R`, `S`, `D`, `T`, `Z`, ...
    pub state: char,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// When it started, in clock ticks since boot: with the pid, its identity.
    pub started: u64,
}

impl Process {
    /// The process with this id, if there is one (a zombie is one).
    pub fn find(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// This process.
    pub fn current() -> Option<Self> {
        Self::find(std::process::id())
    }

    /// All processes that can be seen.
    pub fn all() -> Vec<Self> {
        let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| Self::find(name.to_str()?.parse().ok()?)).collect()
    }

    /// All processes below this one.
    pub fn descendants(of: u32) -> Vec<Self> {
        let processes = Self::all();
        let mut children: HashMap<u32, Vec<&Self>> = HashMap::new();
        for process in &processes {
            children.entry(process.parent).or_default().push(process);
        }
        let mut found = Vec::new();
        // The scan is not one moment: a pid used again in between could make a loop.
        let mut seen = HashSet::from([of]);
        let mut parents = vec![of];
        while let Some(parent) = parents.pop() {
            for child in children.get(&parent).into_iter().flatten() {
                if seen.insert(child.pid) {
                    parents.push(child.pid);
                    found.push((*child).clone());
                }
            }
        }
        found
    }

    /// Whether it has ended and only waits to be reaped.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Whether a process with this id runs; a zombie does not.
    pub fn is_running(pid: u32) -> bool {
        Self::find(pid).is_some_and(|process| !process.is_zombie())
    }

    /// Whether it is there, and none of its threads runs or waits for a disk.
    pub fn is_asleep(pid: u32) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
        let mut states = threads.flatten().map(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).ok();
            stat.and_then(|stat| Self::parse(&stat)).map(|thread| thread.state)
        });
        // One that has ended meanwhile does nothing any more.
        states.all(|state| !matches!(state, Some('R' | 'D')))
    }

    /// Whether the same process still runs.
    pub fn is_alive(&self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.started == self.started && !now.is_zombie())
    }

    /// Its working directory, if we may know.
    pub fn working_directory(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()
    }

    /// Where one of its file descriptors leads, if we may know.
    pub fn descriptor(&self, number: u32) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{number}", self.pid)).ok()
    }

    /// Whether it was started with this variable (a process may have overwritten its environment).
    pub fn has_variable(&self, name: &str, value: &Path) -> bool {
        let wanted = [name.as_bytes(), b"=", value.as_os_str().as_encoded_bytes()].concat();
        fs::read(format!("/proc/{}/environ", self.pid))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == wanted))
    }

    /// `pid (command) state parent group session ...`; the command may hold spaces and brackets.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        let (command, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Session 0 has negative numbers for the terminal, never for these fields.
        let number = |index: usize| fields.get(index)?.parse().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            command: command.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_does_not_sleep() {
        assert!(!Process::is_asleep(u32::MAX));
    }

    #[test]
    fn a_command_may_hold_brackets_and_spaces() {
        let stat = "42 (a) (b c) S 1 42 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        let process = Process::parse(stat).expect("a process");
        assert_eq!((process.pid, process.command.as_str(), process.parent), (42, "a) (b c", 1));
        assert_eq!((process.group, process.session, process.started), (42, 41, 777));
    }
}
