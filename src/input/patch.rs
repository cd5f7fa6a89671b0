//! Unified diffs: which files they change.

use diffy::patch_set::{FileOperation, FilePatch, ParseOptions, PatchSet};

use super::path::InnerPath;
use crate::error::Error;

/// What a part of a diff does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Changes what is there.
    Modify(InnerPath),
    /// Makes a new one.
    Create(InnerPath),
    /// Takes it away.
    Delete(InnerPath),
    /// Changes it and gives it another name.
    Rename(InnerPath, InnerPath),
}

impl Change {
    /// The file that is read.
    pub fn from(&self) -> Option<&InnerPath> {
        match self {
            Self::Modify(path) | Self::Delete(path) | Self::Rename(path, _) => Some(path),
            Self::Create(_) => None,
        }
    }

    /// The file that is made of it.
    pub fn to(&self) -> Option<&InnerPath> {
        match self {
            Self::Modify(path) | Self::Create(path) | Self::Rename(_, path) => Some(path),
            Self::Delete(_) => None,
        }
    }
}

/// The parts of a diff, one for each file, each with what it does.
///
/// # Errors
///
/// It is no diff, or changes something outside of the folders of `sys.path`; without a place.
pub fn parts(diff: &str) -> Result<Vec<(Change, FilePatch<'_, str>)>, Error> {
    let options = if diff.contains("diff --git ") { ParseOptions::gitdiff() } else { ParseOptions::unidiff() };
    let mut parts = Vec::new();
    for part in PatchSet::parse(diff, options) {
        let part = part.map_err(|error| {
            let message = format!("the patch cannot be read: {error}");
            Error::usage(message)
                .hint("write a unified diff (`--- a/...`, `+++ b/...`), or the path of one: `fix.diff`")
        })?;
        let change = change(part.operation())?;
        parts.push((change, part));
    }
    Ok(parts)
}

fn change(operation: &FileOperation<'_, str>) -> Result<Change, Error> {
    let path = |path: &str| InnerPath::parse(path, "a folder of sys.path");
    Ok(match strip(operation) {
        FileOperation::Modify { modified, .. } => Change::Modify(path(&modified)?),
        FileOperation::Create(created) => Change::Create(path(&created)?),
        FileOperation::Delete(deleted) => Change::Delete(path(&deleted)?),
        FileOperation::Rename { from, to } => Change::Rename(path(&from)?, path(&to)?),
        FileOperation::Copy { .. } => {
            return Err(Error::usage("the patch copies a file, which is not supported"));
        }
    })
}

/// `a/django_q/x.py` and `b/django_q/x.py` name `django_q/x.py`, as git writes them.
fn strip<'a>(operation: &'a FileOperation<'_, str>) -> FileOperation<'a, str> {
    let prefixed = |path: &str| path.starts_with("a/") || path.starts_with("b/") || path == "/dev/null";
    let all = match operation {
        FileOperation::Modify { original, modified } => prefixed(original) && prefixed(modified),
        FileOperation::Rename { from, to } | FileOperation::Copy { from, to } => prefixed(from) && prefixed(to),
        FileOperation::Create(path) | FileOperation::Delete(path) => prefixed(path),
    };
    operation.strip_prefix(usize::from(all))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("--- a/../x.py\n+++ b/../x.py\n@@ -1 +1 @@\n-a\n+b\n", "`../x.py` leads out")]
    #[case("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n", "`/etc/passwd` is an absolute path")]
    #[case("--- /dev/null\n+++ b//etc/cron.d/x\n@@ -0,0 +1 @@\n+b\n", "`/etc/cron.d/x` is an absolute path")]
    #[case("this is no diff\n", "cannot be read")]
    fn a_patch_of_something_outside_is_refused(#[case] diff: &str, #[case] expected: &str) {
        let error = parts(diff).expect_err("it is outside");
        assert!(error.message.contains(expected), "{}", error.message);
    }

    #[test]
    fn a_patch_says_what_it_changes() {
        let diff =
            "--- a/app/x.py\n+++ b/app/x.py\n@@ -1 +1 @@\n-a\n+b\n--- /dev/null\n+++ b/app/y.py\n@@ -0,0 +1 @@\n+b\n";
        let changes: Vec<Change> = parts(diff).expect("a diff").into_iter().map(|(change, _)| change).collect();
        let path = |text| InnerPath::parse(text, "").expect("a path");
        assert_eq!(changes, [Change::Modify(path("app/x.py")), Change::Create(path("app/y.py"))]);
    }
}
