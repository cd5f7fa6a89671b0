//! A state's source text: the base's files with `take`, `patch` and `edits` put on, in memory.

mod recorders;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::case::{Edit, Take};
use crate::input::limit::SOURCE;
use crate::input::path::InnerPath;
use crate::input::{inside, patch};
use crate::project::Kept;

/// Why a change cannot be made. Not a user's typing error but a finding about this fix on this
/// base: it makes a run INCONCLUSIVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The files of a state. Files are named from a folder of `sys.path`: `django_q/status.py`.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Folders of `sys.path`, first one first: the app's, then `site-packages`.
    roots: Vec<PathBuf>,
    /// The tree of a project, which is copied as a whole where anything in it is changed. Its folders are the first roots.
    tree: Option<Kept>,
    /// A package of the case's own, and the folder that it is in, of which nothing else belongs to the state.
    own: Option<(String, PathBuf)>,
    /// What differs from the folders; `None`: the file is taken away.
    changed: BTreeMap<String, Option<String>>,
}

impl Sources {
    /// The unchanged files below these folders.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, tree: None, own: None, changed: BTreeMap::new() }
    }

    /// The unchanged files of a project, and those below other folders.
    pub fn of_project(tree: Kept, roots: Vec<PathBuf>) -> Self {
        Self { tree: Some(tree), ..Self::new(roots) }
    }

    /// The tree of the project.
    pub fn tree(&self) -> Option<&Kept> {
        self.tree.as_ref()
    }

    /// The path of a file in the project's tree, below its top, if it belongs there.
    pub fn in_tree(&self, file: &str) -> Option<String> {
        let top = &self.tree.as_ref()?.top;
        // What is not there yet is made in the project.
        let root = self.root_of(package_of(file)).or_else(|| self.roots.first().map(PathBuf::as_path))?;
        let path = root.join(file);
        Some(path.strip_prefix(top).ok()?.to_str()?.to_owned())
    }

    /// Adds a package of the case's own.
    pub fn own(&mut self, package: &str, root: &Path) {
        self.own = Some((package.to_owned(), root.to_owned()));
    }

    /// The packages that are copied though nothing in them is changed: nobody writes into the folder of a case.
    pub fn copied(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(|(package, _)| package.as_str())
    }

    /// What differs from the base: file -> new text, or `None` where it is taken away.
    pub fn changed(&self) -> &BTreeMap<String, Option<String>> {
        &self.changed
    }

    /// The folder that holds the package of this file in the base, i.e. its parent on `sys.path`.
    pub fn root_of(&self, package: &str) -> Option<&Path> {
        if let Some((own, root)) = &self.own
            && own == package
        {
            return Some(root);
        }
        self.roots.iter().map(PathBuf::as_path).find(|root| root.join(package).exists())
    }

    /// The text of a file in this state.
    pub fn read(&self, file: &str) -> Result<String, Refusal> {
        match self.changed.get(file) {
            Some(Some(text)) => Ok(text.clone()),
            Some(None) => Err(Refusal(format!("{file} is taken away by the fix"))),
            None => {
                let root = self
                    .root_of(package_of(file))
                    .ok_or_else(|| Refusal(format!("no package {} in this environment", package_of(file))))?;
                let path = inner(file)?;
                inside::read_text_in(root, &path, SOURCE).map_err(|error| Refusal(format!("{file}: {error}")))
            }
        }
    }

    /// Puts files of an unpacked wheel in place of the base's.
    pub fn files_from(&mut self, take: &Take, wheel: &Path) -> Result<(), Refusal> {
        for file in &take.files {
            let text = inside::read_text_in(wheel, &inner(file)?, SOURCE)
                .map_err(|error| Refusal(format!("take: {file} of {} {}: {error}", take.package, take.version)))?;
            if self.read(file).is_ok_and(|base| base == text) {
                return Err(Refusal(format!(
                    "take: {file} of {} {} is the same as the base's",
                    take.package, take.version
                )));
            }
            self.changed.insert(file.clone(), Some(text));
        }
        Ok(())
    }

    /// Applies a unified diff, without fuzz: every line of context must be there.
    pub fn patch(&mut self, diff: &str) -> Result<(), Refusal> {
        self.patch_in(diff, Direction::Forward)
    }

    /// Takes a unified diff back, without fuzz.
    pub fn unpatch(&mut self, diff: &str) -> Result<(), Refusal> {
        self.patch_in(diff, Direction::Back)
    }

    fn patch_in(&mut self, diff: &str, direction: Direction) -> Result<(), Refusal> {
        for (change, part) in patch::parts(diff).map_err(|wrong| Refusal(wrong.message))? {
            let patch =
                part.patch().as_text().ok_or_else(|| Refusal("patch: binary files cannot be patched".into()))?;
            let (mut from, mut to) = (change.from(), change.to());
            let reversed;
            let patch = match direction {
                Direction::Forward => patch,
                Direction::Back => {
                    std::mem::swap(&mut from, &mut to);
                    reversed = patch.reverse();
                    &reversed
                }
            };
            let before = from
                .map_or(Ok(String::new()), |path| self.read(path.as_str()))
                .map_err(|refusal| Refusal(format!("patch: {refusal}")))?;
            let name = to.or(from).map_or("", InnerPath::as_str);
            let after = diffy::apply(&before, patch)
                .map_err(|error| Refusal(format!("patch does not apply to {name}: {error}")))?;
            if let Some(from) = from {
                self.changed.insert(from.to_string(), None);
            }
            if let Some(to) = to {
                self.changed.insert(to.to_string(), Some(after));
            }
        }
        Ok(())
    }

    /// Replaces the reverted span of an edit, which must be there once, with the applied one.
    pub fn apply(&mut self, name: &str, edit: &Edit) -> Result<(), Refusal> {
        self.replace(name, &edit.file, &edit.reverted, &edit.applied)
    }

    /// Replaces the applied span of an edit, which must be there once, with the reverted one.
    pub fn take_back(&mut self, name: &str, edit: &Edit) -> Result<(), Refusal> {
        self.replace(name, &edit.file, &edit.applied, &edit.reverted)
    }

    /// Whether an edit is in place already. Of two texts of which one holds the other, the longer one decides.
    pub fn has(&self, name: &str, edit: &Edit) -> Result<bool, Refusal> {
        let text = self.read(&edit.file).map_err(|refusal| Refusal(format!("edit `{name}`: {refusal}")))?;
        let (applied, reverted) = (count(&text, &edit.applied), count(&text, &edit.reverted));
        if edit.applied.contains(&edit.reverted) {
            Ok(applied > 0)
        } else if edit.reverted.contains(&edit.applied) {
            Ok(reverted == 0)
        } else if applied > 0 && reverted > 0 {
            Err(Refusal(format!("edit `{name}`: {} has both of its texts: which one is the fix's?", edit.file)))
        } else {
            Ok(applied > 0)
        }
    }

    /// Checks that each edit names one span of this state, and that no two of them overlap: else
    /// taking one back would change another. `span` picks the text that stands in this state.
    pub fn are_apart<'e>(
        &self,
        edits: impl IntoIterator<Item = (&'e String, &'e Edit)>,
        span: impl Fn(&'e Edit) -> &'e str,
    ) -> Result<(), Refusal> {
        let mut taken: Vec<(&str, &str, usize, usize)> = Vec::new();
        for (name, edit) in edits {
            let text = self.once(name, &edit.file, span(edit))?;
            let begin = text.find(span(edit)).unwrap_or_default();
            let end = begin + span(edit).len();
            let other = taken.iter().find(|(_, file, from, to)| *file == edit.file && begin < *to && *from < end);
            if let Some((other, ..)) = other {
                return Err(Refusal(format!("the edits `{other}` and `{name}` overlap in {}", edit.file)));
            }
            taken.push((name, &edit.file, begin, end));
        }
        Ok(())
    }

    /// The texts of this base that differ from the other state's, with the other's: file, ours,
    /// theirs. A file that one side does not have is an empty text there.
    pub fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let text = |sources: &Self, file: &str| sources.read(file).unwrap_or_default();
        let files = other.changed.keys();
        let pairs = files.map(|file| (file.clone(), text(self, file), text(other, file)));
        pairs.filter(|(_, ours, theirs)| ours != theirs).collect()
    }

    fn replace(&mut self, name: &str, file: &str, from: &str, to: &str) -> Result<(), Refusal> {
        let text = self.once(name, file, from)?;
        self.changed.insert(file.to_owned(), Some(text.replacen(from, to, 1)));
        Ok(())
    }

    /// The file's text, if `span` stands in it exactly once.
    fn once(&self, name: &str, file: &str, span: &str) -> Result<String, Refusal> {
        let text = self.read(file).map_err(|refusal| Refusal(format!("edit `{name}`: {refusal}")))?;
        match count(&text, span) {
            1 => Ok(text),
            0 => Err(Refusal(format!("edit `{name}` does not match in {file}: {}", first_line(span)))),
            n => Err(Refusal(format!(
                "edit `{name}` matches {n} times in {file}, it must match once: {}",
                first_line(span)
            ))),
        }
    }
}

