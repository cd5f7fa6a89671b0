//! Programs that install something (uv, pip, venv), or say what they are. They are not below the supervisor: they end with the controller.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::procfs::Process;
use crate::deadline;

/// A process that is still there so long after SIGKILL hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// A program that only says what it is; a version manager's shim may take a second over that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Makes the kernel end the program when the controller dies, by SIGKILL too. What the program itself has started is
/// not reached: it ends when its own work is done.
pub fn tie(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed: prctl is one.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) }
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
    // Whoever reads what it says must not be the one who looks at the clock. It ends with the program.
    let reading = thread::spawn(move || sender.send(child.wait_with_output()));
    if let Some(mut stdin) = stdin {
        // One that does not want to hear it has another reason to fail, and says so.
        let _ = stdin.write_all(input);
    }
    if let Ok(output) = ended.recv_timeout(limit) {
        return output;
    }
    for process in Process::descendants(pid).into_iter().map(|process| process.pid).chain([pid]) {
        let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL);
    }
    // What it says ends with the last who says it; if one gets away, nobody waits for it.
    drop(reading);
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
