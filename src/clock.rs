//! The clocks of a run, and the library that shows them to processes: one file per arm, which all its processes map.
//!
//! What is in the files, and how they are read, is [`dj_regress_protocol::clock`]; who shows it to whom is `harness/clock`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dj_regress_protocol::clock::{ArmClock, Backends, CLOCK_QUIET_VARIABLE, CLOCK_VARIABLE, Pace};
use memmap2::{MmapOptions, MmapRaw};
use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;

pub use crate::case::START;
use crate::error::{Context as _, Error, Result};

/// What `build.rs` has made of `harness/clock`.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libdj_regress_clock.so"));

const LIBRARY_NAME: &str = "clock.so";

/// What the dynamic linker loads before all else: paths between spaces or colons.
pub const PRELOAD_VARIABLE: &str = "LD_PRELOAD";

/// The folder of a run's clocks, which servers of another user and containers can reach, too.
#[derive(Debug)]
pub struct Clocks {
    folder: PathBuf,
    made: AtomicU32,
}

impl Clocks {
    /// Makes it, with the library in it.
    ///
    /// It is no place in the cache: a server may run as a user who cannot enter it, and the path of a library that is
    /// preloaded must have neither a space nor a colon.
    pub fn create(folder: &Path) -> Result<Self> {
        let library = folder.join(LIBRARY_NAME);
        let doing = || format!("write {}", library.display());
        fs::create_dir_all(folder).cannot_run(doing)?;
        fs::write(&library, LIBRARY).cannot_run(doing)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).cannot_run(doing)?;
        fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).cannot_run(doing)?;
        Ok(Self { folder: folder.to_owned(), made: AtomicU32::new(0) })
    }

    /// A new clock, which shows this moment now.
    pub fn clock(&self, pace: Pace, moment: SystemTime) -> Result<Clock> {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.folder.join(number.to_string());
        let moment =
            moment.duration_since(UNIX_EPOCH).map_or_else(|before| -nanoseconds(before.duration()), nanoseconds);
        let shared = Shared::create(&path, ArmClock::new(pace, moment, steady()))?;
        Ok(Clock { number, path, shared })
    }

    /// What the processes of a server will be known by.
    pub fn server(&self, name: &str) -> Result<ServerClocks> {
        let path = self.folder.join(name);
        // A server that has ended may have had this name.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
        .cannot_run(|| format!("make the clocks {}", path.display()))?;
        let backends = Shared::<Backends>::zeroed(&path)?;
        backends.initialise();
        Ok(ServerClocks { path, backends })
    }

    /// What a process is started with that has this clock: of an arm's, or of a server's of its own.
    pub fn of(&self, clock: &Clock) -> Preload {
        self.preload(&clock.path, false)
    }

    /// As [`of`](Self::of), for a server that looks at its clock all the time by itself: Redis, nginx.
    pub fn quiet(&self, clock: &Clock) -> Preload {
        self.preload(&clock.path, true)
    }

    /// What a server is started with whose processes have a clock each.
    pub fn of_server(&self, clocks: &ServerClocks) -> Preload {
        self.preload(&clocks.path, false)
    }

    /// The library, which must be seen by whoever starts further programs.
    pub fn library(&self) -> PathBuf {
        self.folder.join(LIBRARY_NAME)
    }

    fn preload(&self, path: &Path, is_quiet: bool) -> Preload {
        let text = |path: &Path| path.display().to_string();
        let mut variables = vec![(PRELOAD_VARIABLE, text(&self.library())), (CLOCK_VARIABLE, text(path))];
        variables.extend(is_quiet.then(|| (CLOCK_QUIET_VARIABLE, "1".to_owned())));
        Preload { folder: self.folder.clone(), variables }
    }
}

/// What a process is started with to have a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preload {
    /// The folder of all that it must see, at this very path, and be able to write to.
    pub folder: PathBuf,
    /// Its variables.
    pub variables: Vec<(&'static str, String)>,
}

impl Preload {
    /// Whether a program did not start because it cannot load the library, as one of another C library cannot: its dynamic
    /// linker names what it stumbles over.
    pub fn is_to_blame(&self, error: &Error) -> bool {
        error.message.contains(&self.folder.join(LIBRARY_NAME).display().to_string())
    }
}

