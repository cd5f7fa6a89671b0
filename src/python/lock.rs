//! Locks: exact releases with hashes, kept beside the cases, without index addresses.

use std::fs;
use std::path::{Path, PathBuf};

use super::uv::Uv;
use crate::error::{Context as _, Error, Result};

/// The folder of locks of a cases folder.
#[derive(Debug, Clone)]
pub struct Locks {
    folder: PathBuf,
    frozen: bool,
}

/// A lock that is there and fits its requirements.
#[derive(Debug, Clone)]
pub struct Lock {
    /// The file, in pip's format with hashes.
    pub path: PathBuf,
    /// Hash of its text, in hex.
    pub hash: String,
}

impl Lock {
    /// What it locks, for messages: the file's name without its ending.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Locks {
    /// The locks in `cases/locks`. When `frozen`, a lock that is missing or stale is an error.
    pub fn new(cases: &Path, frozen: bool) -> Self {
        Self { folder: cases.join("locks"), frozen }
    }

    /// The lock of these requirements, made with uv where it is missing or was made for others.
    pub fn get(
        &self,
        name: &str,
        requirements: &[String],
        with_dependencies: bool,
        uv: &dyn Fn() -> Result<Uv>,
    ) -> Result<Lock> {
        let path = self.folder.join(format!("{name}.txt"));
        let head = head(requirements);
        match fs::read_to_string(&path) {
            Ok(text) if text.starts_with(&head) => return Ok(Lock { path, hash: hash(&text) }),
            _ if self.frozen => {
                return Err(Error::cannot_run(format!(
                    "{} is missing or was not made for {}",
                    path.display(),
                    requirements.join(", ")
                ))
                .hint("run once without `--frozen` and commit the lock that it writes"));
            }
            _ => {}
        }
        let text = format!("{head}{}", uv()?.compile(requirements, with_dependencies)?);
        fs::create_dir_all(&self.folder).cannot_run(|| format!("create {}", self.folder.display()))?;
        // Written beside and renamed: another run may be reading it.
        let new = self.folder.join(format!(".{name}.{}", std::process::id()));
        fs::write(&new, &text)
            .and_then(|()| fs::rename(&new, &path))
            .cannot_run(|| format!("write {}", path.display()))?;
        Ok(Lock { path, hash: hash(&text) })
    }
}

fn head(requirements: &[String]) -> String {
    format!("# Made by dj-regress from: {}\n# Delete this file to resolve it anew.\n", requirements.join(", "))
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// A file name for a package set: `django-5.2.x_django-q2-1.9.0`.
pub fn name<'a>(packages: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut parts: Vec<String> = packages
        .into_iter()
        .map(|(package, version)| {
            let version: String = version
                .replace('*', "x")
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
                .collect();
            format!("{package}-{}", version.trim_matches('-'))
        })
        .collect();
    parts.sort();
    parts.join("_")
}

/// A requirement in pip's words: a bare version means exactly that one.
pub fn requirement(package: &str, version: &str) -> String {
    if version.starts_with(['=', '<', '>', '~', '!']) {
        format!("{package}{version}")
    } else {
        format!("{package}=={version}")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1.9.0", "django-q2==1.9.0")]
    #[case("5.2.*", "django-q2==5.2.*")]
    #[case(">=1.8,<2", "django-q2>=1.8,<2")]
    fn a_bare_version_means_exactly_that_one(#[case] version: &str, #[case] expected: &str) {
        assert_eq!(requirement("django-q2", version), expected);
    }

    #[test]
    fn a_lock_is_named_for_its_packages_whatever_their_order() {
        let (a, b) = (("django-q2".to_owned(), "1.9.0".to_owned()), ("django".to_owned(), "5.2.*".to_owned()));
        let one = name([(&a.0, &a.1), (&b.0, &b.1)]);
        let other = name([(&b.0, &b.1), (&a.0, &a.1)]);
        assert_eq!(one, "django-5.2.x_django-q2-1.9.0");
        assert_eq!(one, other);
    }

    #[test]
    fn a_frozen_lock_that_is_missing_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let locks = Locks::new(folder.path(), true);
        let error =
            locks.get("x", &["x==1".to_owned()], true, &|| panic!("uv is not needed")).expect_err("it is missing");
        assert!(error.hint.expect("a hint").contains("without `--frozen`"));
    }

    #[test]
    fn a_lock_made_for_other_requirements_is_not_used() {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::create_dir(folder.path().join("locks")).expect("a folder");
        fs::write(folder.path().join("locks/x.txt"), format!("{}x==1\n", head(&["x==1".to_owned()]))).expect("a lock");
        let locks = Locks::new(folder.path(), true);
        let uv: &dyn Fn() -> Result<Uv> = &|| panic!("uv is not needed");
        assert!(locks.get("x", &["x==1".to_owned()], true, uv).is_ok());
        assert!(locks.get("x", &["x==2".to_owned()], true, uv).is_err());
    }
}
