//! Programs that install something (uv, pip, venv). They are not below the keeper: they end with the controller.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::procfs::Process;
use crate::cache::Cache;

/// Where uv and pip are told to keep what they download, and the folder of our cache where the user has not said so.
/// In ours, uv's files are on the same file system as the environments, so that it can link them.
const CACHES: [(&str, &str); 2] = [("UV_CACHE_DIR", "uv"), ("PIP_CACHE_DIR", "pip")];

/// A process that is still there so long after SIGKILL hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// Makes the kernel end the program when the controller dies, by SIGKILL too. What the program itself has started is
/// not reached: it ends when its own work is done.
pub fn tie(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed: prctl is one.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) }
}

/// Makes the program keep its downloads in our cache, unless the user has named another folder for them.
pub fn keep_in<'c>(cache: &Cache, command: &'c mut Command) -> &'c mut Command {
    for (variable, folder) in CACHES {
        if std::env::var_os(variable).is_none_or(|value| value.is_empty()) {
            command.env(variable, cache.path(folder));
        }
    }
    command
}

/// Ends every installer with all that it has started; for an interrupted run, whose keeper is gone already.
pub fn end_all() {
    let deadline = Instant::now() + KILL_DEADLINE;
    loop {
        let mut left = Process::descendants(std::process::id());
        left.retain(|process| !process.is_zombie());
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        for process in left {
            // It may have ended since we looked.
            let _ = kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uv_and_pip_download_is_kept_in_our_cache_unless_the_user_says_where() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let cache = Cache::at(folder.path()).expect("a cache");
        let mut command = Command::new("uv");
        keep_in(&cache, &mut command);
        for (variable, folder) in CACHES {
            let told = command.get_envs().find(|(name, _)| *name == variable).and_then(|(_, value)| value);
            let expected = std::env::var_os(variable).is_none().then(|| cache.path(folder).into_os_string());
            assert_eq!(told, expected.as_deref(), "{variable}");
        }
    }
}
