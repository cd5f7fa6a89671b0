//! The library of cases: those that came with the program, with their locks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cache::{Cache, USUAL_MODE};
use crate::error::Result;
use crate::python::content;

/// Cases that the program carries.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    files: fn() -> BTreeMap<String, Vec<u8>>,
}

impl Library {
    /// The library with these files, by their path below its folder.
    pub fn new(files: fn() -> BTreeMap<String, Vec<u8>>) -> Self {
        Self { files }
    }

    /// A folder that holds it. All runs of this user share it: nothing is written there.
    ///
    /// # Errors
    ///
    /// Cannot run if the cache cannot be written to.
    pub fn folder(&self, cache: &Cache) -> Result<PathBuf> {
        content(cache, "cases", &(self.files)(), |_| USUAL_MODE)
    }
}
