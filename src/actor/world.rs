//! What the processes of a run see of the machine: as little as it lets us grant.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use dj_regress_protocol::{Namespaces, World};
use dj_regress_world::{CACHE, Grant, HOME, Plan, TEMPORARY};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::deadline;
use crate::error::{Context as _, Error, Result};

/// The hidden subcommand: `dj-regress world FOLDER`.
pub const COMMAND: &str = "world";

/// How to be granted more, for `doctor` and the notes of a run.
pub const HINT: &str = "run as root, or allow user namespaces: \
                        sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), docker run --privileged";

/// `dj-regress world FOLDER`: finds out what can be had, says so, and keeps its user namespace open until standard input
/// closes.
pub fn run(folder: &Path) -> ExitCode {
    // Ctrl-C is for the controller, who closes our input then. It fails only if we lead a session already.
    let _ = nix::unistd::setsid();
    let plan = Plan { writable: vec![folder.to_owned()], readable: Vec::new() };
    println!("{}", Grant::find(&plan).line());
    let mut rest = Vec::new();
    // Whatever ends it: nobody needs us any more.
    let _ = std::io::stdin().read_to_end(&mut rest);
    ExitCode::SUCCESS
}

/// What the machine grants, and the process that keeps it.
#[derive(Debug)]
pub struct Worlds {
    grant: Grant,
    holder: Child,
}

/// A world to make, or to join.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// A folder of its own.
    pub folder: &'w Path,
    /// What can be written to.
    pub writable: &'w [&'w Path],
    /// What can be read besides, wherever it is.
    pub readable: &'w [&'w Path],
    /// The process that is in it already.
    pub first: Option<u32>,
    /// What the case says of the environment.
    pub env: &'w BTreeMap<String, String>,
}

impl Worlds {
    /// Finds out what can be had, with this folder among what can be written to. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// Cannot run if the process that tries it does not start.
    pub fn find(folder: &Path) -> Result<Self> {
        // Not `current_exe`: this works also when the file has been replaced meanwhile.
        Self::find_by_program(Path::new("/proc/self/exe"), folder)
    }

    /// As [`Worlds::find`], for a controller that is not `dj-regress` itself (a test).
    ///
    /// # Errors
    ///
    /// As [`Worlds::find`].
    pub fn find_by_program(program: &Path, folder: &Path) -> Result<Self> {
        let mut holder = Command::new(program)
            .args([COMMAND.as_ref(), folder.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .cannot_run(|| "find out which namespaces can be had".to_owned())?;
        let output = holder.stdout.take();
        let mut worlds = Self { grant: Grant::Nothing(String::new()), holder };
        let line = output.map_or_else(|| Ok(String::new()), |output| hear(output, deadline::step()))?;
        let grant = Grant::parse(&line);
        worlds.grant = grant.ok_or_else(|| Error::bug(format!("which namespaces can be had is said as `{line}`")))?;
        Ok(worlds)
    }

    /// What the machine grants.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What is weaker here than it could be, for the notes of a run.
    pub fn weaker(&self) -> Option<String> {
        let Grant::Nothing(why) = &self.grant else { return None };
        Some(format!(
            "isolation is weaker here ({why}): arms share files outside of TMPDIR and HOME, ports and the host's name; only \
             Python's own sockets are kept from the network"
        ))
    }

    /// The process whose user namespace an interpreter joins before anything else.
    pub fn users(&self) -> Option<u32> {
        (self.grant == Grant::User).then(|| self.holder.id())
    }

    /// The world that is wanted.
    ///
    /// # Errors
    ///
    /// Cannot run if its folders cannot be made.
    pub fn world(&self, wanted: &Wanted<'_>) -> Result<World> {
        let Wanted { folder, writable, readable, first, env } = *wanted;
        let text = |path: &Path| path.display().to_string();
        let (namespaces, home, cache, temporary) = if let Grant::Nothing(_) = self.grant {
            let home = folder.join("home");
            let (cache, temporary) = (home.join(".cache"), folder.join("tmp"));
            for made in [&cache, &temporary] {
                fs::create_dir_all(made).cannot_run(|| format!("make {}", made.display()))?;
            }
            (None, text(&home), text(&cache), text(&temporary))
        } else {
            let texts = |paths: &[&Path]| paths.iter().map(|path| text(path)).collect();
            let new = || Namespaces::New { writable: texts(writable), readable: texts(readable) };
            let namespaces = first.map_or_else(new, Namespaces::Of);
            (Some(namespaces), HOME.to_owned(), CACHE.to_owned(), TEMPORARY.to_owned())
        };
        let mut environment =
            BTreeMap::from([("HOME", home), ("XDG_CACHE_HOME", cache), ("TMPDIR", temporary)].map(own));
        environment.retain(|name, _| !env.contains_key(name));
        Ok(World { namespaces, environment, sockets: vec![text(folder)] })
    }
}

impl Drop for Worlds {
    fn drop(&mut self) {
        // It keeps nothing but its user namespace; one that stands still would not see that its input has closed.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The line that says it.
fn hear(output: ChildStdout, limit: Duration) -> Result<String> {
    let mut files = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    let milliseconds = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let doing = || "hear which namespaces can be had".to_owned();
    if poll(&mut files, milliseconds).cannot_run(doing)? == 0 {
        return Err(deadline::passed(limit, "find out which namespaces can be had")
            .hint("something on this machine keeps processes from starting; run again when it is less busy"));
    }
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).cannot_run(doing)?;
    Ok(line)
}

fn own((name, value): (&str, String)) -> (String, String) {
    (name.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_of_namespaces_is_not_waited_for_without_end() {
        let mut silent = Command::new("tail").args(["-f", "/dev/null"]).stdout(Stdio::piped()).spawn().expect("tail");
        let heard = hear(silent.stdout.take().expect("a pipe"), Duration::ZERO);
        silent.kill().and_then(|()| silent.wait()).expect("it ends");
        assert_eq!(
            heard.expect_err("it is silent").message,
            "find out which namespaces can be had: no answer within 0 s"
        );
    }
}
