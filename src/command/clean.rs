//! `clean`: what interrupted runs left behind.

use crate::cache::Cache;
use crate::cli::CleanArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::service;

/// Sweeps; with `--cache` removes the cache too. What was removed is said at once, whatever comes after it.
pub fn clean(arguments: &CleanArgs) -> Result<Exit> {
    let (mut is_clean, mut is_anything) = (true, false);
    let mut say = |line: &str| {
        is_anything = true;
        super::print(&format!("{line}\n"))
    };
    for swept in service::sweep()? {
        is_clean &= swept.not_undone.is_none();
        swept.lines().iter().try_for_each(|line| say(line))?;
    }
    if arguments.cache {
        if let Some(root) = Cache::remove(&Cache::location()?)? {
            say(&format!("removed {}", root.display()))?;
        }
        for (image, result) in service::docker::remove_made_images()? {
            is_clean &= result.is_ok();
            match result {
                Ok(()) => say(&format!("removed the image {image}"))?,
                Err(error) => say(&format!("left the image {image}: {}", error.message))?,
            }
        }
    }
    if !is_anything {
        super::print("nothing to clean\n")?;
    }
    Ok(if is_clean { Exit::AsDeclared } else { Exit::CannotRun })
}
