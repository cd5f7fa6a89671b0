//! Somebody's Django project, in a repository of its own.

mod config;
mod detect;
mod lock_file;
mod repository;
mod requirements;
mod section;
mod shown;
mod snapshot;
mod survey;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use lock_file::lines;
pub use requirements::{Requirements, Source};
pub use snapshot::{Kept, Snapshot};
pub use tree::{Tree, Trees, WORK_TREE};

pub use config::{Configuration, Options, Origin, Said};
pub use section::{OWN, SHARED, Section};
pub use shown::shown;
pub use survey::{Database, Survey};

/// A project as it is configured: where it is, and what it needs. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// The folder of `manage.py`, which is on `sys.path`.
    pub root: PathBuf,
    /// The settings module, e.g. `mysite.settings`.
    pub settings: String,
    /// Where its packages come from: files below `root` (`uv.lock`, `requirements/base.txt`), `group:NAME` and `extra:NAME`
    /// of its `pyproject.toml`, and single requirements (`psycopg[binary]>=3.1`). Empty: what is found.
    pub requirements: Vec<String>,
    /// Environment variables of its processes.
    pub env: BTreeMap<String, String>,
    /// What fills a template after its migrations, in this order: a management command with its arguments
    /// (`loaddata demo`), a file of fixtures (`demo.json`), or a function (`regress/seed.py:fill`).
    pub seed: Vec<String>,
    /// The folder of its cases, with their `locks/`.
    pub cases: PathBuf,
    /// The Python for cases that pin none: a version or the path of an interpreter.
    pub python: Option<String>,
    /// Distributions that are left out of `requirements`: what cannot be had here, and is not needed.
    pub exclude: Vec<String>,
}
