//! A real nginx as a proxy of one arm: what our own caches are held against, and what some sites have.
//!
//! `config` is what it is told, [`Host`] where it runs, `log` what it did. All that
//! it writes is below one folder, its sockets too: the one that clients know is a link to it, so that a container need
//! not see the folder around.

mod config;
mod contained;
mod control;
mod folder;
mod local;
mod log;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::NginxConfig;
use local::Local;
use nix::unistd::Uid;

use self::contained::Contained;
use self::folder::{ACCESS_LOG, CACHE, CONFIG, CONTROL, SOCKET, make_folder};
use super::docker::{self, Daemon, Owner};
use super::files::end_of_log;
use super::locate::NginxBinary;
use super::supervisor::Supervisor;
use crate::clock::{Clock, Clocks};
use crate::error::{Context as _, Error, Result};
use crate::proxy::HttpCounters;

/// Between what nginx says and what its clock shows, on a busy machine.
const NEAR: Duration = Duration::from_mins(1);

/// What is wanted of an nginx.
#[derive(Debug, Clone)]
pub struct NginxSpec {
    /// The origin's socket. It need not be there yet, its folder must.
    pub origin: PathBuf,
    /// Where it listens.
    pub socket: PathBuf,
    /// A folder for all that it writes: made if it is not there, and private.
    pub folder: PathBuf,
    /// How long it waits for the origin; a minute, if nothing is said.
    pub timeout: Option<Duration>,
    /// The arm's clock, in place of the machine's.
    pub clock: Option<Arc<Clock>>,
}

/// An nginx that answers.
#[derive(Debug)]
pub struct Nginx {
    host: Host,
    socket: PathBuf,
    /// Of all that it writes.
    folder: PathBuf,
    has_clock: bool,
}

/// Where it runs.
#[derive(Debug)]
enum Host {
    Local(Local),
    Contained(Contained),
}

impl Nginx {
    /// Starts one as processes of this run.
    ///
    /// # Errors
    ///
    /// Cannot run if it ends or does not answer within 30 s; with the end of its log.
    pub(super) async fn start_local(
        supervisor: &Supervisor,
        binary: &NginxBinary,
        spec: &NginxSpec,
        clocks: &Clocks,
    ) -> Result<Self> {
        let folder = make_folder(&spec.folder)?;
        let is_root = Uid::effective().is_root();
        let wanted = NginxConfig { folder: &folder, origin: &spec.origin, timeout: spec.timeout, is_root };
        let config = write_config(&folder, wanted)?;
        let clock = spec.clock.as_ref().map(|clock| clocks.quiet(clock));
        let local = Local::start(supervisor, binary, &folder, &config, clock.as_ref()).await?;
        Self::link(Host::Local(local), spec, folder).await
    }

    /// Starts one in a container of this image. It sees its own folder, and that of the origin's socket.
    ///
    /// # Errors
    ///
    /// Cannot run if the image cannot be had, or it does not answer within 30 s; with the end of its log.
    pub(super) async fn start_contained(
        daemon: &Daemon,
        owner: &Owner,
        image: &str,
        spec: &NginxSpec,
        clocks: &Clocks,
    ) -> Result<Self> {
        let folder = make_folder(&spec.folder)?;
        let origin = real(&spec.origin).cannot_run(|| format!("find the folder of {}", spec.origin.display()))?;
        let (Some(origin_folder), Some(name)) = (origin.parent(), origin.file_name()) else {
            return Err(Error::bug(format!("{} is no socket", origin.display())));
        };
        let origin = Path::new(contained::ORIGIN).join(name);
        let inside = Path::new(docker::INSIDE);
        write_config(&folder, NginxConfig { folder: inside, origin: &origin, timeout: spec.timeout, is_root: true })?;
        let clock = spec.clock.as_ref().map(|clock| clocks.quiet(clock));
        let clock = clock.as_ref();
        let wanted = contained::Wanted { owner, image, folder: &folder, origin_folder, clock };
        let contained = match Contained::start(daemon, wanted).await {
            // An image of another C library.
            Err(error) if clock.is_some_and(|clock| clock.is_to_blame(&error)) => {
                Contained::start(daemon, contained::Wanted { clock: None, ..wanted }).await
            }
            started => started,
        }?;
        Self::link(Host::Contained(contained), spec, folder).await
    }

    /// It listens: now where it should.
    async fn link(host: Host, spec: &NginxSpec, folder: PathBuf) -> Result<Self> {
        let date = control::ask(&folder.join(CONTROL)).await.cannot_run(|| "ask nginx for its date".to_owned())?;
        let has_clock = spec.clock.as_ref().is_some_and(|clock| is_near(date, clock.now()));
        symlink(folder.join(SOCKET), &spec.socket).cannot_run(|| format!("make {}", spec.socket.display()))?;
        Ok(Self { host, socket: spec.socket.clone(), folder, has_clock })
    }

    /// Whether it has the arm's clock.
    pub fn has_clock(&self) -> bool {
        self.has_clock
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The process id of its master, where it is a process of this run.
    pub fn pid(&self) -> Option<u32> {
        match &self.host {
            Host::Local(local) => Some(local.pid),
            Host::Contained(_) => None,
        }
    }

    /// Whether it answers the harness.
    pub async fn answers(&self) -> bool {
        control::ask(&self.folder.join(CONTROL)).await.is_ok()
    }

    /// Resolves when it has died; says how, with the end of its log. It holds nothing of the server: that may be finished
    /// meanwhile.
    pub fn died(&self) -> impl Future<Output = String> + Send + 'static {
        let host = match &self.host {
            Host::Local(local) => Ok((local.supervisor.clone(), local.pid, self.folder.join(local::LOG))),
            Host::Contained(contained) => Err(contained.container().clone()),
        };
        async move {
            match host {
                Ok((supervisor, pid, log)) => match supervisor.exited(pid).await {
                    Ok(exit) => format!("{exit}{}", end_of_log(&log)),
                    // The run ends for that.
                    Err(_) => std::future::pending().await,
                },
                Err(container) => container.died().await,
            }
        }
    }

    /// What it did so far: every request is counted whose answer somebody has.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not answer within 10 s, or has lost its files.
    pub async fn counters(&self) -> Result<HttpCounters> {
        let asked = control::ask(&self.folder.join(CONTROL)).await;
        asked.cannot_run(|| "ask nginx whether it has done all".to_owned())?;
        log::read(&self.folder.join(ACCESS_LOG), &self.folder.join(CACHE))
            .cannot_run(|| format!("read what nginx wrote to {}", self.folder.display()))
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// Cannot run if it does not go.
    pub async fn finish(self) -> Result<()> {
        // Nobody can come any more; where this fails, they find nobody there.
        let _ = fs::remove_file(&self.socket);
        match self.host {
            Host::Local(local) => local.end().await,
            Host::Contained(contained) => contained.remove().await,
        }
    }
}

/// Whether two moments are of one clock. A date has whole seconds.
fn is_near(one: SystemTime, other: SystemTime) -> bool {
    one.duration_since(other).unwrap_or_else(|before| before.duration()) < NEAR
}

fn write_config(folder: &Path, wanted: NginxConfig<'_>) -> Result<PathBuf> {
    let path = folder.join(CONFIG);
    fs::write(&path, config::text(wanted)?).cannot_run(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// Where a socket really is (another nginx' is a link), also before it is there.
fn real(socket: &Path) -> io::Result<PathBuf> {
    socket.canonicalize().or_else(|_| {
        let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        Ok(folder.canonicalize()?.join(name))
    })
}
