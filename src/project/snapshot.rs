//! All files of a project: at a commit, or as they are in the work tree.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use super::repository::{Kind, Listed, Repository};
use crate::cache::{Cache, digest};
use crate::error::{Context as _, Error, Result};
use crate::input::inside;
use crate::input::limit::{TREE_BYTES, TREE_FILES};

/// The folder of a cached tree that holds its files; its digest is in the file beside it.
const FILES: &str = "tree";
const DIGEST: &str = "digest";

/// With this begins what Git LFS keeps in place of a file.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// How many names a note gives.
const NAMED: usize = 5;

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Whether it can be executed.
        is_program: bool,
    },
    /// A symbolic link, and where it leads: inside of the tree.
    Link(String),
}

impl Entry {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::File { bytes, .. } => bytes,
            Self::Link(target) => target.as_bytes(),
        }
    }
}

/// All files of a tree, by their path below its top.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    files: BTreeMap<String, Entry>,
    /// What is not as the project's own people have it, in words.
    pub notes: Vec<String>,
}

/// A tree in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its top.
    pub top: PathBuf,
    /// The digest of all of its files.
    pub digest: String,
}

impl Snapshot {
    /// The files of a commit.
    ///
    /// # Errors
    ///
    /// Usage if there is no such commit; cannot run if git cannot read it, or there is too much of it.
    pub fn at(repository: &Repository, reference: &str) -> Result<Self> {
        let listed = repository.files_at(&repository.tree_id(reference)?)?;
        check(TREE_FILES.check(listed.len() as u64), &repository.top)?;
        let mut tree = Building::default();
        let files: Vec<&Listed> = listed.iter().filter(|file| tree.takes(file)).collect();
        let contents = repository.contents(files.iter().map(|file| file.id.as_str()))?;
        for (file, bytes) in files.into_iter().zip(contents) {
            tree.add(file, bytes);
        }
        tree.finish(&repository.top)
    }

    /// The files of a work tree that git tracks, as they are now.
    ///
    /// # Errors
    ///
    /// Cannot run if they cannot be read, or there is too much of them.
    pub fn of_work_tree(repository: &Repository) -> Result<Self> {
        let listed = repository.tracked()?;
        check(TREE_FILES.check(listed.len() as u64), &repository.top)?;
        let mut tree = Building::default();
        for file in &listed {
            let path = repository.top.join(&file.path);
            if !tree.takes(file) {
                continue;
            }
            let doing = || format!("read {}", path.display());
            // One that was deleted is none.
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.is_symlink() {
                let target = fs::read_link(&path).cannot_run(doing)?;
                let target = target.to_string_lossy().into_owned().into_bytes();
                tree.add(&Listed { kind: Kind::Link, ..file.clone() }, target);
            } else if meta.is_file() {
                let kind = if meta.permissions().mode() & 0o100 == 0 { Kind::File } else { Kind::Program };
                let bytes = inside::read(&path, TREE_BYTES).cannot_run(doing)?;
                tree.add(&Listed { kind, ..file.clone() }, bytes);
            }
        }
        tree.finish(&repository.top)
    }

