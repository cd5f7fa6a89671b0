//! What this machine grants, found by trying.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;

use crate::seal::{Plan, new_user, seal};
use crate::system::{Refused, checked};

/// What a process must do before it can [`seal`] itself off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Nothing: it is privileged.
    Own,
    /// Join the user namespace of the process that found this out, as long as it lives.
    User,
    /// It cannot: why.
    Nothing(String),
}

impl Grant {
    /// Tries, in processes of its own, which must be able to fork: this one has one thread. It is in a user namespace of
    /// its own afterwards if that is what it takes.
    pub fn find(plan: &Plan) -> Self {
        let Err(why) = trial(plan) else { return Self::Own };
        // What a privileged user is refused says more than what a namespace is.
        match new_user().map_err(|refused| refused.to_string()).and_then(|()| trial(plan)) {
            Ok(()) => Self::User,
            Err(_) if is_root() => Self::Nothing(why),
            Err(why) => Self::Nothing(why),
        }
    }

    /// One line for whoever started this process; [`Grant::parse`] reads it.
    pub fn line(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::User => "user".to_owned(),
            Self::Nothing(why) => format!("nothing {}", why.replace('\n', " ")),
        }
    }

    /// Reads what [`Grant::line`] wrote.
    pub fn parse(line: &str) -> Option<Self> {
        match line.trim_end().split_once(' ') {
            None if line.trim_end() == "own" => Some(Self::Own),
            None if line.trim_end() == "user" => Some(Self::User),
            Some(("nothing", why)) => Some(Self::Nothing(why.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("namespaces"),
            Self::User => f.write_str("namespaces, through a user namespace"),
            Self::Nothing(why) => write!(f, "no namespaces: {why}"),
        }
    }
}

fn is_root() -> bool {
    // SAFETY: it cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Whether a copy of this process can seal itself off.
fn trial(plan: &Plan) -> Result<(), String> {
    try_in_copy(plan).map_err(|refused| refused.to_string())?.map_or(Ok(()), Err)
}

/// What a copy of this process says went wrong.
fn try_in_copy(plan: &Plan) -> Result<Option<String>, Refused> {
    let (mut reader, mut writer) = pipe()?;
    // SAFETY: this process has one thread, so its copy can do anything.
    let pid = checked("fork", unsafe { libc::fork() })? as i32;
    if pid == 0 {
        let said = seal(plan).err().map(|refused| refused.to_string()).unwrap_or_default();
        let is_told = writer.write_all(said.as_bytes()).is_ok();
        // SAFETY: it only ends the copy.
        unsafe { libc::_exit(i32::from(!is_told)) }
    }
    drop(writer);
    let mut said = String::new();
    let read = reader.read_to_string(&mut said);
    let mut status = 0;
    // SAFETY: the pointer is to a live integer.
    checked("wait for a copy", unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    read.map_err(|error| Refused::new("hear a copy", error))?;
    if status != 0 && said.is_empty() {
        return Err(Refused::new("try it in a copy", io::Error::other(format!("wait status {status}"))));
    }
    Ok((!said.is_empty()).then_some(said))
}

fn pipe() -> Result<(File, File), Refused> {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two live integers.
    checked("make a pipe", unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just given us these descriptors.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_said_in_one_line_and_read_again() {
        for grant in [Grant::Own, Grant::User, Grant::Nothing("unshare: not\npermitted".to_owned())] {
            let line = grant.line();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Grant::parse(&format!("{line}\n")).map(|grant| grant.line()), Some(line));
        }
        assert_eq!(Grant::parse("what"), None);
    }
}
