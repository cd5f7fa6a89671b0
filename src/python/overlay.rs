//! Overlays: this state's copy of each package that it changes, named by content hash.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use dj_regress_protocol::{Fingerprint, PROJECT};

use super::intact::content;
use super::source::{Sources, package_of};
use crate::cache::{Cache, USUAL_MODE, digest};
use crate::error::{Context as _, Error, Result};
use crate::input::inside;
use crate::input::limit::PACKAGE_BYTES;
use crate::input::path::InnerPath;
use crate::project::{Kept, Snapshot};

/// The code of a state: what goes on `sys.path`, and which code each watched package must then be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Folders to put before everything else on `sys.path`.
    pub folders: Vec<PathBuf>,
    /// The top of the project's tree, as this state has it.
    pub tree: Option<PathBuf>,
    /// Watched package -> the code that every actor must report; of the project's tree under [`PROJECT`].
    pub expected: BTreeMap<String, Fingerprint>,
}

impl Overlay {
    /// Copies each changed package, and the case's own, into the cache, with its changes, and fingerprints it and the
    /// other packages in `watch`.
    pub fn build(cache: &Cache, sources: &Sources, watch: &[&str]) -> Result<Self> {
        let mut overlay = Self::default();
        let mut changes = BTreeMap::new();
        let of_packages = sources.changed().iter().filter(|(file, text)| match sources.in_tree(file) {
            Some(path) => {
                changes.insert(path, text.as_deref());
                false
            }
            None => true,
        });
        let changed: BTreeSet<&str> = of_packages.map(|(file, _)| package_of(file)).chain(sources.copied()).collect();
        if let Some(tree) = sources.tree() {
            let tree = if changes.is_empty() { tree.clone() } else { changed_tree(cache, tree, &changes)? };
            let fingerprint = Fingerprint { path: tree.top.display().to_string(), hash: tree.digest };
            overlay.expected.insert(PROJECT.to_owned(), fingerprint);
            overlay.tree = Some(tree.top);
        }
        for package in changed.iter().copied().chain(watch.iter().copied().filter(|package| !changed.contains(package)))
        {
            let root = sources
                .root_of(package)
                .ok_or_else(|| Error::cannot_run(format!("no package {package} in this environment")))?;
            let mut files = read_package(root, package)?;
            let folder = if changed.contains(package) {
                change(&mut files, sources, package);
                let folder = content(cache, "overlays", &files, |file| mode_of(&root.join(file)))?;
                overlay.folders.push(folder.clone());
                folder
            } else {
                root.to_owned()
            };
            let path = folder.join(package).display().to_string();
            overlay.expected.insert(package.to_owned(), Fingerprint { path, hash: fingerprint(&files, package) });
        }
        Ok(overlay)
    }
}

/// A copy of a project's tree with these changes: path -> new text, or `None` where it is taken away.
fn changed_tree(cache: &Cache, tree: &Kept, changes: &BTreeMap<String, Option<&str>>) -> Result<Kept> {
    let mut snapshot = Snapshot::kept(tree)?;
    for (path, text) in changes {
        snapshot.put(path, *text);
    }
    snapshot.keep(cache)
}

/// All files of a package, by their path below `root`.
fn read_package(root: &Path, package: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let doing = || format!("copy {}", root.join(package).display());
    let name = InnerPath::parse(package, "a folder of sys.path").cannot_run(doing)?;
    let mut files = BTreeMap::new();
    for file in inside::package(root, &name).cannot_run(doing)? {
        let path = inside::find(root, &file).cannot_run(doing)?;
        let bytes = inside::read(&path, PACKAGE_BYTES).cannot_run(|| format!("read {}", path.display()))?;
        files.insert(file.to_string(), bytes);
    }
    Ok(files)
}

/// What the original may be used for; a file that the change makes has none.
fn mode_of(original: &Path) -> u32 {
    original.metadata().map_or(USUAL_MODE, |original| original.permissions().mode() & 0o777)
}

fn change(files: &mut BTreeMap<String, Vec<u8>>, sources: &Sources, package: &str) {
    for (file, text) in sources.changed().iter().filter(|(file, _)| package_of(file) == package) {
        match text {
            Some(text) => files.insert(file.clone(), text.clone().into_bytes()),
            None => files.remove(file),
        };
    }
}

/// [`Fingerprint::hash`]: over the package's `.py` files, by their path below the package.
fn fingerprint(files: &BTreeMap<String, Vec<u8>>, package: &str) -> String {
    let prefix = format!("{package}/");
    let python = files.iter().filter(|(file, _)| Path::new(file).extension().is_some_and(|ending| ending == "py"));
    digest(python.filter_map(|(file, bytes)| Some((file.strip_prefix(&prefix)?, bytes.as_slice()))))
}

/// What is wrong with the code that a process reports, if anything.
pub fn mismatch(expected: &BTreeMap<String, Fingerprint>, loaded: &BTreeMap<String, Fingerprint>) -> Option<String> {
    expected.iter().find_map(|(package, want)| match loaded.get(package) {
        None => Some(format!("{package} was not loaded, expected from {}", want.path)),
        Some(have) if have.path != want.path => {
            Some(format!("{package} was loaded from {}, expected from {}", have.path, want.path))
        }
        Some(have) if have.hash != want.hash => Some(format!(
            "{package} at {} is not the code of this state (hash {}, expected {})",
            have.path,
            &have.hash[..8.min(have.hash.len())],
            &want.hash[..8]
        )),
        Some(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint_at(path: &str, hash: &str) -> BTreeMap<String, Fingerprint> {
        BTreeMap::from([("django_q".to_owned(), Fingerprint { path: path.into(), hash: hash.into() })])
    }

    #[test]
    fn code_from_another_path_or_with_another_hash_is_a_mismatch() {
        let expected = fingerprint_at("/overlay/django_q", "0123456789");
        assert_eq!(mismatch(&expected, &expected), None);
        assert!(
            mismatch(&expected, &fingerprint_at("/site-packages/django_q", "0123456789"))
                .is_some_and(|why| why.contains("was loaded from /site-packages"))
        );
        assert!(
            mismatch(&expected, &fingerprint_at("/overlay/django_q", "x"))
                .is_some_and(|why| why.contains("not the code of this state"))
        );
        assert!(mismatch(&expected, &BTreeMap::new()).is_some_and(|why| why.contains("was not loaded")));
    }

    #[test]
    fn a_fingerprint_sees_python_files_only() {
        let mut files =
            BTreeMap::from([("app/a.py".to_owned(), b"x = 1\n".to_vec()), ("app/t.html".to_owned(), b"<p>".to_vec())]);
        let print_before = fingerprint(&files, "app");
        files.insert("app/t.html".to_owned(), b"<b>".to_vec());
        assert_eq!(fingerprint(&files, "app"), print_before);
        files.insert("app/a.py".to_owned(), b"x = 2\n".to_vec());
        assert_ne!(fingerprint(&files, "app"), print_before);
    }
}
