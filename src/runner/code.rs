//! What a state runs: its environment, its sources, and what its processes are told of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dj_regress_protocol::{Prepare, ProjectTree, Texts};
use indexmap::IndexMap;

use crate::actor::{StateCode, worker};
use crate::cache::Cache;
use crate::case::{self, Case, Change, Edit};
use crate::error::{Error, Result};
use crate::input::commit::Commit;
use crate::plan::State;
use crate::project::{Project, Requirements, Tree, Trees};
use crate::python::{Environment, Environments, Overlay, Refusal, Sources};

/// The package that most cases are about, and the app that drives it: always watched, where they are.
const WATCHED: [&str; 2] = ["django_q", "shop"];

/// What serves the pages of a project comes with the harness.
const WEB_SERVER: &str = "waitress";

/// Where a project's settings look for the database, if they do: they are put in their place anyway.
const DATABASE_URL: (&str, &str) = ("DATABASE_URL", "postgres://arm@localhost/arm");

/// The commits of a project that the command line names, in place of what cases say.
#[derive(Debug, Clone, Default)]
pub struct Commits {
    /// Without the fix.
    pub base: Option<Commit>,
    /// With it.
    pub head: Option<Commit>,
}

/// Puts together what states run.
pub struct CodeSource {
    cache: Cache,
    environments: Arc<Environments>,
    shop: PathBuf,
    project: Option<Trees>,
    commits: Commits,
}

/// Files of the shop that record for the harness.
const RECORDERS: &[&str] = &["shop/effects.py", "shop/moments.py"];

impl CodeSource {
    /// Of these environments, and of the user's project where there is one.
    pub fn new(
        cache: Cache,
        environments: Arc<Environments>,
        project: Option<Project>,
        commits: Commits,
    ) -> Result<Self> {
        let shop = worker::shop(&cache)?;
        let project = project.map(|project| Trees::new(project, cache.clone())).transpose()?;
        Ok(Self { cache, environments, shop, project, commits })
    }

    /// What the project's own people have and its arms have not, of the trees that were read so far, in words.
    pub fn notes(&self) -> Vec<String> {
        self.project.as_ref().map(Trees::notes).unwrap_or_default()
    }

    /// The environment of a state. Blocks on the file system, and on the network where something is not cached.
    pub fn environment(&self, case: &Case, resolved: &case::State, state: &State) -> Result<Environment> {
        match self.trees(case)? {
            None => self.environments.get(&resolved.packages, case.python.as_deref()),
            Some(trees) => {
                let tree = trees.at(self.commit(case, resolved, state).as_str())?;
                self.environment_of(case, resolved, trees, &tree)
            }
        }
    }

    /// The code of a state: environment, overlay, settings. Blocks as [`CodeSource::environment`] does.
    pub fn code(&self, case: &Case, resolved: &case::State, state: &State) -> Result<StateCode, Refused> {
        match self.trees(case)? {
            None => self.of_shop(case, resolved, state),
            Some(trees) => self.of_project(trees, case, resolved, state),
        }
    }

    /// The trees of the project that a case is about; none, where it is about the shop.
    fn trees(&self, case: &Case) -> Result<Option<&Trees>> {
        let names_commit = case.base_commit.is_some() || case.fixes.values().any(|fix| fix.change.head.is_some());
        match &self.project {
            Some(trees) if case.is_of_project => Ok(Some(trees)),
            _ if names_commit => {
                let message = format!("{} names a commit, and is about no project", case.name);
                Err(Error::usage(message).hint("a case is about the project in whose folder of cases it is"))
            }
            _ => Ok(None),
        }
    }

    fn of_shop(&self, case: &Case, resolved: &case::State, state: &State) -> Result<StateCode, Refused> {
        let environment = self.environments.get(&resolved.packages, case.python.as_deref())?;
        let mut base = Sources::new(vec![self.shop.clone(), environment.site_packages.clone()]);
        let (sources, remainder) = self.changed(&mut base, resolved, state)?;
        sources.leaves_alone(RECORDERS, &self.shop)?;
        let overlay = Overlay::build(&self.cache, &sources, &watched(&sources, resolved))?;
        let folders = overlay.folders.iter().chain([&self.shop]).cloned();
        let prepare = prepare("shop.settings", folders, &overlay, resolved);
        Ok(StateCode { environment, overlay, prepare, remainder, seed: Vec::new(), start: resolved.clock.time() })
    }

