//! Changes over the base.

use std::path::Path;

use indexmap::IndexMap;

use super::Lower;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::{ControlFile, EditFile, FixFile, ServicesFile, TakeFile, Verbatim};
use crate::case::model::{Control, Delta, Edit, PostgresService, RedisService, Services, Take};
use crate::case::node::Place;

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
        for (name, version) in &packages {
            if !version.0.starts_with(|c: char| c.is_ascii_digit()) {
                let message = format!("`{}` is not a version", version.0);
                let help = "write the release alone, such as `1.9.0` or `5.2.*`";
                self.error(Diagnostic::new(message).at(place.get(name).span()).help(help));
            }
        }
        texts(packages)
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
            (Some((package, version)), None) => Some(Take { package, version: version.0, files: take.files }),
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
        if !is_path {
            return Some(patch);
        }
        let file = self.path.parent().unwrap_or(Path::new(".")).join(patch.trim());
        match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) => {
                let message = format!("cannot read the patch {}: {error}", file.display());
                self.error(Diagnostic::new(message).at(place.span()).help("the path is relative to the case file"));
                None
            }
        }
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
        edits
            .into_iter()
            .map(|(name, EditFile { file, applied, reverted, unpinned })| {
                (name, Edit { file, applied, reverted, unpinned })
            })
            .collect()
    }
}
