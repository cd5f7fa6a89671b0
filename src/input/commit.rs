//! Commits of a project, as a case or the command line names them.

use crate::error::Error;

/// A branch, a tag or a commit of the project, or `.`, its work tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Commit(String);

impl Commit {
    /// As git is told.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what git can be told: no option, and nothing that is more than one name.
    ///
    /// # Errors
    ///
    /// Usage if it is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let is_name = |next: char| !next.is_whitespace() && !next.is_control() && !"*?[\\".contains(next);
        if text.is_empty() || text.starts_with('-') || text.contains("..") || !text.chars().all(is_name) {
            let message = format!("`{}` is no commit", text.escape_debug());
            return Err(Error::usage(message).hint("name a branch, a tag or a commit, or `.`: the work tree"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The work tree.
impl Default for Commit {
    fn default() -> Self {
        Self(".".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(".", true)]
    #[case("v1.1.7", true)]
    #[case("origin/main~2", true)]
    #[case("HEAD^", true)]
    #[case("", false)]
    #[case("--upload-pack=x", false)]
    #[case("main..head", false)]
    #[case("a b", false)]
    fn a_commit_is_one_name_and_no_option(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(Commit::parse(text).is_ok(), is_one);
    }
}
