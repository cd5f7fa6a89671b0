//! Somebody's Django project, in a repository of its own.

mod config;
mod detect;
mod section;
mod shown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use config::{Configuration, Options, Origin, Said};
pub use section::{SHARED, Section};
pub use shown::shown;

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

impl Project {
    /// Whether a case is about this project: it is below its folder of cases.
    pub fn has_case(&self, file: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        !self.cases.as_os_str().is_empty() && real(file).starts_with(real(&self.cases))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_below_the_folder_of_cases_is_about_the_project() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let cases = folder.path().join("regress");
        std::fs::create_dir_all(cases.join("blog")).expect("a folder");
        for file in ["regress/blog/list.yaml", "other.yaml"] {
            std::fs::write(folder.path().join(file), "").expect("a file");
        }
        let project = Project { cases: cases.clone(), ..Project::default() };
        assert!(project.has_case(&cases.join("blog/list.yaml")));
        assert!(project.has_case(&cases.join("blog/../blog/list.yaml")));
        assert!(!project.has_case(&folder.path().join("other.yaml")));
        assert!(!Project::default().has_case(&cases.join("blog/list.yaml")));
    }
}
