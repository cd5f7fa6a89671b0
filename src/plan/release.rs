//! Which releases are asked for: `1.6.2..1.11.1`, `4.2..5.2`, `1.9.0,1.10.0`.

use std::cmp::Ordering;
use std::str::FromStr;

use crate::input::requirement::Release;

/// The version of a final release: numbers with points between them. `5.2` and `5.2.0` are the same one.
#[derive(Debug, Clone, Eq)]
pub struct Version {
    text: String,
    numbers: Vec<u64>,
}

impl Version {
    /// Reads a version; none of pre-releases, post-releases and whatever else is no final release.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
        // `parse` takes a sign.
        text.chars().all(|c| c.is_ascii_digit() || c == '.').then(|| Self { text: text.to_owned(), numbers })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first two numbers.
    fn minor(&self) -> (u64, u64) {
        let number = |index| self.numbers.get(index).copied().unwrap_or(0);
        (number(0), number(1))
    }

    fn significant(&self) -> &[u64] {
        let zeros = self.numbers.iter().rev().take_while(|&&number| number == 0).count();
        &self.numbers[..self.numbers.len() - zeros]
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.significant().cmp(other.significant())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A choice of releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// `1.6.2..1.11.1`: all final releases from the first to the second.
    All(Version, Version),
    /// `4.2..5.2`: the newest final release of each minor series.
    Minors(Version, Version),
    /// `1.9.0,5.2.*`: these, in this order, as they are written.
    Named(Vec<String>),
}

impl Choice {
    /// The releases that are chosen, of those that there are; of a range, oldest first.
    pub fn of(&self, known: &[Version]) -> Vec<String> {
        let mut known: Vec<&Version> = known.iter().collect();
        known.sort();
        known.dedup();
        let chosen: Vec<&Version> = match self {
            Self::Named(releases) => return releases.clone(),
            Self::All(from, to) => known.into_iter().filter(|version| (from..=to).contains(version)).collect(),
            Self::Minors(from, to) => {
                let range = from.minor()..=to.minor();
                let within: Vec<&Version> =
                    known.into_iter().filter(|version| range.contains(&version.minor())).collect();
                within
                    .chunk_by(|one, next| one.minor() == next.minor())
                    .filter_map(|minor| minor.last().copied())
                    .collect()
            }
        };
        chosen.into_iter().map(|version| version.text().to_owned()).collect()
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((from, to)) = text.split_once("..") else { return named(text) };
        let version = |text: &str| {
            Version::parse(text.trim()).ok_or_else(|| format!("`{text}` is no final release, such as `1.9.0`"))
        };
        let (from, to) = (version(from)?, version(to)?);
        if from > to {
            return Err(format!("the range runs backwards: write `{}..{}`", to.text(), from.text()));
        }
        match (from.numbers.len(), to.numbers.len()) {
            (2, 2) => Ok(Self::Minors(from, to)),
            (3.., 3..) => Ok(Self::All(from, to)),
            _ => Err("both ends must be releases (`1.6.2..1.9.0`, all between them) or minor series (`1.6..1.9`, the \
                      newest release of each)"
                .to_owned()),
        }
    }
}

fn named(text: &str) -> Result<Choice, String> {
    let mut releases: Vec<String> = Vec::new();
    for release in text.split(',').map(str::trim) {
        let release = Release::parse(release)
            .and_then(|release| release.without_range("write `4.2..5.2`, or name releases: `1.9.0,5.2.*`"))
            .map_err(|wrong| [wrong.message, wrong.hint.unwrap_or_default()].join(": "))?;
        if !releases.iter().any(|known| known == release.as_str()) {
            releases.push(release.as_str().to_owned());
        }
    }
    Ok(Choice::Named(releases))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn known() -> Vec<Version> {
        ["1.10.0", "1.9.0", "1.7.2", "1.7.6", "2.0", "1.11.1", "1.11.0"]
            .iter()
            .filter_map(|v| Version::parse(v))
            .collect()
    }

    #[rstest]
    #[case("1.7.6..1.11.0", &["1.7.6", "1.9.0", "1.10.0", "1.11.0"])]
    #[case("1.7.3..1.8.0", &["1.7.6"])]
    #[case("1.11.1..2.0.0", &["1.11.1", "2.0"])]
    #[case("1.7..1.11", &["1.7.6", "1.9.0", "1.10.0", "1.11.1"])]
    #[case("3.0..4.0", &[])]
    #[case("1.10.0, 1.9.0,1.9.0,5.2.*", &["1.10.0", "1.9.0", "5.2.*"])]
    fn releases_are_chosen(#[case] choice: Choice, #[case] expected: &[&str]) {
        assert_eq!(choice.of(&known()), expected);
    }

    #[rstest]
    #[case("1.9.0..1.7.0", "backwards")]
    #[case("1.9..1.10.0", "both ends")]
    #[case("1.9.0..", "no final release")]
    #[case("1.9.0..1.10.0rc1", "no final release")]
    #[case("1.9.0..+1.10.0", "no final release")]
    #[case("", "is not a version")]
    #[case("1.9.0,", "is not a version")]
    #[case("-r/etc/passwd", "is not a version")]
    #[case(">=1.9", "is a range: write `4.2..5.2`")]
    fn what_is_no_choice_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = Choice::from_str(text).expect_err("it is none");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let version = |text| Version::parse(text).expect("a version");
        assert!(version("1.9.0") < version("1.10.0"));
        assert_eq!(version("5.2"), version("5.2.0"));
        assert!(["1.0rc1", "1.0.post1", "1..0", "v1.0", ""].iter().all(|text| Version::parse(text).is_none()));
    }
}
