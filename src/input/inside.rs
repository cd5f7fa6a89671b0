//! Opening what a path leads to: a regular file, inside its folder whatever links there are, of a size that was agreed on.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::limit::{Limit, PACKAGE_BYTES, PACKAGE_FILES};
use super::path::InnerPath;

/// Reads a regular file of at most so many bytes, wherever it is. What is none (a folder, a FIFO, a device) is refused
/// without being opened, as that may block or do something.
///
/// # Errors
///
/// Says what the path leads to instead, or as the file system does.
pub fn read(path: &Path, limit: Limit) -> io::Result<Vec<u8>> {
    is_regular(&fs::metadata(path)?)?;
    // It may have become another thing since.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    is_regular(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(limit.most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit.most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, limit.message(bytes.len())));
    }
    Ok(bytes)
}

/// As [`read`], for text.
pub fn read_text(path: &Path, limit: Limit) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Where a path below a folder really leads.
///
/// # Errors
///
/// There is nothing, or a link leads out of the folder.
pub fn find(folder: &Path, path: &InnerPath) -> io::Result<PathBuf> {
    let found = folder.join(path).canonicalize()?;
    if found.starts_with(folder.canonicalize()?) {
        Ok(found)
    } else {
        let message = format!("a link leads out of its folder, to {}", found.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    }
}

/// The text of a file below a folder, which may not lead out of it.
///
/// # Errors
///
/// Those of [`find`] and [`read`].
pub fn read_text_in(folder: &Path, path: &InnerPath, limit: Limit) -> io::Result<String> {
    read_text(&find(folder, path)?, limit)
}

/// All files of the package `name` in `folder`, by their paths below `folder`, without bytecode; links stay inside the
/// package.
///
/// # Errors
///
/// A link leads out of the package, something is no regular file, or there is too much of it.
pub fn package(folder: &Path, name: &InnerPath) -> io::Result<Vec<InnerPath>> {
    let top = find(folder, name)?;
    let mut files = Vec::new();
    let mut folders = vec![name.clone()];
    let mut size = 0;
    while let Some(inner) = folders.pop() {
        let said =
            |error: &io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.join(&inner).display()));
        for entry in fs::read_dir(folder.join(&inner)).map_err(|error| said(&error))? {
            let entry = entry.map_err(|error| said(&error))?;
            let file_name = entry.file_name();
            if file_name == "__pycache__" {
                continue;
            }
            let path = entry.path();
            let said = |error: &io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let name = file_name.to_str().ok_or_else(|| said(&io::Error::other("its name is not UTF-8")))?;
            let below = InnerPath::parse(&format!("{inner}/{name}"), "its package")
                .map_err(|wrong| said(&io::Error::other(wrong.message)))?;
            let mut kind = entry.file_type().map_err(|error| said(&error))?;
            if kind.is_symlink() {
                // An editor's lock on an open file leads nowhere.
                let Ok(target) = path.canonicalize() else { continue };
                if !target.starts_with(&top) {
                    let message = format!("a link leads out of the package, to {}", target.display());
                    return Err(said(&io::Error::new(io::ErrorKind::PermissionDenied, message)));
                }
                kind = fs::metadata(&path).map_err(|error| said(&error))?.file_type();
                if kind.is_dir() {
                    return Err(said(&io::Error::other("a link to a folder is not copied: copy the folder itself")));
                }
            }
            if kind.is_dir() {
                folders.push(below);
                continue;
            }
            let meta = fs::metadata(&path).map_err(|error| said(&error))?;
            is_regular(&meta).map_err(|error| said(&error))?;
            size += meta.len();
            files.push(below);
            let many = [(PACKAGE_FILES, files.len() as u64), (PACKAGE_BYTES, size)];
            if let Some((limit, asked)) = many.into_iter().find(|(limit, asked)| *asked > limit.most) {
                let message = format!("{}: {}", top.display(), limit.message(asked));
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
        }
    }
    Ok(files)
}

fn is_regular(meta: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = meta.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a file")))
}