/// The controller's hold on an arm's clock.
#[derive(Debug)]
pub struct Clock {
    number: u32,
    path: PathBuf,
    shared: Shared<ArmClock>,
}

impl Clock {
    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another name of its file, for who sees no other arm's. It may be that of an older clock: then it is this one's now.
    pub fn link(&self, name: &Path) -> Result<()> {
        match fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::hard_link(&self.path, name),
        }
        .cannot_run(|| format!("make the clock {}", name.display()))
    }

    /// Moves the clock of every process that maps it, wall and monotonic alike.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(nanoseconds(by));
    }

    /// How it passes.
    pub fn pace(&self) -> Pace {
        self.shared.pace()
    }

    /// The arm's time. To look at it moves nothing.
    pub fn now(&self) -> SystemTime {
        let now = self.shared.look(steady);
        let distance = Duration::from_nanos(now.unsigned_abs());
        if now < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }
}

/// The controller's hold on which process of a server has which arm's clock.
#[derive(Debug)]
pub struct ServerClocks {
    path: PathBuf,
    backends: Shared<Backends>,
}

impl ServerClocks {
    /// From now on this process of the server has this clock. It must not have been told to do anything yet.
    pub fn give(&self, pid: u32, clock: &Clock) {
        self.backends.give(pid, clock.number);
    }

    /// The process has ended: another one may get its pid, and may have been given another clock since.
    pub fn take(&self, pid: u32, clock: &Clock) {
        self.backends.take(pid, clock.number);
    }
}

/// The backends of an arm on a server: each is given the arm's clock, which it has until the arm is over. A client may be gone
/// while its backend still works.
#[derive(Debug)]
pub struct ArmBackends {
    server: Arc<ServerClocks>,
    clock: Arc<Clock>,
    given: Mutex<BTreeSet<u32>>,
}

impl ArmBackends {
    /// None has the clock yet.
    pub fn new(server: Arc<ServerClocks>, clock: Arc<Clock>) -> Self {
        Self { server, clock, given: Mutex::default() }
    }

    /// This process works for the arm. It must not have been told to do anything yet.
    pub fn give(&self, pid: u32) {
        self.server.give(pid, &self.clock);
        self.given.lock().insert(pid);
    }
}

impl Drop for ArmBackends {
    fn drop(&mut self) {
        for pid in self.given.get_mut().iter() {
            self.server.take(*pid, &self.clock);
        }
    }
}

/// What a file holds, mapped: seen by every process that maps it.
#[derive(Debug)]
struct Shared<T> {
    map: MmapRaw,
    content: PhantomData<T>,
}

/// Kinds of content that all zeroes are one of, and that others may change at any time: structs of atomic numbers.
///
/// # Safety
///
/// Both hold, and its alignment is no more than a page.
unsafe trait Content {}

// SAFETY: made of atomic numbers.
unsafe impl Content for ArmClock {}
// SAFETY: made of atomic numbers.
unsafe impl Content for Backends {}

impl<T: Content> Shared<T> {
    /// Makes a file of zeroes. All users of the machine who can enter its folder may map it.
    fn zeroed(path: &Path) -> Result<Self> {
        let doing = || format!("make the clock {}", path.display());
        let file = File::options().read(true).write(true).create_new(true).open(path).cannot_run(doing)?;
        file.set_len(size_of::<T>() as u64).cannot_run(doing)?;
        file.set_permissions(fs::Permissions::from_mode(0o666)).cannot_run(doing)?;
        let map = MmapOptions::new().len(size_of::<T>()).map_raw(&file).cannot_run(doing)?;
        Ok(Self { map, content: PhantomData })
    }

    /// Makes a file with this in it.
    fn create(path: &Path, content: T) -> Result<Self> {
        let shared = Self::zeroed(path)?;
        // SAFETY: there is room for it, and nobody looks at the file yet.
        unsafe { shared.pointer().write(content) };
        Ok(shared)
    }

