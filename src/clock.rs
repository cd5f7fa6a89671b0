//! The clocks of a run, and the library that shows them to processes: one file per arm, which all its processes map.
//!
//! What is in the files, and how they are read, is [`dj_regress_protocol::clock`]; who shows it to whom is `harness/clock`.

use std::fs::{self, File};
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dj_regress_protocol::clock::{ArmClock, Backends, CLOCK_QUIET_VARIABLE, CLOCK_VARIABLE, Pace};
use memmap2::{MmapOptions, MmapRaw};
use nix::time::{ClockId, clock_gettime};

use crate::error::{Context as _, Result};

/// What `build.rs` has made of `harness/clock`.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libdj_regress_clock.so"));

const LIBRARY_NAME: &str = "clock.so";

/// When an arm starts whose case does not say: a Monday morning, 2026-01-05 09:00 UTC. It is the same on every machine at
/// every time of day.
pub const START: Duration = Duration::from_secs(1_767_603_600);

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
        let backends = Shared::<Backends>::zeroed(&path)?;
        backends.initialise();
        Ok(ServerClocks { path, backends })
    }

    /// The variables of a process that has this clock: of an arm's, or of a server's of its own.
    pub fn variables(&self, clock: &Clock) -> Vec<(&'static str, PathBuf)> {
        self.loaded(&clock.path)
    }

    /// As [`variables`](Self::variables), for a server that looks at its clock all the time by itself: Redis, nginx.
    pub fn quiet_variables(&self, clock: &Clock) -> Vec<(&'static str, PathBuf)> {
        let mut variables = self.loaded(&clock.path);
        variables.push((CLOCK_QUIET_VARIABLE, PathBuf::from("1")));
        variables
    }

    /// The variables of a server whose processes have a clock each.
    pub fn server_variables(&self, clocks: &ServerClocks) -> Vec<(&'static str, PathBuf)> {
        self.loaded(&clocks.path)
    }

    fn loaded(&self, path: &Path) -> Vec<(&'static str, PathBuf)> {
        vec![("LD_PRELOAD", self.folder.join(LIBRARY_NAME)), (CLOCK_VARIABLE, path.to_owned())]
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

    /// Moves the clock of every process that maps it, wall and monotonic alike.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(nanoseconds(by));
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

    /// The process has ended: another one may get its pid.
    pub fn take(&self, pid: u32) {
        self.backends.give(pid, 0);
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
    fn a_server_of_another_user_can_load_the_library_and_share_the_files() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let clocks = Clocks::create(&folder.path().join("clocks")).expect("clocks");
        let clock = clocks.clock(Pace::Goes, UNIX_EPOCH + START).expect("a clock");
        let server = clocks.server("backends").expect("a server's clocks");
        let variables = clocks.server_variables(&server);
        assert_eq!(variables.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["LD_PRELOAD", CLOCK_VARIABLE]);
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!([mode(&variables[0].1), mode(&variables[1].1), mode(clock.path())], [0o755, 0o666, 0o666]);
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
            server.take(pid);
            assert_eq!(server.backends.clock_of(pid), 0);
        }
        // Linux has no larger one: nothing happens.
        server.give(largest + 1, &one);
        assert_eq!(server.backends.clock_of(largest + 1), 0);
    }
}
