//! Whether what is kept in the cache is still what was put there: a disk that was full, a power failure, a package
//! manager that was let loose on it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::error::{Context as _, Result};

/// Where the extent of a folder is noted, in that folder.
const NAME: &str = "dj-regress-extent.json";

/// What a folder held when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    files: u64,
    bytes: u64,
}

impl Extent {
    /// Counts the files below a folder and their bytes. Bytecode is left out: Python may write it when it likes.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut extent = Self { files: 0, bytes: 0 };
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    if entry.file_name() != "__pycache__" {
                        folders.push(entry.path());
                    }
                } else if kind.is_file() && entry.file_name() != NAME {
                    extent.files += 1;
                    extent.bytes += entry.metadata()?.len();
                }
            }
        }
        Ok(extent)
    }

    /// Writes down what a new folder holds, into it.
    pub fn note(folder: &Path) -> Result<()> {
        let note = || -> io::Result<()> { fs::write(folder.join(NAME), serde_json::to_vec(&Self::of(folder)?)?) };
        note().cannot_run(|| format!("write {}", folder.join(NAME).display()))
    }

    /// What is wrong with a folder, if anything.
    pub fn damage(folder: &Path) -> Option<String> {
        let noted = fs::read(folder.join(NAME)).ok().and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        let Some(noted) = noted else { return Some("what it held is not on record".to_owned()) };
        match Self::of(folder) {
            Ok(found) if found == noted => None,
            Ok(found) => Some(format!(
                "it holds {} files of {} bytes, it was made with {} of {}",
                found.files, found.bytes, noted.files, noted.bytes
            )),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// The first installed file that is not as long as its package's record says, if there is one: what an installer takes
/// from a cache of its own may be damaged there.
pub fn unlike_its_record(site_packages: &Path) -> Option<PathBuf> {
    let packages = fs::read_dir(site_packages).into_iter().flatten().flatten();
    packages.filter_map(|package| fs::read_to_string(package.path().join("RECORD")).ok()).find_map(|record| {
        record.lines().find_map(|line| {
            // `path,sha256=...,size`; the last two are left out for what has no hash.
            let mut fields = line.rsplitn(3, ',');
            let size: u64 = fields.next()?.trim().parse().ok()?;
            let path = site_packages.join(fields.nth(1)?.trim_matches('"'));
            let is_alike = path.metadata().is_ok_and(|found| found.len() == size);
            (!is_alike).then_some(path)
        })
    })
}

/// As [`Cache::content`]; a folder of which files are missing or cut is made again.
pub fn content(
    cache: &Cache,
    what: &str,
    files: &BTreeMap<String, Vec<u8>>,
    mode: impl Fn(&str) -> u32,
) -> Result<PathBuf> {
    let is_damaged = |folder: &Path| {
        let is_whole = |(file, bytes): (&String, &Vec<u8>)| {
            folder.join(file).metadata().is_ok_and(|found| found.len() == bytes.len() as u64)
        };
        !files.iter().all(is_whole)
    };
    let folder = cache.content(what, files, &mode)?;
    match folder.strip_prefix(cache.root()) {
        Ok(name) if is_damaged(&folder) => discard(cache, &name.to_string_lossy(), is_damaged)?,
        _ => return Ok(folder),
    }
    cache.content(what, files, mode)
}

/// Takes a damaged folder out of the cache, so that it is made again; whoever else found it may have done so.
pub fn discard(cache: &Cache, name: &str, is_damaged: impl Fn(&Path) -> bool) -> Result<()> {
    let _lock = cache.lock(name)?;
    let folder = cache.path(name);
    if !is_damaged(&folder) {
        return Ok(());
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).cannot_run(|| format!("remove {}, which is damaged", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rstest::rstest;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::create_dir_all(folder.path().join("package/__pycache__")).expect("a folder");
        fs::write(folder.path().join("package/a.py"), "x = 1\n").expect("a file");
        fs::write(folder.path().join("package/b.so"), [7; 100]).expect("a file");
        Extent::note(folder.path()).expect("noted");
        folder
    }

    #[rstest]
    #[case::alike("a.py,sha256=x,6\na.pyc,,\n", None)]
    #[case::cut("a.py,sha256=x,7\n", Some("a.py"))]
    #[case::missing("a.py,sha256=x,6\n\"b,c.py\",sha256=x,1\n", Some("b,c.py"))]
    fn an_installed_file_is_held_against_its_record(#[case] record: &str, #[case] unlike: Option<&str>) {
        let folder = tempfile::tempdir().expect("a temp folder");
        let info = folder.path().join("a-1.dist-info");
        fs::create_dir(&info).expect("a folder");
        fs::write(info.join("RECORD"), record).expect("a record");
        fs::write(folder.path().join("a.py"), "x = 1\n").expect("a file");
        assert_eq!(unlike_its_record(folder.path()), unlike.map(|file| folder.path().join(file)));
    }

    #[test]
    fn a_folder_with_new_bytecode_is_whole() {
        let folder = folder();
        fs::write(folder.path().join("package/__pycache__/a.pyc"), "").expect("a file");
        assert_eq!(Extent::damage(folder.path()), None);
    }

    #[rstest]
    #[case::missing(|folder: &Path| fs::remove_file(folder.join("package/a.py")).expect("removed"))]
    #[case::cut(|folder: &Path| File::options().write(true).open(folder.join("package/b.so")).expect("open").set_len(50).expect("cut"))]
    #[case::more(|folder: &Path| fs::write(folder.join("package/c.py"), "").expect("a file"))]
    #[case::without_a_note(|folder: &Path| fs::remove_file(folder.join(NAME)).expect("removed"))]
    fn a_folder_that_has_changed_is_damaged(#[case] damage: fn(&Path)) {
        let folder = folder();
        damage(folder.path());
        assert!(Extent::damage(folder.path()).is_some());
    }
}