    /// Aligned, since a mapping begins with a page.
    fn pointer(&self) -> *mut T {
        self.map.as_mut_ptr().cast()
    }
}

impl<T: Content> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the map has room for it, is aligned, and lives as long as `self`; what is in it may change at any time.
        unsafe { &*self.pointer() }
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The machine's `CLOCK_MONOTONIC`.
fn steady() -> i64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn every_clock_has_a_file_of_its_own_and_shows_the_moment_it_was_made_for() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        let moment = UNIX_EPOCH + START;
        let [one, two] = [0, 1].map(|_| clocks.clock(Pace::Stands, moment).expect("a clock"));
        two.advance(Duration::from_millis(2500));
        assert_eq!((one.now(), two.now()), (moment, moment + Duration::from_millis(2500)));
        assert_ne!(one.path(), two.path());
        let before = clocks.clock(Pace::Stands, UNIX_EPOCH - Duration::from_secs(1)).expect("a clock");
        assert_eq!(before.now(), UNIX_EPOCH - Duration::from_secs(1));
    }

    #[test]
    fn a_name_of_an_older_clock_becomes_one_of_the_next() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        let name = folder.path().join("clock");
        for _ in 0..2 {
            let clock = clocks.clock(Pace::Stands, UNIX_EPOCH).expect("a clock");
            clock.link(&name).expect("its name");
            let [file, named] = [clock.path(), &name].map(|path| fs::metadata(path).expect("it is there").ino());
            assert_eq!(file, named);
        }
    }

    #[test]
    fn a_server_may_have_the_name_of_one_that_has_ended() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        for _ in 0..2 {
            clocks.server("backends").expect("a server's clocks");
        }
    }

    #[test]
    fn a_server_of_another_user_can_load_the_library_and_share_the_files() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        let clock = clocks.clock(Pace::Goes, UNIX_EPOCH + START).expect("a clock");
        let server = clocks.server("backends").expect("a server's clocks");
        let variables = clocks.of_server(&server).variables;
        assert_eq!(variables.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [PRELOAD_VARIABLE, CLOCK_VARIABLE]);
        let variables: Vec<(&str, &Path)> = variables.iter().map(|(name, value)| (*name, Path::new(value))).collect();
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!([mode(variables[0].1), mode(variables[1].1), mode(clock.path())], [0o755, 0o666, 0o666]);
        // Backends read by number what is beside their file.
        assert_eq!(clock.path(), variables[1].1.with_file_name(clock.number.to_string()));
    }

    #[test]
    fn a_process_of_a_server_has_the_clock_that_it_was_last_given() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        let [one, two] = [0, 1].map(|_| clocks.clock(Pace::Goes, UNIX_EPOCH).expect("a clock"));
        let server = clocks.server("backends").expect("a server's clocks");
        let largest = 4_194_303;
        for pid in [1, largest] {
            assert_eq!(server.backends.clock_of(pid), 0);
            server.give(pid, &one);
            server.give(pid, &two);
            assert_eq!(server.backends.clock_of(pid), two.number);
            server.take(pid, &one);
            assert_eq!(server.backends.clock_of(pid), two.number, "another arm has the process now");
            server.take(pid, &two);
            assert_eq!(server.backends.clock_of(pid), 0);
        }
        // Linux has no larger one: nothing happens.
        server.give(largest + 1, &one);
        assert_eq!(server.backends.clock_of(largest + 1), 0);
    }

    #[test]
    fn backends_lose_their_clock_with_their_arm_and_not_that_of_the_next() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        let [one, two] = [0, 1].map(|_| Arc::new(clocks.clock(Pace::Goes, UNIX_EPOCH).expect("a clock")));
        let server = Arc::new(clocks.server("backends").expect("a server's clocks"));
        let [first, second] = [&one, &two].map(|clock| ArmBackends::new(Arc::clone(&server), Arc::clone(clock)));
        first.give(7);
        first.give(8);
        second.give(8);
        drop(first);
        assert_eq!([7, 8].map(|pid| server.backends.clock_of(pid)), [0, two.number]);
        drop(second);
        assert_eq!(server.backends.clock_of(8), 0);
    }
}