    fn of_project(
        &self,
        trees: &Trees,
        case: &Case,
        resolved: &case::State,
        state: &State,
    ) -> Result<StateCode, Refused> {
        let project = &trees.project;
        let tree = trees.at(self.commit(case, resolved, state).as_str())?;
        let environment = self.environment_of(case, resolved, trees, &tree)?;
        let path = tree.python_path(&project.settings)?;
        let roots = path.iter().cloned().chain([tree.kept.top.clone(), environment.site_packages.clone()]);
        let mut base = Sources::of_project(tree.kept.clone(), roots.collect());
        let (sources, remainder) = if self.has_two_trees(case, resolved) && *state != State::Reverted {
            without(base, &resolved.change.edits, state)?
        } else {
            let at_head = with_fix(&mut base, case, resolved)?;
            if at_head {
                without(base, &resolved.change.edits, state)?
            } else {
                self.changed(&mut base, resolved, state)?
            }
        };
        let overlay = Overlay::build(&self.cache, &sources, &watched(&sources, resolved))?;
        let top = overlay.tree.clone().unwrap_or_else(|| tree.kept.top.clone());
        let moved = |folder: &PathBuf| top.join(folder.strip_prefix(&tree.kept.top).unwrap_or(Path::new("")));
        let folders: Vec<PathBuf> = overlay.folders.iter().cloned().chain(path.iter().map(moved)).collect();
        let mut prepare = prepare(&project.settings, folders, &overlay, resolved);
        let (name, value) = DATABASE_URL;
        let usual = [(name.to_owned(), value.to_owned())];
        let said = usual.into_iter().chain(project.env.clone()).chain(prepare.env);
        prepare.env = said.collect();
        let root = top.join(&tree.root).display().to_string();
        prepare.project = Some(ProjectTree { top: top.display().to_string(), root });
        prepare.template = [environment.id.clone()].into_iter().chain(project.seed.iter().cloned()).collect();
        prepare.template.extend(seeds(project, Path::new(&top.join(&tree.root))));
        Ok(StateCode {
            environment,
            overlay,
            prepare,
            remainder,
            seed: project.seed.clone(),
            start: resolved.clock.time(),
        })
    }

    fn environment_of(&self, case: &Case, resolved: &case::State, trees: &Trees, tree: &Tree) -> Result<Environment> {
        let wanted = Requirements::find(&trees.project, &tree.root(), &tree.kept.top)?;
        let mut packages = resolved.packages.clone();
        packages.shift_remove(WEB_SERVER);
        self.environments.of_project(&wanted, &packages, case.python.as_deref())
    }

    /// The commit of the project that a state runs.
    fn commit(&self, case: &Case, resolved: &case::State, state: &State) -> Commit {
        let base = self.commits.base.clone().or_else(|| case.base_commit.clone());
        let head = self.commits.head.clone().or_else(|| resolved.change.head.clone());
        let of_a_fix = || case.fixes.values().find_map(|fix| fix.change.head.clone());
        match state {
            State::Reverted => base.or(head).or_else(of_a_fix),
            _ => head.or(base),
        }
        .unwrap_or_default()
    }

    /// Whether the base is one commit of the project, and the fix another.
    fn has_two_trees(&self, case: &Case, resolved: &case::State) -> bool {
        let base = self.commits.base.as_ref().or(case.base_commit.as_ref());
        base.is_some() && (self.commits.head.is_some() || resolved.change.head.is_some())
    }

    /// A state's sources: what the base changes, then `take`, `patch` and `edits` put on, single edits taken back. Edits name
    /// spans of what `take` and `patch` made; without those they make the change themselves.
    ///
    /// Also what is left of the change when every edit is taken back, as texts of both sides: it
    /// must be the same syntax tree, or the ablation would not be of this fix.
    fn changed(
        &self,
        base: &mut Sources,
        resolved: &case::State,
        state: &State,
    ) -> Result<(Sources, Vec<Texts>), Refused> {
        if let Some(app) = &resolved.app {
            base.own(&app.package, &app.root);
        }
        let own = &resolved.base;
        if let Some(take) = &own.take {
            base.files_from(take, &self.environments.wheel(take)?)?;
        }
        if let Some(patch) = &own.patch {
            base.patch(patch)?;
        }
        base.are_apart(&own.edits, |edit| &edit.reverted)?;
        for (name, edit) in &own.edits {
            base.apply(name, edit)?;
        }
        let mut sources = base.clone();
        let Change { take, patch, edits, .. } = &resolved.change;
        if let Some(take) = take {
            sources.files_from(take, &self.environments.wheel(take)?)?;
        }
        if let Some(patch) = patch {
            sources.patch(patch)?;
        }
        if take.is_none() && patch.is_none() {
            sources.are_apart(edits, |edit| &edit.reverted)?;
            for (name, edit) in edits.iter().filter(|(name, _)| state.has_edit(name)) {
                sources.apply(name, edit)?;
            }
            return Ok((sources, Vec::new()));
        }
        sources.are_apart(edits, |edit| &edit.applied)?;
        let mut all_taken_back = sources.clone();
        for (name, edit) in edits {
            all_taken_back.take_back(name, edit)?;
            if !state.has_edit(name) {
                sources.take_back(name, edit)?;
            }
        }
        let differences = if edits.is_empty() { Vec::new() } else { base.differences(&all_taken_back) };
        let remainder = differences.into_iter().map(|(file, one, other)| Texts { file, one, other }).collect();
        Ok((sources, remainder))
    }
}

