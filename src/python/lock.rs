//! Locks: exact releases with hashes, kept beside the cases, without index addresses.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::uv::{Resolution, Uv};
use crate::cache::Cache;
use crate::error::{Context as _, Error, Result};
use crate::input::inside;
use crate::input::limit::SOURCE;
use crate::input::requirement::{PackageName, Release};

/// Before the number of releases that a lock pins.
const COUNT: &str = "# Releases: ";

/// File systems take names of 255 bytes; beside this there is `_python-3.12.txt`.
const LONGEST: usize = 180;

/// Where locks are read and written.
#[derive(Debug, Clone)]
pub struct Locks {
    folder: PathBuf,
    frozen: bool,
    /// Read first, and never written: the locks of the cases, for a run over releases that these do not name.
    committed: Option<PathBuf>,
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

    /// Whether a release of this package is in it.
    pub fn holds(&self, package: &str) -> Result<bool> {
        let text = inside::read_text(&self.path, SOURCE).cannot_run(|| format!("read {}", self.path.display()))?;
        Ok(text.lines().any(|line| line.split_once("==").is_some_and(|(name, _)| name == package)))
    }
}

impl Locks {
    /// The locks in `cases/locks`. When `frozen`, a lock that is missing or stale is an error.
    pub fn new(cases: &Path, frozen: bool) -> Self {
        Self { folder: cases.join("locks"), frozen, committed: None }
    }

    /// Locks for releases that the cases do not name: in the cache, each for one Python, as not every release is for
    /// every Python. A lock in `cases/locks` that fits is used where there is one.
    pub fn of_releases(cases: &Path, cache: &Cache) -> Self {
        Self { folder: cache.path("releases/locks"), frozen: false, committed: Some(cases.join("locks")) }
    }

    /// Locks of what the harness needs beside the packages of a project: in the cache.
    pub fn of_harness(cache: &Cache) -> Self {
        Self { folder: cache.path("projects/locks"), frozen: false, committed: None }
    }

    /// How packages are resolved that are to run with this Python.
    pub fn resolution<'p>(&self, python: Option<&'p str>) -> Resolution<'p> {
        if self.committed.is_some() { Resolution::For(python) } else { Resolution::Universal }
    }

    /// The lock of these requirements, made with uv where it is missing or was made for others.
    pub fn get(
        &self,
        name: &str,
        requirements: &[String],
        resolution: Resolution<'_>,
        uv: &dyn Fn() -> Result<Uv>,
    ) -> Result<Lock> {
        let head = head(requirements);
        if let Some(committed) = &self.committed {
            let path = committed.join(format!("{name}.txt"));
            if let Ok(text) = inside::read_text(&path, SOURCE)
                && text.starts_with(&head)
                && is_whole(&text, requirements)
            {
                return Ok(Lock { path, hash: hash(&text) });
            }
        }
        let name = match resolution {
            Resolution::For(python) => format!("{name}_python-{}", file_name(python.unwrap_or("any"))),
            Resolution::Universal | Resolution::Alone => name.to_owned(),
        };
        let path = self.folder.join(format!("{name}.txt"));
        match inside::read_text(&path, SOURCE) {
            Ok(text) if text.starts_with(&head) && is_whole(&text, requirements) => {
                return Ok(Lock { path, hash: hash(&text) });
            }
            Ok(text) if self.frozen && text.starts_with(&head) => {
                return Err(Error::cannot_run(format!("{} is damaged: a part of it is missing", path.display()))
                    .hint("restore it, or run once without `--frozen` and commit the lock that it writes"));
            }
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
        let locked = uv()?.compile(requirements, resolution)?;
        let text = format!("{head}{COUNT}{}\n{locked}", pins(&locked).count());
        fs::create_dir_all(&self.folder).cannot_run(|| format!("create {}", self.folder.display()))?;
        write(&self.folder, &path, &text).cannot_run(|| format!("write {}", path.display()))?;
        Ok(Lock { path, hash: hash(&text) })
    }
}

/// Written beside and renamed: another run may be reading it. What is there is replaced, and never written into: it may be
/// a link to a file of somebody's.
pub(super) fn write(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let new =
        tempfile::Builder::new().prefix(".lock-").permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder)?;
    new.as_file().write_all(text.as_bytes())?;
    new.persist(path)?;
    Ok(())
}

fn head(requirements: &[String]) -> String {
    format!("# Made by dj-regress from: {}\n# Delete this file to resolve it anew.\n", requirements.join(", "))
}