/// Which way a diff is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}

/// A file of a state, which is below a folder of `sys.path`.
fn inner(file: &str) -> Result<InnerPath, Refusal> {
    InnerPath::parse(file, "a folder of sys.path").map_err(|wrong| Refusal(wrong.message))
}

/// The top-level package (or module) that a file belongs to.
pub fn package_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

/// Occurrences, overlapping ones included: two that overlap are two places an edit could mean.
fn count(text: &str, span: &str) -> usize {
    if span.is_empty() {
        return 0;
    }
    text.char_indices().filter(|&(at, _)| text[at..].starts_with(span)).count()
}

fn first_line(span: &str) -> String {
    let mut lines = span.lines();
    let first = lines.next().unwrap_or_default().trim();
    if lines.next().is_some() { format!("`{first} ...`") } else { format!("`{first}`") }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn sources(text: &str) -> (tempfile::TempDir, Sources) {
        let root = tempfile::tempdir().expect("a temp folder");
        fs::create_dir(root.path().join("app")).expect("a folder");
        fs::write(root.path().join("app/views.py"), text).expect("a file");
        let sources = Sources::new(vec![root.path().to_owned()]);
        (root, sources)
    }

    fn edit(applied: &str, reverted: &str) -> Edit {
        let (applied, reverted) = (applied.into(), reverted.into());
        Edit { file: "app/views.py".into(), applied, reverted, unpinned: None, breaks: None }
    }

    #[test]
    fn an_edit_that_matches_once_is_applied_and_taken_back() {
        let (_root, mut sources) = sources("a = 1\nb = 1\n");
        let edit = edit("a = 2", "a = 1");
        sources.apply("two", &edit).expect("it matches");
        assert_eq!(sources.read("app/views.py").expect("it is there"), "a = 2\nb = 1\n");
        sources.take_back("two", &edit).expect("it matches");
        assert_eq!(sources.read("app/views.py").expect("it is there"), "a = 1\nb = 1\n");
    }

    #[test]
    fn an_edit_that_matches_twice_is_refused_with_the_count() {
        let (_root, mut sources) = sources("a = 1\na = 1\n");
        let Refusal(reason) = sources.apply("two", &edit("a = 2", "a = 1")).expect_err("it is ambiguous");
        assert_eq!(reason, "edit `two` matches 2 times in app/views.py, it must match once: `a = 1`");
    }

    #[test]
    fn edits_that_overlap_are_refused_by_name() {
        let (_root, sources) = sources("a = b = 1\n");
        let edits = indexmap::IndexMap::from([
            ("left".to_owned(), edit("a = b", "a")),
            ("right".to_owned(), edit("b = 1", "1")),
        ]);
        let Refusal(reason) = sources.are_apart(&edits, |edit| &edit.applied).expect_err("they share `b`");
        assert_eq!(reason, "the edits `left` and `right` overlap in app/views.py");
        let edits = indexmap::IndexMap::from([("a".to_owned(), edit("a = ", "")), ("b".to_owned(), edit("b = ", ""))]);
        assert!(sources.are_apart(&edits, |edit| &edit.applied).is_ok());
    }

    #[rstest]
    #[case::applied("a = 2\n", "a = 2", "a = 1", Ok(true))]
    #[case::reverted("a = 1\n", "a = 2", "a = 1", Ok(false))]
    #[case::longer_is_applied("q.all().only(1)\n", "q.all().only(1)", "q.all()", Ok(true))]
    #[case::longer_is_not("q.all()\n", "q.all().only(1)", "q.all()", Ok(false))]
    #[case::shorter_is_applied("q.all()\n", "q.all()", "q.all().only(1)", Ok(true))]
    #[case::shorter_is_not("q.all().only(1)\n", "q.all()", "q.all().only(1)", Ok(false))]
    #[case::both("a = 1\na = 2\n", "a = 2", "a = 1", Err(()))]
    fn an_edit_is_in_place_where_its_applied_text_stands(
        #[case] text: &str,
        #[case] applied: &str,
        #[case] reverted: &str,
        #[case] expected: Result<bool, ()>,
    ) {
        let (_root, sources) = sources(text);
        assert_eq!(sources.has("e", &edit(applied, reverted)).map_err(drop), expected);
    }

    #[test]
    fn a_patch_that_is_taken_back_leaves_what_was_there() {
        let (_root, mut sources) = sources("a = 1\nb = 1\n");
        let diff = "--- a/app/views.py\n+++ b/app/views.py\n@@ -1,2 +1,2 @@\n-a = 1\n+a = 2\n b = 1\n";
        assert!(sources.clone().unpatch(diff).is_err());
        sources.patch(diff).expect("it applies");
        sources.unpatch(diff).expect("it is taken back");
        assert_eq!(sources.read("app/views.py").expect("it is there"), "a = 1\nb = 1\n");
    }

    #[test]
    fn overlapping_matches_are_ambiguous_too() {
        assert_eq!(count("aaa", "aa"), 2);
    }

    #[test]
    fn a_patch_applies_with_and_without_git_prefixes() {
        for (a, b) in [("a/app/views.py", "b/app/views.py"), ("app/views.py", "app/views.py")] {
            let (_root, mut sources) = sources("a = 1\nb = 1\n");
            sources.patch(&format!("--- {a}\n+++ {b}\n@@ -1,2 +1,2 @@\n-a = 1\n+a = 2\n b = 1\n")).expect("it applies");
            assert_eq!(sources.read("app/views.py").expect("it is there"), "a = 2\nb = 1\n");
        }
    }

    #[test]
    fn a_patch_whose_context_is_not_there_is_refused() {
        let (_root, mut sources) = sources("a = 1\nc = 1\n");
        let Refusal(reason) = sources
            .patch("--- a/app/views.py\n+++ b/app/views.py\n@@ -1,2 +1,2 @@\n-a = 1\n+a = 2\n b = 1\n")
            .expect_err("the context is not there");
        assert!(reason.starts_with("patch does not apply to app/views.py"), "{reason}");
    }

    #[test]
    fn text_without_a_file_header_is_not_a_patch() {
        let (_root, mut sources) = sources("a = 1\n");
        assert!(sources.patch("this is no diff\n").is_err());
    }

    proptest! {
        #[test]
        fn a_diff_of_two_texts_turns_one_into_the_other(before in "([ab]{0,2}\n){0,12}", after in "([ab]{0,2}\n){0,12}") {
            prop_assume!(before != after && !before.is_empty() && !after.is_empty());
            let (_root, mut sources) = sources(&before);
            let diff = diffy::DiffOptions::default().set_original_filename("a/app/views.py").set_modified_filename("b/app/views.py").create_patch(&before, &after).to_string();
            sources.patch(&diff).expect("its own diff applies");
            prop_assert_eq!(sources.read("app/views.py").expect("it is there"), after);
        }

        #[test]
        fn patching_never_panics(diff in "(--- a/app/views.py\n|\\+\\+\\+ b/app/views.py\n|@@ -1,2 \\+1,2 @@\n|[-+ ]a = 1\n|.{0,9}\n){0,9}") {
            let (_root, mut sources) = sources("a = 1\nb = 1\n");
            let _ = sources.patch(&diff);
        }

        #[test]
        fn taking_an_edit_back_restores_the_text(head in "[a-c\n]{0,20}", span in "[x-z]{1,5}", new in "[u-w]{1,5}", tail in "[a-c\n]{0,20}") {
            let before = format!("{head}{span}{tail}");
            let (_root, mut sources) = sources(&before);
            let edit = edit(&new, &span);
            sources.apply("e", &edit).expect("it matches once");
            sources.take_back("e", &edit).expect("it matches once");
            prop_assert_eq!(sources.read("app/views.py").expect("it is there"), before);
        }
    }
}
