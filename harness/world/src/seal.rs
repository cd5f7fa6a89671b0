//! Into a world: the first process makes it, the others join.

use std::env;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use crate::mounts;
use crate::system::{Refused, checked};

/// What makes a world, besides the user namespace.
const NAMESPACES: i32 = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// The name of the host in every world: it resolves without asking anybody.
const HOST: &str = "localhost";

/// What of the machine's files a world has.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Folders that can be written to.
    pub writable: Vec<PathBuf>,
    /// Folders and files that must be there although one of [`OWN`](crate::OWN) is put in front of them.
    pub readable: Vec<PathBuf>,
}

/// Puts this process into a new world. It must have one thread.
///
/// # Errors
///
/// The machine does not grant it. The process may then be half inside: it is of no more use.
pub fn seal(plan: &Plan) -> Result<(), Refused> {
    let here = env::current_dir();
    // SAFETY: plain system calls.
    checked("unshare mounts, network, IPC and host name", unsafe { libc::unshare(NAMESPACES) })?;
    // SAFETY: the pointer is to that many bytes.
    checked("set the host name", unsafe { libc::sethostname(HOST.as_ptr().cast(), HOST.len()) })?;
    loopback_up()?;
    mounts::arrange(plan)?;
    // The working directory is on a mount of the machine's. It may be hidden now.
    let again = here.and_then(env::set_current_dir).or_else(|_| env::set_current_dir("/"));
    again.map_err(|error| Refused::new("leave the working directory", error))
}

/// Puts this process into the world of another one. It must have one thread; its working directory is `/` then.
///
/// # Errors
///
/// The other process is gone, or is not ours to join.
pub fn join(process: u32) -> Result<(), Refused> {
    enter(process, NAMESPACES)
}

/// Puts this process into the user namespace that [`Grant`](crate::Grant) keeps open. It must have one thread.
///
/// # Errors
///
/// As [`join`].
pub fn join_user(process: u32) -> Result<(), Refused> {
    enter(process, libc::CLONE_NEWUSER)
}

fn enter(process: u32, namespaces: i32) -> Result<(), Refused> {
    let doing = format!("join the world of process {process}");
    // SAFETY: a plain system call.
    let number = checked(&doing, unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })?;
    // SAFETY: the kernel has just given us this descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(number as i32) };
    // SAFETY: the descriptor is open.
    checked(&doing, unsafe { libc::setns(pidfd.as_raw_fd(), namespaces) })?;
    Ok(())
}

/// Makes a new user namespace in which this user is who it is outside, and enters it.
pub(crate) fn new_user() -> Result<(), Refused> {
    // SAFETY: these cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: a plain system call.
    checked("unshare users", unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
    let files = [
        // Without it, who is not privileged may not map groups.
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{user} {user} 1")),
        ("gid_map", format!("{group} {group} 1")),
    ];
    for (file, text) in files {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).map_err(|error| Refused::new(format!("write {path}"), error))?;
    }
    Ok(())
}

/// A new network has a loopback that is down.
fn loopback_up() -> Result<(), Refused> {
    let doing = "bring loopback up";
    // SAFETY: a plain system call.
    let number = checked(doing, unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just given us this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(number as i32) };
    // SAFETY: all zeros are a valid value of this plain struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the descriptor is open, and the request lives longer than the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) } == -1 {
        return Err(Refused::new(doing, io::Error::last_os_error()));
    }
    Ok(())
}
