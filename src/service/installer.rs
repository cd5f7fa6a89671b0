//! Programs that install something (uv, pip, venv), or say what they are. They are not below the supervisor: they end with the controller.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::procfs::Process;
use crate::cache::Cache;
use crate::deadline;

/// Where uv and pip are told to keep what they download, and the folder of our cache where the user has not said so.
/// In ours, uv's files are on the same file system as the environments, so that it can link them.
const CACHES: [(&str, &str); 2] = [("UV_CACHE_DIR", "uv"), ("PIP_CACHE_DIR", "pip")];

/// A process that is still there so long after SIGKILL hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// A program that only says what it is; a version manager's shim may take a second over that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// The Python that uv is asked for where any will do.
pub const ANY_PYTHON: &str = ">=3.10";

/// Makes the kernel end the program when the controller dies, by SIGKILL too. What the program itself has started is
/// not reached: it ends when its own work is done.
pub fn tie(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed: prctl is one.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) }
}

/// A uv that makes things for our cache.
pub fn uv(program: &Path, cache: &Cache) -> Command {
    let mut command = Command::new(program);
    // Neither what the project here asks of uv, nor a venv of the user's, nor a wish for no bytecode may leak into ours.
    command.current_dir(cache.root());
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"] {
        command.env_remove(variable);
    }
    // A link to uv's cache would be a file of every environment that it has made: whoever writes to one, writes to all.
    command.env("UV_LINK_MODE", "copy");
    command.env("UV_NO_PROGRESS", "1").env("NO_COLOR", "1");
    keep_in(cache, &mut command);
    command
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

/// Runs a program that installs something to its end, with nothing to read, unless it takes too long: then it is
/// ended with all that it has started.
///
/// # Errors
///
/// Those of the kernel; timed out, if it was ended.
pub fn output(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    output_within(deadline::install(), command, input)
}

/// What a program answers that is asked for its version, or something as small.
///
/// # Errors
///
/// As [`output`].
pub fn answer(command: &mut Command) -> io::Result<Output> {
    output_within(ANSWER_DEADLINE, command, &[])
}

fn output_within(limit: Duration, command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tie(piped).spawn()?;
    let (pid, stdin) = (child.id(), child.stdin.take());
    let (sender, ended) = mpsc::channel();
    // Whoever talks to it must not be the one who looks at the clock. Both end with the program.
    let reading = thread::spawn(move || sender.send(child.wait_with_output()));
    let input = input.to_vec();
    // One that does not want to hear it has another reason to fail, and says so.
    let writing = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    if let Ok(output) = ended.recv_timeout(limit) {
        return output;
    }
    for process in Process::descendants(pid).into_iter().map(|process| process.pid).chain([pid]) {
        let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL);
    }
    // What it says ends with the last who says it; if one gets away, nobody waits for it.
    drop((reading, writing));
    let name = command.get_program().to_string_lossy().into_owned();
    let message = format!("{name} did not end within {} s, and was killed", limit.as_secs());
    Err(io::Error::new(io::ErrorKind::TimedOut, message))
}

/// Ends every installer with all that it has started; for an interrupted run, whose supervisor is gone already.
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
