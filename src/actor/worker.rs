//! The Python half of the harness: carried inside this program, unpacked by content hash.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;

use crate::cache::{Cache, USUAL_MODE};
use crate::error::{Context as _, Error, Result};
use crate::python::content;

/// The Python package `dj_regress`.
#[derive(RustEmbed)]
#[folder = "harness/worker/python"]
#[include = "*.py"]
struct Package;

/// The app that most cases drive.
#[derive(RustEmbed)]
#[folder = "harness/shop"]
#[include = "*.py"]
struct Shop;

/// The name of the extension module inside the package; `abi3` loads in every Python from 3.10.
const MODULE: &str = "dj_regress/worker.abi3.so";

/// The folder to put on `PYTHONPATH`: the package with its extension module.
pub fn package(cache: &Cache) -> Result<PathBuf> {
    let library = library()?;
    let bytes = fs::read(&library).cannot_run(|| format!("read {}", library.display()))?;
    let mut files = embedded::<Package>();
    files.insert(MODULE.to_owned(), bytes);
    content(cache, "worker", &files, |_| USUAL_MODE)
}

/// The folder of the shop's project, for `sys.path`.
pub fn shop(cache: &Cache) -> Result<PathBuf> {
    content(cache, "shop", &embedded::<Shop>(), |_| USUAL_MODE)
}

/// The extension module, which cargo leaves in `deps/` beside the program.
///
/// # Errors
///
/// Cannot run if it is not there.
pub fn library() -> Result<PathBuf> {
    let name = "libdj_regress_worker.so";
    let program = std::env::current_exe().cannot_run(|| "find this program".to_owned())?;
    let folder = program.parent().unwrap_or(Path::new("."));
    // A test binary is itself in deps/.
    [folder.join("deps").join(name), folder.join(name)].into_iter().find(|path| path.exists()).ok_or_else(|| {
        Error::cannot_run(format!("{name} is not beside {}", program.display()))
            .hint("build the whole workspace: `cargo build --release`")
    })
}

fn embedded<E: RustEmbed>() -> BTreeMap<String, Vec<u8>> {
    E::iter().filter_map(|name| Some((name.to_string(), E::get(&name)?.data.into_owned()))).collect()
}
