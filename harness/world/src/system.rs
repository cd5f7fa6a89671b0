//! System calls that may be refused.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the machine refused, and how.
#[derive(Debug)]
pub struct Refused {
    doing: String,
    error: io::Error,
}

impl Refused {
    pub(crate) fn new(doing: impl Into<String>, error: io::Error) -> Self {
        Self { doing: doing.into(), error }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.error)
    }
}

impl std::error::Error for Refused {}

/// The result of a system call that says -1 where it fails.
pub(crate) fn checked(doing: &str, result: impl Into<i64>) -> Result<i64, Refused> {
    match result.into() {
        -1 => Err(Refused::new(doing, io::Error::last_os_error())),
        result => Ok(result),
    }
}

/// A path as system calls want it.
pub(crate) fn text(path: &Path) -> Result<CString, Refused> {
    let invalid = |_| Refused::new(format!("name {}", path.display()), io::ErrorKind::InvalidInput.into());
    CString::new(path.as_os_str().as_bytes()).map_err(invalid)
}
