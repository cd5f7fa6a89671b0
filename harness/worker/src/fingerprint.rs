//! Hashes of code: by them the controller knows that an actor runs what it was meant to run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pyo3::prelude::*;

/// The hash of [`dj_regress_protocol::Fingerprint`] of a package folder, or of one module's file.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn fingerprint(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    Ok(py.detach(|| hash(&path))?)
}

/// The digest of all files below a folder, whatever they are, as the controller makes it of a project's tree. Of a link, of
/// where it leads.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn fingerprint_tree(py: Python<'_>, top: PathBuf) -> PyResult<String> {
    Ok(py.detach(|| hash_tree(&top))?)
}

/// BLAKE3 in hex of the parts, each after its length, so that no two lists of parts agree by chance.
#[pyfunction]
pub fn digest(parts: Vec<String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn hash(path: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    if path.is_dir() {
        collect(path, "", &mut files)?;
        files.sort();
    } else {
        let name = path.file_name().unwrap_or_default();
        files.push((name.to_string_lossy().into_owned(), path.to_owned()));
    }
    digest_of(files.into_iter().map(|(relative, file)| Ok((relative, fs::read(file)?))))
}

fn hash_tree(top: &Path) -> io::Result<String> {
    let (mut files, mut folders) = (Vec::new(), vec![(top.to_owned(), String::new())]);
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if name != "__pycache__" {
                    folders.push((entry.path(), format!("{prefix}{name}/")));
                }
            } else {
                files.push((format!("{prefix}{name}"), entry.path(), kind.is_symlink()));
            }
        }
    }
    files.sort();
    digest_of(files.into_iter().map(|(relative, file, is_link)| {
        let content =
            if is_link { fs::read_link(file)?.to_string_lossy().into_owned().into_bytes() } else { fs::read(file)? };
        Ok((relative, content))
    }))
}

/// Over files in the order given: for each its path, a zero byte, its length as 8 bytes little endian, its bytes.
fn digest_of(files: impl Iterator<Item = io::Result<(String, Vec<u8>)>>) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let (relative, source) = file?;
        hasher.update(relative.as_bytes());
        hasher.update(&[0]);
        hasher.update(&(source.len() as u64).to_le_bytes());
        hasher.update(&source);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// All `.py` files below `folder`, with their paths relative to the package.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            if name != "__pycache__" {
                collect(&path, &format!("{relative}/"), files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push((relative, path));
        }
    }
    Ok(())
}
