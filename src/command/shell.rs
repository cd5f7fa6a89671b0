//! Commands that people paste into a shell.

use std::borrow::Cow;
use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How the user calls this program, from where they are: its name if their shell finds it, else as they have called it.
pub fn program() -> String {
    let name = env!("CARGO_PKG_NAME");
    let called = env::args_os().next().map_or_else(|| PathBuf::from(name), PathBuf::from);
    let ours = env::current_exe().ok();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    let is_found = found.and_then(|found| fs::canonicalize(found).ok()).is_some_and(|found| Some(found) == ours);
    if is_found { name.to_owned() } else { quoted(called) }
}

/// A word as a shell reads it back: quoted if need be.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    if let Some(text) = word.to_str().filter(|text| !text.contains(char::is_control)) {
        // Only a NUL cannot be quoted, and no argument has one.
        return shlex::try_quote(text).map_or_else(|_| text.to_owned(), Cow::into_owned);
    }
    // What a terminal cannot show; bash, zsh and POSIX 2024 read it.
    let mut quoted = "$'".to_owned();
    for chunk in word.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' | '\\' => quoted.extend(['\\', character]),
                control if control.is_control() => bytes(&mut quoted, control.encode_utf8(&mut [0; 4]).as_bytes()),
                other => quoted.push(other),
            }
        }
        bytes(&mut quoted, chunk.invalid());
    }
    quoted + "'"
}

/// A path as an argument that is no option.
pub fn argument(path: &Path) -> String {
    if path.as_os_str().as_bytes().starts_with(b"-") { quoted(Path::new(".").join(path)) } else { quoted(path) }
}

fn bytes(quoted: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Three digits: what follows cannot be taken for one more.
        let _ = write!(quoted, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(b"cases/proven.yaml")]
    #[case::blanks(b"my cases/it's \"so\".yaml")]
    #[case::a_command(b"$(touch x); `ls` && *?[a] #!")]
    #[case::bang(b"it's here!")]
    #[case::not_utf8(b"f\xff\xfe' \\ 7")]
    #[case::control(b"two\nlines\x1b[31m")]
    #[case::empty(b"")]
    #[case::home(b"~")]
    fn a_shell_reads_a_quoted_word_back(#[case] word: &[u8]) {
        let quoted = quoted(OsStr::from_bytes(word));
        assert!(!quoted.contains(char::is_control), "{quoted:?}");
        let output = Command::new("bash").arg("-c").arg(format!("printf %s {quoted}")).output().expect("bash runs");
        assert_eq!(output.stdout, word, "{quoted}");
    }

    #[test]
    fn a_file_is_not_taken_for_an_option() {
        assert_eq!(argument(Path::new("-v.yaml")), "./-v.yaml");
    }
}
