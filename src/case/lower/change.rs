//! Changes over the base.

use std::path::Path;

use indexmap::IndexMap;

use super::Lower;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::{ControlFile, EditFile, FixFile, ServicesFile, TakeFile, Verbatim};
use crate::case::limit::PATCH;
use crate::case::model::{Control, Delta, Edit, PostgresService, RedisService, Services, Take};
use crate::case::node::Place;
use crate::case::path::InnerPath;
use crate::case::requirement::{PackageName, Release};
use crate::case::{inside, patch};

/// Scalars as their characters.
pub fn texts(values: IndexMap<String, Verbatim>) -> IndexMap<String, String> {
    values.into_iter().map(|(name, text)| (name, text.0)).collect()
}

/// What is said of the servers.
pub fn services(file: ServicesFile) -> Services {
    let ServicesFile { postgres, redis } = file;
    Services {
        postgres: PostgresService { image: postgres.image, settings: texts(postgres.settings) },
        redis: RedisService { image: redis.image, maxmemory: redis.maxmemory, policy: redis.policy },
    }
}

impl Lower<'_> {
    /// Distributions with their versions.
    pub(super) fn packages(
        &mut self,
        packages: IndexMap<String, Verbatim>,
        place: Place<'_>,
    ) -> IndexMap<String, String> {
        let mut read = IndexMap::new();
        for (name, version) in packages {
            let place = place.get(&name);
            let package = PackageName::parse(&name).map_err(|wrong| wrong.at(place.key_span()));
            let release = Release::parse(&version.0).map_err(|wrong| wrong.at(place.span()));
            match (package, release) {
                (Ok(package), Ok(_)) if read.contains_key(package.as_str()) => {
                    let message = format!("`{name}` is the package `{package}`, which is there already");
                    self.error(Diagnostic::new(message).at(place.key_span()));
                }
                (Ok(package), Ok(release)) => {
                    read.insert(package.as_str().to_owned(), release.as_str().to_owned());
                }
                (package, release) => self.errors.extend(package.err().into_iter().chain(release.err())),
            }
        }
        read
    }

    /// What a fix changes.
    pub(super) fn delta(&mut self, fix: FixFile, place: Place<'_>) -> Delta {
        Delta {
            packages: self.packages(fix.packages, place.get("packages")),
            take: fix.take.and_then(|take| self.take(take, place.get("take"))),
            patch: fix.patch.and_then(|patch| self.patch(patch, place.get("patch"))),
            edits: self.edits(fix.edits, place.get("edits")),
            settings: fix.settings,
            env: texts(fix.env),
            vars: fix.vars,
            services: services(fix.services),
        }
    }

    /// A change, and the bounds that then hold.
    pub(super) fn control(&mut self, control: ControlFile, place: Place<'_>) -> Control {
        let ControlFile { packages, take, patch, edits, settings, env, vars, services, bounds } = control;
        let fix = FixFile { packages, take, patch, edits, settings, env, vars, services, verdict: None };
        Control { delta: self.delta(fix, place), bounds }
    }

    pub(super) fn take(&mut self, take: TakeFile, place: Place<'_>) -> Option<Take> {
        if take.files.is_empty() {
            let help = "name the files of the wheel: `files: [package/module.py]`";
            self.error(Diagnostic::new("`take` without files").at(place.key_span()).help(help));
            return None;
        }
        let mut releases = take.release.into_iter();
        match (releases.next(), releases.next()) {
            (Some((name, version)), None) => {
                let at = place.get(&name);
                let package = PackageName::parse(&name).map_err(|wrong| wrong.at(at.key_span()));
                let release = Release::parse(&version.0).and_then(|release| release.single("`take` needs one"));
                let release = release.map_err(|wrong| wrong.at(at.span()));
                let mut files = Vec::with_capacity(take.files.len());
                for (index, file) in take.files.iter().enumerate() {
                    files.extend(self.path_in(file, "the top of the wheel", place.get("files").item(index)));
                }
                match (package, release) {
                    (Ok(package), Ok(release)) => {
                        Some(Take { package: package.as_str().to_owned(), version: release.as_str().to_owned(), files })
                    }
                    (package, release) => {
                        self.errors.extend(package.err().into_iter().chain(release.err()));
                        None
                    }
                }
            }
            (None, _) => {
                let help = "name a package and its version: `{django-q2: 1.10.0, files: [...]}`";
                self.error(Diagnostic::new("`take` without a package").at(place.key_span()).help(help));
                None
            }
            (Some(_), Some((second, _))) => {
                let message = format!("`take` takes from one package: `{second}` is a second one");
                self.error(Diagnostic::new(message).at(place.get(&second).key_span()));
                None
            }
        }
    }

    /// A diff, or the file that holds it.
    pub(super) fn patch(&mut self, patch: String, place: Place<'_>) -> Option<String> {
        let ending = Path::new(patch.trim()).extension().and_then(|ending| ending.to_str());
        let is_path = !patch.trim().contains('\n') && matches!(ending, Some("diff" | "patch"));
        let diff = if is_path {
            let path =
                InnerPath::parse(patch.trim(), "the folder of the case file").map_err(|wrong| wrong.at(place.span()));
            let path = path.map_err(|wrong| self.error(wrong)).ok()?;
            let folder = self.folder();
            let text = inside::read_text_in(folder, &path, PATCH).map_err(|error| {
                let message = format!("cannot read the patch {}: {error}", folder.join(&path).display());
                let help = "the path is relative to the folder of the case file, and inside it";
                self.error(Diagnostic::new(message).at(place.span()).help(help));
            });
            text.ok()?
        } else {
            patch
        };
        match patch::parts(&diff) {
            Ok(_) => Some(diff),
            Err(wrong) => {
                self.error(wrong.at(place.span()));
                None
            }
        }
    }

    /// A path inside a folder, in plain form.
    pub(super) fn path_in(&mut self, path: &str, folder: &str, place: Place<'_>) -> Option<String> {
        let path = InnerPath::parse(path, folder).map_err(|wrong| self.error(wrong.at(place.span())));
        path.ok().map(|path| path.as_str().to_owned())
    }

    pub(super) fn edits(&mut self, edits: IndexMap<String, EditFile>, place: Place<'_>) -> IndexMap<String, Edit> {
        for (name, edit) in &edits {
            let place = place.get(name);
            if edit.applied == edit.reverted {
                let message = format!("the edit `{name}` changes nothing: its applied and reverted text are the same");
                self.error(Diagnostic::new(message).at(place.get("reverted").span()));
            } else if edit.applied.is_empty() {
                let help = "take in a line around it, so that the place can be found";
                let message = format!("the edit `{name}` has no applied text");
                self.error(Diagnostic::new(message).at(place.get("applied").span()).help(help));
            }
            if edit.unpinned.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
                let help = "say why no invariant needs the edit";
                self.error(
                    Diagnostic::new("`unpinned` without a reason").at(place.get("unpinned").key_span()).help(help),
                );
            }
        }
        let mut read = IndexMap::new();
        for (name, EditFile { file, applied, reverted, unpinned }) in edits {
            let at = place.get(&name).get("in");
            let Some(file) = self.path_in(&file, "a folder of sys.path", at) else { continue };
            read.insert(name, Edit { file, applied, reverted, unpinned });
        }
        read
    }
}
