//! A run that can be hurt at a known moment: its arms say when they are in the middle, and go on when they are told.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Context, Said, eventually, nothing_is_left_of, processes_of, run_directory_of};

/// How long a run that cannot go on may take over its end; most of it on a machine with other things to do.
pub const AT_ONCE: Duration = Duration::from_secs(10);

/// A case that is over soon: judged before the other is in the middle.
const QUICK: &str = "actors: {app: {python: }}
fixes: {hope: {env: {PLEASE: end}}}
steps: [{read: {x: \"1 if __import__('os').environ.get('PLE' 'ASE') else 2\"}}]
invariants: {x: {applied: 1, reverted: 2}}
";

/// Waits for the file `go`, in the middle of a step, with a connection that is open.
const STEP: &str = r"
import os, select
from django.db import connection
connection.ensure_connection()
print('in the middle', flush=True)
while not os.path.exists('GO'):
    select.select([], [], [], 0.005)
connection.cursor().execute('SELECT 1')
";

/// Redis as the cache; what is in it is gone when it is started again.
pub const REDIS: &str =
    "settings: {CACHES: {default: {BACKEND: django.core.cache.backends.redis.RedisCache, LOCATION: $redis}}}\n";

/// The lines of what a run said that have this.
pub fn lines<'s>(stderr: &'s str, with: &str) -> Vec<&'s str> {
    stderr.lines().filter(|line| line.contains(with)).collect()
}

/// A run under way.
pub struct Hurt {
    pub context: Context,
    pub child: Child,
}

/// The cases `a_quick` and `waiting`; the second also does this before it waits, and has these settings.
pub fn cases(head: &str, before: &str) -> Context {
    let context = Context::new().case("a_quick", QUICK);
    let step = format!("import os\n{before}\n{}", STEP.replace("GO", gate(&context).to_str().unwrap()));
    let step = step.lines().map(|line| format!("      {line}\n")).collect::<String>();
    let case = format!(
        "actors: {{app: {{python: }}}}\nfixes: {{hope: {{env: {{PLEASE: end}}}}}}\n{head}steps:\n  - python: app\n    run: |\n{}  - \
         read: {{x: \"1 if __import__('os').environ.get('PLE' 'ASE') else 2\"}}\ninvariants: {{x: {{applied: 1, reverted: 2}}}}\n",
        step.lines().map(|line| format!("  {line}\n")).collect::<String>()
    );
    context.case("waiting", &case)
}

/// The file `go`: arms see the machine's files, but for those in the places where files come and go.
fn gate(context: &Context) -> PathBuf {
    let name = context.path("").file_name().unwrap().to_owned();
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

impl Hurt {
    /// Both arms of `waiting` are in the middle, and `a_quick` is judged.
    pub fn in_the_middle(context: Context) -> Self {
        let mut command = context.command("run --jobs 2");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::start(context, command)
    }

    pub fn start(context: Context, mut command: Command) -> Self {
        let mut hurt = Self { child: command.spawn().unwrap(), context };
        hurt.until_in_the_middle(1);
        hurt
    }

    /// Until both arms have come to the middle so often.
    pub fn until_in_the_middle(&mut self, times: usize) {
        eventually("both arms are in the middle", || {
            assert!(self.child.try_wait().unwrap().is_none(), "the run is over: {}", self.read_all());
            self.logs().iter().filter(|log| log.matches("\nin the middle").count() == times).count() == 2
        });
        eventually("the quick case is judged", || self.judged() == ["a_quick"]);
    }

    fn logs(&self) -> Vec<String> {
        let logs = fs::read_dir(self.context.path("regress.out/log")).into_iter().flatten().flatten();
        logs.filter_map(|log| fs::read_to_string(log.path()).ok()).collect()
    }

    fn read_all(&mut self) -> Said {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        if let Some(mut out) = self.child.stdout.take() {
            out.read_to_string(&mut stdout).unwrap();
        }
        if let Some(mut out) = self.child.stderr.take() {
            out.read_to_string(&mut stderr).unwrap();
        }
        Said { code: self.child.wait().unwrap().code(), stdout, stderr, took: Duration::ZERO }
    }

    /// The cases in `results.json` so far.
    pub fn judged(&self) -> Vec<String> {
        let Ok(text) = fs::read(self.context.path("regress.out/results.json")) else { return Vec::new() };
        let results: Value = serde_json::from_slice(&text).unwrap();
        results["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap().to_owned()).collect()
    }

    pub fn folder(&self) -> PathBuf {
        run_directory_of(self.child.id()).unwrap()
    }

    /// The postmaster of the server that all arms share.
    pub fn postmaster(&self) -> u32 {
        let text = fs::read_to_string(self.folder().join("postgres/data/postmaster.pid")).unwrap();
        text.lines().next().unwrap().parse().unwrap()
    }

    pub fn supervisor(&self) -> u32 {
        let manifest: Value = serde_json::from_slice(&fs::read(self.folder().join("manifest.json")).unwrap()).unwrap();
        u32::try_from(manifest["supervisor"]["pid"].as_u64().unwrap()).unwrap()
    }

    /// The processes of the run that run this program.
    pub fn processes(&self, name: &str) -> Vec<u32> {
        let is_it = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
        processes_of(&self.folder()).into_iter().filter(is_it).collect()
    }

    /// The arms go on.
    pub fn go(&self) {
        fs::write(gate(&self.context), "").unwrap();
    }

    /// What was judged is in the results of a run that has no end.
    pub fn has_kept_what_was_judged(&self) {
        assert_eq!(self.judged(), ["a_quick"]);
        assert_eq!(self.context.results()["run"], Value::Null, "it has no end");
    }

    /// Waits for the end of the run.
    pub fn end(&mut self) -> Said {
        let begun = Instant::now();
        Said { took: begun.elapsed(), ..self.read_all() }
    }

    /// The run ends at once with exit code 2 and this error; what was judged is kept, and nothing is left.
    pub fn ends(mut self, folder: &Path, error: &str) -> Said {
        let begun = Instant::now();
        let said = self.end();
        assert!(begun.elapsed() < AT_ONCE, "{:?}: {said}", begun.elapsed());
        assert_eq!(said.code, Some(2), "{said}");
        let told = said.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(told.contains(error), "{said}");
        self.has_kept_what_was_judged();
        nothing_is_left_of(folder);
        said
    }
}

impl Drop for Hurt {
    fn drop(&mut self) {
        // Of a test that failed; the supervisor ends the rest.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(gate(&self.context));
    }
}

pub fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}
