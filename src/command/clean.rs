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
        is_clean &= swept.not_undone.is_none();
        for line in swept.lines() {
            let _ = writeln!(text, "{line}");
        }
    }
    if arguments.cache {
        let cache = Cache::open()?;
        fs::remove_dir_all(cache.root()).cannot_run(|| format!("remove {}", cache.root().display()))?;
        let _ = writeln!(text, "removed {}", cache.root().display());
        for (image, result) in service::docker::remove_made_images()? {
            is_clean &= result.is_ok();
            let _ = match result {
                Ok(()) => writeln!(text, "removed the image {image}"),
                Err(error) => writeln!(text, "left the image {image}: {}", error.message),
            };
        }
    }
    super::print(if text.is_empty() { "nothing to clean\n" } else { &text })?;
    Ok(if is_clean { Exit::AsDeclared } else { Exit::CannotRun })
}