    /// The files of a folder that is in no repository: all but those that are hidden, installed or made. Nothing tells what of
    /// them is a secret.
    ///
    /// # Errors
    ///
    /// Cannot run if they cannot be read, or there is too much of them.
    pub fn of_folder(top: &Path) -> Result<Self> {
        let mut tree = Building::default();
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            let doing = || format!("read {}", folder.display());
            for entry in fs::read_dir(&folder).cannot_run(doing)? {
                let path = entry.cannot_run(doing)?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let is_made = name.starts_with('.') || LEFT_OUT.iter().any(|end| name.ends_with(end));
                if is_made || path.join("pyvenv.cfg").exists() {
                    continue;
                }
                let meta = fs::symlink_metadata(&path).cannot_run(|| format!("read {}", path.display()))?;
                let Some(below) = path.strip_prefix(top).ok().and_then(Path::to_str) else { continue };
                let kind = if meta.permissions().mode() & 0o100 == 0 { Kind::File } else { Kind::Program };
                let file = Listed { kind, id: String::new(), path: below.to_owned() };
                if meta.is_dir() {
                    folders.push(path);
                } else if meta.is_file() {
                    let doing = || format!("read {}", path.display());
                    tree.add(&file, inside::read(&path, TREE_BYTES).cannot_run(doing)?);
                    check(TREE_FILES.check(tree.files.len() as u64), top)?;
                }
            }
        }
        let mut snapshot = tree.finish(top)?;
        let what =
            "is in no git repository: its files are taken, but those whose names begin with a dot, and environments";
        snapshot.notes.push(format!("{} {what}", top.display()));
        Ok(snapshot)
    }

    /// The files of a tree that was kept.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be read.
    pub fn kept(kept: &Kept) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![kept.top.clone()];
        while let Some(folder) = folders.pop() {
            let doing = || format!("read {}", folder.display());
            for entry in fs::read_dir(&folder).cannot_run(doing)? {
                let path = entry.cannot_run(doing)?.path();
                let meta = fs::symlink_metadata(&path).cannot_run(doing)?;
                let name = path.strip_prefix(&kept.top).unwrap_or(&path).to_string_lossy().into_owned();
                let entry = if meta.is_symlink() {
                    Entry::Link(fs::read_link(&path).cannot_run(doing)?.to_string_lossy().into_owned())
                } else if meta.is_dir() {
                    if path.file_name().is_some_and(|name| name != BYTECODE) {
                        folders.push(path);
                    }
                    continue;
                } else {
                    let bytes = fs::read(&path).cannot_run(|| format!("read {}", path.display()))?;
                    Entry::File { bytes, is_program: meta.permissions().mode() & 0o100 != 0 }
                };
                files.insert(name, entry);
            }
        }
        Ok(Self { files, notes: Vec::new() })
    }

    /// Puts a text in place of a file's, makes it, or takes it away.
    pub fn put(&mut self, path: &str, text: Option<&str>) {
        let Some(text) = text else {
            self.files.remove(path);
            return;
        };
        let is_program = matches!(self.files.get(path), Some(Entry::File { is_program: true, .. }));
        self.files.insert(path.to_owned(), Entry::File { bytes: text.as_bytes().to_vec(), is_program });
    }

    /// Writes all files into the cache, once for all trees of this content.
    ///
    /// # Errors
    ///
    /// Cannot run if the cache cannot be written to.
    pub fn keep(&self, cache: &Cache) -> Result<Kept> {
        let digest = digest(self.files.iter().map(|(path, entry)| (path.as_str(), entry.bytes())));
        let modes = self.files.iter().filter(|(_, entry)| matches!(entry, Entry::File { is_program: true, .. }));
        let modes = crate::cache::digest(modes.map(|(path, _)| (path.as_str(), b"".as_slice())));
        let name = format!("projects/{}-{}", &digest[..16], &modes[..8]);
        let is_whole = |folder: &Path| fs::read_to_string(folder.join(DIGEST)).is_ok_and(|noted| noted == digest);
        let folder = cache.directory(&name, |folder| self.write(folder, &digest))?;
        if !is_whole(&folder) {
            return Err(Error::cannot_run(format!("{} is damaged", folder.display()))
                .hint("`dj-regress clean --cache` empties the cache"));
        }
        Ok(Kept { top: folder.join(FILES), digest })
    }

    fn write(&self, folder: &Path, digest: &str) -> Result<()> {
        let top = folder.join(FILES);
        fs::create_dir(&top).cannot_run(|| format!("make {}", top.display()))?;
        for (name, entry) in &self.files {
            if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(Error::bug(format!("a file of a project would be written to {name}")));
            }
            let path = top.join(name);
            let write = || -> std::io::Result<()> {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                match entry {
                    Entry::Link(target) => symlink(target, &path),
                    Entry::File { bytes, is_program } => {
                        let mut new = File::create_new(&path)?;
                        new.write_all(bytes)?;
                        new.set_permissions(fs::Permissions::from_mode(if *is_program { 0o755 } else { 0o644 }))
                    }
                }
            };
            write().cannot_run(|| format!("write {}", path.display()))?;
        }
        fs::write(folder.join(DIGEST), digest).cannot_run(|| format!("write {}", folder.join(DIGEST).display()))
    }
}

/// A folder of Python's, which it writes when it likes.
const BYTECODE: &str = "__pycache__";

/// What nobody writes by hand, by the ends of names.
const LEFT_OUT: [&str; 7] =
    [BYTECODE, "node_modules", ".sqlite3", ".egg-info", ".pyc", "regress.out", "regress.out.old"];

/// A snapshot while it is made.
#[derive(Default)]
struct Building {
    files: BTreeMap<String, Entry>,
    bytes: u64,
    submodules: Vec<String>,
    pointers: Vec<String>,
    links: Vec<String>,
}

impl Building {
    /// Whether the file is one of those that travel.
    fn takes(&mut self, file: &Listed) -> bool {
        if file.kind == Kind::Submodule {
            self.submodules.push(file.path.clone());
            return false;
        }
        !Path::new(&file.path).components().any(|part| part.as_os_str() == BYTECODE)
    }

    fn add(&mut self, file: &Listed, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        let path = &file.path;
        let entry = match file.kind {
            Kind::Link => {
                let target = String::from_utf8_lossy(&bytes).into_owned();
                if !stays_inside(path, &target) {
                    self.links.push(path.clone());
                    return;
                }
                Entry::Link(target)
            }
            kind => Entry::File { bytes, is_program: kind == Kind::Program },
        };
        if entry.bytes().starts_with(LFS) {
            self.pointers.push(path.clone());
        }
        self.files.insert(path.clone(), entry);
    }

    fn finish(self, top: &Path) -> Result<Snapshot> {
        check(TREE_BYTES.check(self.bytes), top)?;
        let notes = [
            (self.submodules, "submodules are left out"),
            (self.pointers, "files of Git LFS are only pointers (`git lfs pull` brings those of the work tree)"),
            (self.links, "links that lead out of the repository are left out"),
        ];
        let notes = notes.into_iter().filter(|(names, _)| !names.is_empty());
        let notes = notes.map(|(names, what)| format!("{what}: {}", some_of(&names))).collect();
        Ok(Snapshot { files: self.files, notes })
    }
}

/// A few names, and how many more there are.
pub fn some_of(names: &[String]) -> String {
    let (first, rest) = names.split_at(names.len().min(NAMED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    format!("{}{more}", first.join(", "))
}

/// Whether a link at this path leads to a place below the top, without a look at other links.
fn stays_inside(path: &str, target: &str) -> bool {
    let mut depth = path.matches('/').count();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

fn check(within: Result<()>, top: &Path) -> Result<()> {
    within.map_err(|wrong| Error::cannot_run(format!("{}: {}", top.display(), wrong.message)))
}