/// The lines that pin a release.
fn pins(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()))
}

/// Whether a lock is all there: it may have been cut when it was written, or by whoever copied it.
fn is_whole(text: &str, requirements: &[String]) -> bool {
    // Every line but the last of a release goes on in the next; every release has hashes.
    let ends = text.ends_with('\n') && text.lines().last().is_some_and(|line| !line.ends_with('\\'));
    let has_hashes = pins(text).all(|line| line.ends_with('\\'));
    let digits = text.lines().filter_map(|line| line.trim().strip_prefix("--hash=sha256:"));
    let mut digests = digits.map(|hash| hash.trim_end_matches([' ', '\\']));
    let are_digests = digests.all(|hash| hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let pinned: HashSet<String> = pins(text).filter_map(distribution).collect();
    let has_all = requirements.iter().filter_map(|wanted| distribution(wanted)).all(|name| pinned.contains(&name));
    // Locks that earlier releases have made do not say it.
    let count = text.lines().find_map(|line| line.strip_prefix(COUNT)).and_then(|count| count.parse().ok());
    ends && has_hashes && are_digests && has_all && count.is_none_or(|count: usize| count == pins(text).count())
}

/// The distribution that a requirement or a pin is about, as the index writes it.
fn distribution(requirement: &str) -> Option<String> {
    let end = requirement.find(|next: char| !(next.is_ascii_alphanumeric() || "-_.".contains(next)));
    let name = requirement.get(..end.unwrap_or(requirement.len())).filter(|name| !name.is_empty())?;
    Some(name.to_ascii_lowercase().replace(['_', '.'], "-"))
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// A file name for a package set: `django-5.2.x_django-q2-1.9.0`.
///
/// # Errors
///
/// Usage if one of them is no name or no version.
pub fn name<'a>(packages: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<String> {
    let parts = packages.into_iter().map(|(package, release)| {
        let (package, release) = parse(package, release)?;
        Ok(format!("{package}-{}", release.file_name()))
    });
    let mut parts = parts.collect::<Result<Vec<String>>>()?;
    parts.sort();
    let name = parts.join("_");
    if name.len() <= LONGEST {
        return Ok(name);
    }
    // All of them are ASCII.
    Ok(format!("{}-{}", &name[..LONGEST - 17], &hash(&name)[..16]))
}

/// A text with nothing in it that file names should not have.
fn file_name(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' });
    plain.collect::<String>().trim_matches('-').to_owned()
}

/// A requirement in pip's words: a bare version means exactly that one. Nothing else gets into what an installer reads.
///
/// # Errors
///
/// Usage if it is no name or no version.
pub fn requirement(package: &str, release: &str) -> Result<String> {
    let (package, release) = parse(package, release)?;
    Ok(release.requirement(&package))
}

fn parse(package: &str, release: &str) -> Result<(PackageName, Release)> {
    Ok((PackageName::parse(package)?, Release::parse(release)?))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn whole(requirements: &[String]) -> String {
        let pin = |pin: &String| format!("{pin} \\\n    --hash=sha256:{}\n", "0".repeat(64));
        let pins: String = requirements.iter().map(pin).collect();
        format!("{}{COUNT}{}\n{pins}", head(requirements), requirements.len())
    }

    #[test]
    fn a_lock_that_is_cut_anywhere_is_not_whole() {
        let requirements = ["psycopg[binary]==3.3.*".to_owned(), "time_machine==3; python_version < '3.11'".to_owned()];
        let pins = ["psycopg==3.3.9", "time-machine==3", "tzdata==2026.6"].map(str::to_owned);
        let text = whole(&pins);
        assert!(is_whole(&text, &requirements), "{text}");
        for length in text.find("psycopg").expect("a pin")..text.len() {
            assert!(!is_whole(&text[..length], &requirements), "cut after {length}: {}", &text[..length]);
        }
        // As earlier releases have made them.
        assert!(is_whole(&text.replace(&format!("{COUNT}3\n"), ""), &requirements));
    }

    #[rstest]
    #[case("1.9.0", "django-q2==1.9.0")]
    #[case("5.2.*", "django-q2==5.2.*")]
    #[case(">=1.8,<2", "django-q2>=1.8,<2")]
    fn a_bare_version_means_exactly_that_one(#[case] version: &str, #[case] expected: &str) {
        assert_eq!(requirement("django-q2", version).expect("a requirement"), expected);
    }

    #[rstest]
    #[case("django-q2", "1.9.0\n-r /etc/passwd")]
    #[case("django-q2", "1.9.0 --pre")]
    #[case("-r x", "1.9.0")]
    #[case("../../x", "1.9.0")]
    fn nothing_but_a_requirement_gets_into_what_an_installer_reads(#[case] package: &str, #[case] version: &str) {
        assert!(requirement(package, version).is_err());
        assert!(name([(&package.to_owned(), &version.to_owned())]).is_err());
    }

    #[test]
    fn a_lock_of_many_packages_has_a_name_that_file_systems_take() {
        let many: Vec<(String, String)> = (0..40).map(|n| (format!("package-{n}"), "1.2.3".to_owned())).collect();
        let mut fewer = many.clone();
        fewer.pop();
        let names =
            [many, fewer].map(|set| name(set.iter().map(|(package, release)| (package, release))).expect("a name"));
        assert!(names.iter().all(|name| name.len() == LONGEST), "{names:?}");
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn a_lock_that_is_a_link_is_replaced_and_what_it_leads_to_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let (thesis, lock) = (folder.path().join("thesis.txt"), folder.path().join("x.txt"));
        fs::write(&thesis, "years of work").expect("a file");
        std::os::unix::fs::symlink(&thesis, &lock).expect("a link");
        write(folder.path(), &lock, "x==1").expect("it is written");
        assert_eq!(fs::read_to_string(&thesis).expect("it is there"), "years of work");
        assert_eq!(fs::read_to_string(&lock).expect("it is there"), "x==1");
        assert!(!lock.is_symlink());
    }

    #[test]
    fn a_lock_is_named_for_its_packages_whatever_their_order() {
        let (a, b) = (("django-q2".to_owned(), "1.9.0".to_owned()), ("django".to_owned(), "5.2.*".to_owned()));
        let one = name([(&a.0, &a.1), (&b.0, &b.1)]).expect("a name");
        let other = name([(&b.0, &b.1), (&a.0, &a.1)]).expect("a name");
        assert_eq!(one, "django-5.2.x_django-q2-1.9.0");
        assert_eq!(one, other);
    }

    #[test]
    fn a_frozen_lock_that_is_missing_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let locks = Locks::new(folder.path(), true);
        let error = locks
            .get("x", &["x==1".to_owned()], Resolution::Universal, &|| panic!("uv is not needed"))
            .expect_err("it is missing");
        assert!(error.hint.expect("a hint").contains("without `--frozen`"));
    }

    #[test]
    fn a_lock_made_for_other_requirements_is_not_used() {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::create_dir(folder.path().join("locks")).expect("a folder");
        fs::write(folder.path().join("locks/x.txt"), whole(&["x==1".to_owned()])).expect("a lock");
        let locks = Locks::new(folder.path(), true);
        let uv: &dyn Fn() -> Result<Uv> = &|| panic!("uv is not needed");
        assert!(locks.get("x", &["x==1".to_owned()], Resolution::Universal, uv).is_ok());
        assert!(locks.get("x", &["x==2".to_owned()], Resolution::Universal, uv).is_err());
    }

    #[test]
    fn locks_of_releases_are_read_from_the_cases_and_kept_in_the_cache() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let cache = Cache::at(&folder.path().join("cache")).expect("a cache");
        let (one, two) = (vec!["x==1".to_owned()], vec!["x==2".to_owned()]);
        let write = |path: &Path, requirements: &[String]| {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, whole(requirements)).expect("a lock");
        };
        let (committed, kept) = (folder.path().join("locks/x-1.txt"), "releases/locks/x-2_python-3.12.txt");
        write(&committed, &one);
        write(&cache.path(kept), &two);
        let locks = Locks::of_releases(folder.path(), &cache);
        let uv: &dyn Fn() -> Result<Uv> = &|| Err(Error::cannot_run("uv is not here"));
        let get = |name: &str, requirements: &[String], python| {
            locks.get(name, requirements, locks.resolution(Some(python)), uv).map(|lock| lock.path)
        };
        assert_eq!(get("x-1", &one, "3.12").expect("it is committed"), committed);
        assert_eq!(get("x-2", &two, "3.12").expect("it was made before"), cache.path(kept));
        assert!(get("x-2", &two, "3.11").is_err(), "it was made for another Python");
    }
}
