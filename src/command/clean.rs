//! `clean`: what interrupted runs left behind.

use std::fmt::Write as _;
use std::fs;

use crate::cache::Cache;
use crate::cli::CleanArgs;
use crate::error::{Context as _, Result};
use crate::exit::Exit;
use crate::service;

/// Sweeps; with `--cache` empties the cache too.
pub fn clean(arguments: &CleanArgs) -> Result<Exit> {
    let (mut text, mut is_clean) = (String::new(), true);
    for swept in service::sweep()? {
        let folder = swept.run_directory.display();
        let _ = match &swept.not_undone {
            None => writeln!(text, "removed {folder}"),
            Some(why) => writeln!(text, "left {folder}: what its run has made elsewhere is still there: {why}"),
        };
        is_clean &= swept.not_undone.is_none();
        for (pid, command) in &swept.processes {
            let _ = writeln!(text, "  ended process {pid} ({command})");
        }
        for id in &swept.shared_memory {
            let _ = writeln!(text, "  removed shared memory {id}");
        }
        for what in &swept.elsewhere {
            let _ = writeln!(text, "  removed {what}");
        }
    }
    if arguments.cache {
        let cache = Cache::open()?;
        fs::remove_dir_all(cache.root()).cannot_run(|| format!("remove {}", cache.root().display()))?;
        let _ = writeln!(text, "removed {}", cache.root().display());
    }
    super::print(if text.is_empty() { "nothing to clean\n" } else { &text })?;
    Ok(if is_clean { Exit::AsDeclared } else { Exit::CannotRun })
}
