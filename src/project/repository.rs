//! What git knows of a project. Only git's plumbing is asked: no hook, no filter and no file-system monitor of a repository
//! runs, whoever owns it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context as _, Error, Result};
use crate::service::installer;

/// What a repository may not decide: what is run, and whether it is trusted. It is only read.
const OPTIONS: [&str; 8] = [
    "-c",
    "safe.directory=*",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
];

/// What a hook of git's own would have told us of another repository.
const OF_ANOTHER: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
];

/// A work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its top.
    pub top: PathBuf,
}

/// A file as git lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is.
    pub kind: Kind,
    /// The id of its content.
    pub id: String,
    /// Its path below the top.
    pub path: String,
}

/// What git keeps under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A file that can be executed.
    Program,
    /// A symbolic link; its content is where it leads.
    Link,
    /// Another repository, of which there is only the commit's id.
    Submodule,
}

impl Kind {
    fn of(mode: &str) -> Option<Self> {
        match mode {
            "100644" | "100664" => Some(Self::File),
            "100755" => Some(Self::Program),
            "120000" => Some(Self::Link),
            "160000" => Some(Self::Submodule),
            _ => None,
        }
    }
}

impl Repository {
    /// The repository that a folder is in, if it is in one.
    ///
    /// # Errors
    ///
    /// Cannot run without git.
    pub fn of(folder: &Path) -> Result<Option<Self>> {
        let mut command = git(folder, ["rev-parse", "--show-toplevel"]);
        let output = installer::answer(&mut command)
            .cannot_run(|| "run git".to_owned())
            .map_err(|error| error.hint("a project is read with git: install it, e.g. `apt-get install git`"))?;
        if !output.status.success() {
            return Ok(None);
        }
        let top = String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
        Ok((!top.is_empty()).then(|| Self { top: PathBuf::from(top) }))
    }

    /// The id of a commit's tree.
    ///
    /// # Errors
    ///
    /// Usage if there is no such commit here.
    pub fn tree_id(&self, reference: &str) -> Result<String> {
        let wanted = format!("{reference}^{{tree}}");
        let mut command = git(&self.top, ["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]);
        let output = installer::answer(&mut command).cannot_run(|| "run git".to_owned())?;
        let id = text(&output.stdout).lines().last().unwrap_or_default().trim().to_owned();
        if output.status.success() && !id.is_empty() {
            return Ok(id);
        }
        Err(Error::usage(format!("there is no commit `{reference}` in {}", self.top.display())).hint(
            "name a branch, a tag or a commit that is here: `git fetch` brings others, and `--unshallow` older ones",
        ))
    }

    /// All files of a tree.
    ///
    /// # Errors
    ///
    /// Cannot run if git cannot.
    pub fn files_at(&self, tree: &str) -> Result<Vec<Listed>> {
        let list = self.must(&["ls-tree", "-r", "-z", "--full-tree", tree], &[])?;
        // MODE SP TYPE SP ID TAB PATH NUL
        Ok(records(&list, 2))
    }

    /// All files of the work tree that git tracks. Those it ignores, or does not know, are not among them.
    ///
    /// # Errors
    ///
    /// Cannot run if git cannot, or a merge is under way.
    pub fn tracked(&self) -> Result<Vec<Listed>> {
        let list = self.must(&["ls-files", "-z", "--cached", "--stage", "--full-name", ":/"], &[])?;
        // MODE SP ID SP STAGE TAB PATH NUL
        let mut files = records(&list, 1);
        // In a merge with conflicts a path is there up to three times: the file itself is what counts.
        files.dedup_by(|one, other| one.path == other.path);
        Ok(files)
    }

    /// Files that git neither tracks nor ignores.
    ///
    /// # Errors
    ///
    /// Cannot run if git cannot.
    pub fn untracked(&self) -> Result<Vec<String>> {
        let list = self.must(&["ls-files", "-z", "--others", "--exclude-standard", "--full-name", ":/"], &[])?;
        Ok(list.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(text).collect())
    }

    /// The contents of these ids, in their order.
    ///
    /// # Errors
    ///
    /// Cannot run if one of them is not here, as in a partial clone.
    pub fn contents<'i>(&self, ids: impl IntoIterator<Item = &'i str>) -> Result<Vec<Vec<u8>>> {
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut input = ids.join("\n").into_bytes();
        input.push(b'\n');
        let output = self.must(&["cat-file", "--batch"], &input)?;
        let mut rest = output.as_slice();
        let mut contents = Vec::new();
        for id in ids {
            // ID SP TYPE SP SIZE LF CONTENT LF
            let missing = || {
                Error::cannot_run(format!("the object {id} is not in {}", self.top.display()))
                    .hint("is it a partial clone? `git fetch --refetch` brings all of it")
            };
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(missing)?;
            let head = text(&rest[..end]);
            let size: usize = head.split(' ').nth(2).and_then(|size| size.parse().ok()).ok_or_else(missing)?;
            rest = &rest[end + 1..];
            contents.push(rest.get(..size).ok_or_else(missing)?.to_vec());
            rest = rest.get(size + 1..).unwrap_or_default();
        }
        Ok(contents)
    }

    fn must(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let mut command = git(&self.top, arguments);
        let doing = || format!("git {} in {}", arguments[0], self.top.display());
        let output = installer::output(&mut command, input).cannot_run(doing)?;
        if !output.status.success() {
            return Err(Error::cannot_run(format!("{}: {}", doing(), text(&output.stderr).trim())));
        }
        Ok(output.stdout)
    }
}

fn git(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("git");
    for variable in OF_ANOTHER {
        command.env_remove(variable);
    }
    // Nothing is fetched behind our back, and nobody is asked for a password.
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    command.env("LC_ALL", "C").arg("-C").arg(folder).args(OPTIONS).args(arguments);
    command
}

/// The records of a list: mode, id and path; `id` says which word it is. Paths that are not UTF-8 are left out: they cannot
/// be named in a case, nor in a message.
fn records(list: &[u8], id: usize) -> Vec<Listed> {
    let records = list.split(|byte| *byte == 0).filter_map(|record| std::str::from_utf8(record).ok());
    let listed = records.filter_map(|record| {
        let (head, path) = record.split_once('\t')?;
        let words: Vec<&str> = head.split(' ').collect();
        Some(Listed { kind: Kind::of(words.first()?)?, id: (*words.get(id)?).to_owned(), path: path.to_owned() })
    });
    listed.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
