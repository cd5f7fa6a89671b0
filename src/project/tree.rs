//! The trees of a project that a run needs, each read once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Project;
use super::repository::Repository;
use super::snapshot::{Kept, Snapshot, some_of};
use crate::cache::Cache;
use crate::error::{Error, Result};

/// What stands for the work tree where a commit could be named.
pub const WORK_TREE: &str = ".";

/// A project's files in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// All of them.
    pub kept: Kept,
    /// The folder of `manage.py`, below the top; empty: the top.
    pub root: PathBuf,
    /// What is not as the project's own people have it, in words.
    pub notes: Vec<String>,
}

impl Tree {
    /// The folder of `manage.py`.
    pub fn root(&self) -> PathBuf {
        self.kept.top.join(&self.root)
    }

    /// The folders to put on `sys.path` so that the settings are found: the root, and below it `src` where they are there.
    ///
    /// # Errors
    ///
    /// Cannot run if they are nowhere.
    pub fn python_path(&self, settings: &str) -> Result<Vec<PathBuf>> {
        let root = self.root();
        let first = settings.split('.').next().unwrap_or(settings);
        let holds = |folder: &Path| folder.join(first).is_dir() || folder.join(format!("{first}.py")).is_file();
        let source = root.join("src");
        if holds(&root) {
            Ok(vec![root])
        } else if holds(&source) {
            Ok(vec![source, root])
        } else {
            let shown = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
            Err(Error::cannot_run(format!("no {first} of {settings} in {} of the project", shown.display())).hint(
                "is it tracked by git? `root` is the folder of manage.py, and `settings` a module that it can import",
            ))
        }
    }
}

/// The trees of a project by where they come from.
#[derive(Debug)]
pub struct Trees {
    /// The project.
    pub project: Project,
    repository: Option<Repository>,
    cache: Cache,
    made: Mutex<HashMap<String, Arc<Tree>>>,
}

impl Trees {
    /// Of a project, to be kept in this cache.
    ///
    /// # Errors
    ///
    /// Cannot run without git.
    pub fn new(project: Project, cache: Cache) -> Result<Self> {
        let repository = Repository::of(&project.root)?;
        Ok(Self { project, repository, cache, made: Mutex::default() })
    }

    /// The tree at a commit, or with [`WORK_TREE`] what is there now; blocks while it is read.
    ///
    /// # Errors
    ///
    /// Usage if there is no such commit; cannot run if it cannot be read.
    pub fn at(&self, reference: &str) -> Result<Arc<Tree>> {
        let mut made = self.made.lock();
        if let Some(tree) = made.get(reference) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(self.read(reference)?);
        made.insert(reference.to_owned(), Arc::clone(&tree));
        Ok(tree)
    }

    /// What is not as the project's own people have it, of all trees that were read so far.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.made.lock().values().flat_map(|tree| tree.notes.clone()).collect();
        notes.sort();
        notes.dedup();
        notes
    }

    fn read(&self, reference: &str) -> Result<Tree> {
        let project = &self.project;
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let Some(repository) = &self.repository else {
            if reference != WORK_TREE {
                let message = format!("{} is in no git repository: there is no `{reference}`", project.root.display());
                return Err(Error::usage(message));
            }
            let snapshot = Snapshot::of_folder(&project.root)?;
            return Ok(Tree { kept: snapshot.keep(&self.cache)?, root: PathBuf::new(), notes: snapshot.notes });
        };
        let root = real(&project.root).strip_prefix(real(&repository.top)).map(Path::to_owned).unwrap_or_default();
        let mut snapshot = if reference == WORK_TREE {
            Snapshot::of_work_tree(repository)?
        } else {
            Snapshot::at(repository, reference)?
        };
        if reference == WORK_TREE {
            let python = |path: &String| Path::new(path).extension().is_some_and(|ending| ending == "py");
            let untracked: Vec<String> = repository.untracked()?.into_iter().filter(python).collect();
            if !untracked.is_empty() {
                let names = some_of(&untracked);
                snapshot.notes.push(format!("files that git does not track are left out (`git add` them): {names}"));
            }
        }
        Ok(Tree { kept: snapshot.keep(&self.cache)?, root, notes: snapshot.notes })
    }
}
