//! Which releases of a package there are.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::interpreter;
use crate::cache::Cache;
use crate::error::{Context as _, Error, Result};
use crate::input::requirement::PackageName;
use crate::service::installer;

/// Asks the index; neither uv nor pip can tell which releases are yanked.
const SCRIPT: &str = include_str!("releases.py");

/// The releases of a package that are not yanked, in no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Releases {
    /// Their versions.
    pub versions: Vec<String>,
    /// Why the index could not be asked, where these are the releases of the last time that it could.
    pub stale: Option<String>,
}

/// Asks the index for the releases of a package. What it says is kept in the cache, for when it does not answer.
pub fn releases(cache: &Cache, package: &str) -> Result<Releases> {
    let package = PackageName::parse(package)?;
    let package = package.as_str();
    let kept = cache.path(format!("releases/{package}.txt"));
    let stale = match ask(package) {
        Ok(text) => {
            // Without it, the next run without an index says what is missing.
            let _ = fs::create_dir_all(cache.path("releases")).and_then(|()| fs::write(&kept, &text));
            return Ok(Releases { versions: unyanked(&text), stale: None });
        }
        Err(error) => error,
    };
    match fs::read_to_string(&kept) {
        Ok(text) => Ok(Releases { versions: unyanked(&text), stale: Some(stale.message) }),
        Err(_) => Err(stale.hint(
            "without an index, name the releases: `--releases 1.9.0,1.10.0`; another index than PyPI is taken from \
             $UV_DEFAULT_INDEX",
        )),
    }
}

fn ask(package: &str) -> Result<String> {
    let doing = || format!("ask the package index for the releases of {package}");
    let mut command = Command::new(interpreter::any()?);
    command.args(["-I", "-c", SCRIPT, package]);
    let output = installer::output(&mut command, &[]).cannot_run(doing)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::cannot_run(format!("{}: {}", doing(), said.lines().last().unwrap_or("it said nothing"))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A release is yanked when all of its files are.
fn unyanked(text: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, bool> = BTreeMap::new();
    for line in text.lines() {
        let (version, yanked) = line.split_once(' ').unwrap_or((line, ""));
        *versions.entry(version).or_insert(true) &= yanked == "yanked";
    }
    versions.into_iter().filter(|(_, is_yanked)| !is_yanked).map(|(version, _)| version.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_yanked_when_all_of_its_files_are() {
        let text = "1.0 \n1.0 yanked\n1.1 yanked\n1.1 yanked\n1.2 \n";
        assert_eq!(unyanked(text), ["1.0", "1.2"]);
    }

    #[test]
    fn what_is_no_name_of_a_package_is_not_asked_for() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let cache = Cache::at(folder.path()).expect("a cache");
        assert!(releases(&cache, "../etc/passwd").is_err());
        assert!(releases(&cache, "").is_err());
    }
}
