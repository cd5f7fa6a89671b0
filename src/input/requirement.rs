//! What may be asked of an installer: packages by PEP 508's names, releases by PEP 440, Pythons by their versions. Nothing
//! else gets to its command line or into its input: no option, no address, no second line.

use std::fmt;
use std::str::FromStr as _;

use pep440_rs::{Operator, VersionPattern, VersionSpecifiers};

use super::limit::NAME;
use crate::error::Error;

/// The oldest Python, of Python 3, that the harness runs in.
const OLDEST: u32 = 10;

/// A distribution's name, as PyPI compares them: `Django_Q2` is `django-q2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// It is none by PEP 508; without a place.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_end = |c: char| c.is_ascii_alphanumeric();
        if !text.starts_with(is_end) || !text.ends_with(is_end) || !text.chars().all(is_inner) {
            let message = format!("`{}` is not the name of a package", text.escape_debug());
            return Err(Error::usage(message).hint("write it as on PyPI, such as `django-q2`"));
        }
        NAME.check(text.len() as u64)?;
        let parts: Vec<&str> = text.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
        Ok(Self(parts.join("-").to_ascii_lowercase()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which releases of a package will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    kind: Kind,
    /// In normal form, without spaces: `1.9.0`, `5.2.*`, `>=5.1,<5.3`.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `1.9.0`: this one.
    One,
    /// `5.2.*`: the newest that begins like this.
    Series,
    /// `>=5.1,<5.3`: the newest that meets all of these.
    Range,
}

impl Release {
    /// Reads a version, alone or with a `*` at its end, or a set of specifiers.
    ///
    /// # Errors
    ///
    /// It is none by PEP 440; without a place.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            let message = format!("`{}` is not a version", text.escape_debug());
            Error::usage(message).hint("write a release, such as `1.9.0` or `5.2.*`, or a range: `>=5.1,<5.3`")
        };
        let is_known = |c: char| c.is_ascii_alphanumeric() || ".*+!<>=~,-_ ".contains(c);
        if text.trim() != text || !text.chars().all(is_known) {
            return Err(wrong());
        }
        NAME.check(text.len() as u64)?;
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let pattern = VersionPattern::from_str(text).map_err(|_| wrong())?;
            let (version, is_series) = (pattern.version().to_string(), pattern.is_wildcard());
            return Ok(if is_series { Self::series(&version) } else { Self::one(version) });
        }
        let specifiers = VersionSpecifiers::from_str(text).map_err(|_| wrong())?;
        let [first, rest @ ..] = &*specifiers else { return Err(wrong()) };
        if specifiers.iter().any(|specifier| *specifier.operator() == Operator::ExactEqual) {
            // It compares texts, not versions: what it means no index can say.
            return Err(wrong());
        }
        match (first.operator(), rest) {
            (Operator::Equal, []) => Ok(Self::one(first.version().to_string())),
            (Operator::EqualStar, []) => Ok(Self::series(&first.version().to_string())),
            _ => {
                let all: Vec<String> = specifiers.iter().map(|one| one.to_string().replace(' ', "")).collect();
                Ok(Self { kind: Kind::Range, text: all.join(",") })
            }
        }
    }

    fn one(version: String) -> Self {
        Self { kind: Kind::One, text: version }
    }

    fn series(version: &str) -> Self {
        Self { kind: Kind::Series, text: format!("{version}.*") }
    }

    /// In normal form.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// That it is a single release, where nothing else will do; `why` says where.
    ///
    /// # Errors
    ///
    /// It is not; without a place.
    pub fn single(self, why: &str) -> Result<Self, Error> {
        match self.kind {
            Kind::One => Ok(self),
            Kind::Series | Kind::Range => {
                let message = format!("`{}` may be several releases: {why}", self.text);
                Err(Error::usage(message).hint("write the release alone, such as `1.9.0`"))
            }
        }
    }

    /// That it is a release or a series, where ranges are written otherwise; `help` says how.
    ///
    /// # Errors
    ///
    /// It is a range; without a place.
    pub fn without_range(self, help: &str) -> Result<Self, Error> {
        match self.kind {
            Kind::One | Kind::Series => Ok(self),
            Kind::Range => Err(Error::usage(format!("`{}` is a range", self.text)).hint(help)),
        }
    }

    /// What an installer reads: a bare version means exactly that one.
    pub fn requirement(&self, package: &PackageName) -> String {
        match self.kind {
            Kind::One | Kind::Series => format!("{package}=={}", self.text),
            Kind::Range => format!("{package}{}", self.text),
        }
    }

    /// A part of a file name, of which no two releases have the same: `5.2.x`, `ge5.1-lt5.3`.
    pub fn file_name(&self) -> String {
        let words = [
            ("~=", "like"),
            (">=", "ge"),
            ("<=", "le"),
            ("==", "eq"),
            ("!=", "ne"),
            (">", "gt"),
            ("<", "lt"),
            ("*", "x"),
            (",", "-"),
            ("!", "-epoch-"),
            ("+", "-local-"),
        ];
        words.iter().fold(self.text.clone(), |name, (sign, word)| name.replace(sign, word))
    }
}

