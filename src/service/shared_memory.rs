//! The small System V segment by which Postgres guards its data directory, and which SIGKILL leaves behind.

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::libc;

/// Removes the segments of all Postgres instances of a run directory (`RUN/INSTANCE/data`); gives their ids.
pub fn remove_below(run_directory: &Path) -> Vec<i32> {
    let instances = fs::read_dir(run_directory).into_iter().flatten().flatten();
    instances.filter_map(|instance| remove_of(&instance.path().join("data"))).collect()
}

/// Removes the segment that `postmaster.pid` of this data directory names, if it is provably of that postmaster and
/// nothing is attached to it any more.
pub fn remove_of(data_directory: &Path) -> Option<i32> {
    // The lines: pid, data directory, start time, port, socket directory, address, "key id", status.
    let text = fs::read_to_string(data_directory.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    let pid: libc::pid_t = lines.first()?.trim().parse().ok()?;
    if Path::new(lines.get(1)?) != data_directory {
        return None;
    }
    let (key, id) = lines.get(6)?.trim().split_once(char::is_whitespace)?;
    // Postgres prints the key as unsigned.
    let (key, id): (u32, i32) = (key.parse().ok()?, id.trim().parse().ok()?);
    let owner = data_directory.metadata().ok()?.uid();

    let mut state = MaybeUninit::<libc::shmid_ds>::uninit();
    // SAFETY: IPC_STAT writes a shmid_ds to the place it is given.
    if unsafe { libc::shmctl(id, libc::IPC_STAT, state.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call has filled it in.
    let state = unsafe { state.assume_init() };
    let is_ours = state.shm_perm.__key.cast_unsigned() == key && state.shm_perm.uid == owner && state.shm_cpid == pid;
    if !is_ours || state.shm_nattch != 0 {
        return None;
    }
    // SAFETY: IPC_RMID takes no argument.
    (unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) } == 0).then_some(id)
}