/// Takes back what the case's fixes have put into a project's tree already: a case that was written for a bug goes on telling
/// when the fix is committed. Says whether the fix of this state is all in place; then it is left there.
fn with_fix(tree: &mut Sources, case: &Case, resolved: &case::State) -> Result<bool, Refused> {
    let change = &resolved.change;
    let mut is_in_place = change.patch.is_none() && change.take.is_none() && !change.edits.is_empty();
    for (name, edit) in &change.edits {
        is_in_place = is_in_place && tree.has(name, edit)?;
    }
    for fix in case.fixes.values().filter(|fix| !is_in_place || fix.change.edits != change.edits) {
        let Change { patch, take, edits, .. } = &fix.change;
        match patch {
            Some(patch) if tree.clone().patch(patch).is_err() => {
                let mut before = tree.clone();
                if before.unpatch(patch).is_ok() {
                    *tree = before;
                }
            }
            None if take.is_none() => {
                for (name, edit) in edits {
                    // Another fix's edits may be of a file that this tree does not have.
                    if !change.edits.values().any(|own| is_in_place && own == edit)
                        && tree.has(name, edit).unwrap_or(false)
                    {
                        tree.take_back(name, edit)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(is_in_place)
}

/// A tree that has the whole fix, without the edits that the state does not have.
fn without(mut tree: Sources, edits: &IndexMap<String, Edit>, state: &State) -> Result<(Sources, Vec<Texts>), Refused> {
    tree.are_apart(edits, |edit| &edit.applied)?;
    for (name, edit) in edits.iter().filter(|(name, _)| !state.has_edit(name)) {
        tree.take_back(name, edit)?;
    }
    Ok((tree, Vec::new()))
}

/// The packages whose loaded code is checked.
fn watched<'s>(sources: &Sources, resolved: &'s case::State) -> Vec<&'s str> {
    let app = resolved.app.as_ref().map(|app| app.package.as_str());
    let is_there = |package: &&str| sources.root_of(package).is_some() && sources.in_tree(package).is_none();
    WATCHED.into_iter().chain(app).filter(is_there).collect()
}

fn prepare(
    settings_module: &str,
    folders: impl IntoIterator<Item = PathBuf>,
    overlay: &Overlay,
    resolved: &case::State,
) -> Prepare {
    let watched = overlay.expected.keys().filter(|name| *name != dj_regress_protocol::PROJECT);
    Prepare {
        sys_path: folders.into_iter().map(|folder| folder.display().to_string()).collect(),
        settings_module: settings_module.to_owned(),
        settings: resolved.settings.clone().into_iter().collect(),
        env: resolved.env.clone().into_iter().collect(),
        watch: watched.cloned().collect(),
        app: resolved.app.as_ref().map(|app| app.package.clone()),
        ..Prepare::default()
    }
}

/// What is in the files that fill a template.
fn seeds(project: &Project, root: &Path) -> Vec<String> {
    let words = project.seed.iter().flat_map(|seed| seed.split_whitespace());
    let files = words.map(|word| root.join(word.rsplit_once(':').map_or(word, |(file, _)| file)));
    files.filter_map(|file| std::fs::read(file).ok()).map(|bytes| blake3::hash(&bytes).to_hex().to_string()).collect()
}

/// Why a state's code could not be put together.
#[derive(Debug)]
pub enum Refused {
    /// The change cannot be made on this base: a finding about the fix.
    Change(Refusal),
    /// The machine could not do it.
    Machine(Error),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Change(refusal)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Machine(error)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Change(refusal) => refusal.fmt(f),
            Self::Machine(error) => error.fmt(f),
        }
    }
}