/// A version of Python, as a case pins it.
///
/// # Errors
///
/// It is none, or too old; without a place.
pub fn python(text: &str) -> Result<(), Error> {
    let wrong =
        |message: String| Err(Error::usage(message).hint("write a version of Python from 3.10, such as `\"3.12\"`"));
    let mut numbers = text.split('.').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| is_number)
    });
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(3)), Some(Some(minor)), None | Some(Some(_)), None) if minor >= OLDEST => Ok(()),
        (Some(Some(2 | 3)), Some(Some(_)), None | Some(Some(_)), None) => {
            wrong(format!("Python {text} is too old: the harness needs 3.{OLDEST} or newer"))
        }
        _ => wrong(format!("`{}` is not a version of Python", text.escape_debug())),
    }
}

/// A Python as the command line names it: a version, the name of a command (`python3.12`), or the path of an interpreter.
///
/// # Errors
///
/// It is neither.
pub fn interpreter(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.contains('/') && !text.starts_with('-') && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let version = text.strip_prefix("python").unwrap_or(text);
    if text == "python" || text == "python3" {
        return Ok(text.to_owned());
    }
    python(version).map(|()| text.to_owned()).map_err(|wrong| {
        let help = "name a version such as `3.12`, a command such as `python3.12`, or the path of an interpreter";
        Error::usage(format!("{}: {help}", wrong.message))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn requirement(text: &str) -> String {
        let package = PackageName::parse("Django").expect("a name");
        Release::parse(text).expect("a release").requirement(&package)
    }

    #[rstest]
    #[case("1.9.0", "django==1.9.0")]
    #[case("1.10", "django==1.10")]
    #[case("5.2.*", "django==5.2.*")]
    #[case("==5.2.*", "django==5.2.*")]
    #[case("== 1.9.0", "django==1.9.0")]
    #[case("1.0RC1", "django==1.0rc1")]
    #[case("1!2.0", "django==1!2.0")]
    #[case("2.0+cu12", "django==2.0+cu12")]
    #[case(">=5.1,<5.3", "django>=5.1,<5.3")]
    #[case(">= 5.1, < 5.3", "django>=5.1,<5.3")]
    #[case("~=5.1", "django~=5.1")]
    #[case("!=5.1.*,>5", "django>5,!=5.1.*")]
    fn a_release_becomes_a_requirement_in_normal_form(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(requirement(text), expected);
    }

    #[rstest]
    #[case("")]
    #[case("latest")]
    #[case("-r /etc/passwd")]
    #[case("--index-url=http://x")]
    #[case("1.9.0 --no-binary :all:")]
    #[case("1.9.0\n-r x")]
    #[case("1.9.0\r")]
    #[case("1.9.0 ; os_name == 'x'")]
    #[case("@ file:///x")]
    #[case(">=5.1,")]
    #[case(">=5.1,<5.3;x")]
    #[case(">=")]
    #[case("===1.0")]
    #[case("5.*.1")]
    #[case(">5.*")]
    #[case(" 1.9.0")]
    #[case("1\u{a0}.9")]
    #[case("99999999999999999999999999.0")]
    #[case("[extra]")]
    fn what_is_no_release_is_refused(#[case] text: &str) {
        let error = Release::parse(text).expect_err("it is none");
        assert!(!error.message.contains('\n'), "{}", error.message);
    }

    #[rstest]
    #[case("django-q2", "django-q2")]
    #[case("Django_Q2", "django-q2")]
    #[case("zope.interface", "zope-interface")]
    #[case("a", "a")]
    fn a_name_is_put_in_the_form_that_an_index_compares(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(PackageName::parse(text).expect("a name").as_str(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("-r")]
    #[case("django-")]
    #[case("django q2")]
    #[case("django[extra]")]
    #[case("django@x")]
    #[case("../x")]
    #[case("a\nb")]
    #[case("größe")]
    #[case(&"x".repeat(61))]
    fn what_is_no_name_of_a_package_is_refused(#[case] text: &str) {
        assert!(PackageName::parse(text).is_err());
    }

    #[rstest]
    #[case("5.2.*", "5.2.x")]
    #[case(">=5.1,<5.3", "ge5.1-lt5.3")]
    #[case("~=5.1", "like5.1")]
    #[case("!=5.1.*", "ne5.1.x")]
    #[case("1!2.0+a.1", "1-epoch-2.0-local-a.1")]
    fn a_release_gives_a_plain_part_of_a_file_name(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(Release::parse(text).expect("a release").file_name(), expected);
    }

    #[test]
    fn a_range_is_no_single_release() {
        for text in ["5.2.*", ">=5.1", "~=5.1"] {
            let error = Release::parse(text).and_then(|release| release.single("one is needed")).expect_err("several");
            assert!(error.message.contains("may be several releases: one is needed"), "{}", error.message);
        }
        assert!(Release::parse("==5.2.1").and_then(|release| release.single("")).is_ok());
    }

    #[rstest]
    #[case("3.10")]
    #[case("3.12")]
    #[case("3.12.4")]
    #[case("3.99")]
    fn a_version_of_python_is_one(#[case] text: &str) {
        assert_eq!(python(text), Ok(()));
    }

    #[rstest]
    #[case("", "is not a version of Python")]
    #[case("3", "is not a version of Python")]
    #[case("4.1", "is not a version of Python")]
    #[case("nonsense", "is not a version of Python")]
    #[case("3.x", "is not a version of Python")]
    #[case("3.+12", "is not a version of Python")]
    #[case("3.12.1.1", "is not a version of Python")]
    #[case("-c", "is not a version of Python")]
    #[case("3.9", "too old")]
    #[case("2.7", "too old")]
    fn what_is_no_python_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = python(text).expect_err("it is none");
        assert!(error.message.contains(expected), "{}", error.message);
    }

    #[test]
    fn an_interpreter_is_a_version_a_command_or_a_path() {
        for text in ["3.12", "python3", "python3.12"] {
            assert_eq!(interpreter(&format!(" {text}")), Ok(text.to_owned()));
        }
        assert_eq!(interpreter("/opt/py/bin/python"), Ok("/opt/py/bin/python".to_owned()));
        for text in ["--help", "-c/x", "banana", "python2", "pythonic", "python3.8", ""] {
            assert!(interpreter(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_one_requirement_gets_to_an_installer(text in r"[-0-9a.*+!<>=~,;@/ \n\[\]]{0,16}") {
            if let Ok(release) = Release::parse(&text) {
                let said = release.as_str();
                prop_assert!(!said.starts_with('-') && !said.contains([' ', '\n', ';', '@', '/', '[']), "{said:?}");
                let again = Release::parse(said);
                prop_assert_eq!(again, Ok(release));
            }
        }

        #[test]
        fn two_releases_never_share_a_file_name(one in r"(>=|<|~=|!=)?[0-9]\.[0-9](\.\*|rc1|\.post1)?", other in r"(>=|<|~=|!=)?[0-9]\.[0-9](\.\*|rc1|\.post1)?") {
            if let (Ok(one), Ok(other)) = (Release::parse(&one), Release::parse(&other)) {
                prop_assert_eq!(one == other, one.file_name() == other.file_name());
            }
        }
    }
}
