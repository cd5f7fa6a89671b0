//! The Python half of the harness: carried inside this program, unpacked by content hash.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rust_embed::RustEmbed;

use crate::cache::{Cache, USUAL_MODE};
use crate::error::Result;
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

/// The extension module, as `build.rs` has made it.
pub const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libdj_regress_worker.so"));

/// The name of the extension module inside the package; `abi3` loads in every Python from 3.10.
const MODULE: &str = "dj_regress/worker.abi3.so";

/// The folder to put on `PYTHONPATH`: the package with its extension module.
pub fn package(cache: &Cache) -> Result<PathBuf> {
    let mut files = embedded::<Package>();
    files.insert(MODULE.to_owned(), LIBRARY.to_owned());
    content(cache, "worker", &files, |_| USUAL_MODE)
}

/// The folder of the shop's project, for `sys.path`.
pub fn shop(cache: &Cache) -> Result<PathBuf> {
    content(cache, "shop", &embedded::<Shop>(), |_| USUAL_MODE)
}

fn embedded<E: RustEmbed>() -> BTreeMap<String, Vec<u8>> {
    E::iter().filter_map(|name| Some((name.to_string(), E::get(&name)?.data.into_owned()))).collect()
}
