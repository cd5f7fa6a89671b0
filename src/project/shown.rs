//! Paths, as people see them.

use std::env;
use std::path::Path;

/// A path from the current folder, where it is below that.
pub fn shown(path: &Path) -> &Path {
    let here = env::current_dir().unwrap_or_default();
    match path.strip_prefix(here) {
        Ok(below) if below.as_os_str().is_empty() => Path::new("."),
        Ok(below) => below,
        Err(_) => path,
    }
}
