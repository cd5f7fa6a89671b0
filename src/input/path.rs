//! Paths that a case names: each stays inside the folder that it belongs to.

use std::fmt;
use std::path::Path;

use crate::error::Error;

/// A relative path with nothing in it that leads out of its folder, in plain form: `django_q/status.py`. Links are looked
/// at where the file is opened: see `inside`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InnerPath(String);

impl InnerPath {
    /// Reads a path; `folder` says in words what it is relative to.
    ///
    /// # Errors
    ///
    /// Says why it is none; without a place.
    pub fn parse(text: &str, folder: &str) -> Result<Self, Error> {
        let shown = text.escape_debug();
        let wrong = |why: &str| {
            Err(Error::usage(format!("`{shown}` {why}")).hint(format!("a path is relative to {folder}, and inside it")))
        };
        if text.chars().any(char::is_control) {
            return wrong("has a control character in it");
        }
        if text.is_empty() {
            return wrong("is not a path");
        }
        if text.starts_with('/') {
            return wrong("is an absolute path");
        }
        let mut parts = Vec::new();
        for part in text.strip_suffix('/').unwrap_or(text).split('/') {
            match part {
                ".." => return wrong("leads out of its folder"),
                "" => return wrong("has an empty part"),
                // `./poll` is how people write it.
                "." => {}
                part if part.trim() != part => return wrong("has a part that begins or ends with a space"),
                part if part.len() > PART => return wrong("has a part of more than 255 bytes"),
                part => parts.push(part),
            }
        }
        if parts.is_empty() || text.len() > WHOLE {
            return wrong(if parts.is_empty() { "names no file" } else { "is longer than 1024 bytes" });
        }
        Ok(Self(parts.join("/")))
    }

    /// In plain form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

/// What file systems take, of a part
const PART: usize = 255;

/// and, well below their limit, of the whole.
const WHOLE: usize = 1024;

impl fmt::Display for InnerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<Path> for InnerPath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("django_q/status.py", "django_q/status.py")]
    #[case("./poll", "poll")]
    #[case("./poll/", "poll")]
    #[case("a/./b", "a/b")]
    #[case("..a/b..", "..a/b..")]
    #[case("größe/x y.py", "größe/x y.py")]
    fn a_path_inside_is_put_in_plain_form(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(InnerPath::parse(text, "here").map(|path| path.as_str().to_owned()), Ok(expected.to_owned()));
    }

    #[rstest]
    #[case("", "is not a path")]
    #[case(" a", "begins or ends with a space")]
    #[case("a /b", "begins or ends with a space")]
    #[case(".", "names no file")]
    #[case("./", "names no file")]
    #[case("/etc/passwd", "is an absolute path")]
    #[case("//x", "is an absolute path")]
    #[case("../x", "leads out")]
    #[case("a/../../x", "leads out")]
    #[case("a/..", "leads out")]
    #[case("a//b", "an empty part")]
    #[case("a\0b", "control character")]
    #[case("a\nb", "control character")]
    #[case(&"x".repeat(256), "255 bytes")]
    #[case(&"x/".repeat(513), "1024 bytes")]
    fn what_is_no_path_inside_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = InnerPath::parse(text, "here").expect_err("it is none");
        assert!(error.message.contains(expected), "{}", error.message);
        assert!(error.hint.is_some_and(|hint| hint.contains("relative to here")));
    }

    proptest! {
        #[test]
        fn no_accepted_path_leaves_its_folder(text in r"[./a ]{0,12}") {
            if let Ok(path) = InnerPath::parse(&text, "here") {
                let components: Vec<_> = Path::new(path.as_str()).components().collect();
                prop_assert!(components.iter().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert_eq!(InnerPath::parse(path.as_str(), "here"), Ok(path));
            }
        }
    }
}
