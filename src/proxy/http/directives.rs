//! Cache-Control: the directives that matter to a shared cache.

use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue};

/// Longer than this is as long as this (RFC 9111, 1.2.2).
const LONGEST: u64 = 1 << 31;

/// The directives that are understood, and whether they say how many seconds.
const KNOWN: [(&str, bool); 13] = [
    ("max-age", true),
    ("max-stale", true),
    ("min-fresh", true),
    ("must-revalidate", false),
    ("must-understand", false),
    ("no-cache", false),
    ("no-store", false),
    ("only-if-cached", false),
    ("private", false),
    ("proxy-revalidate", false),
    ("public", false),
    ("s-maxage", true),
    ("immutable", false),
];

/// What a message says of caching. Names are compared without their case; a directive that is qualified by fields
/// (`private="set-cookie"`) is taken as one of the whole message, which is the safe side and allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives(Vec<(&'static str, Option<u64>)>);

impl Directives {
    /// Of a message.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            for part in split(value.as_bytes()) {
                directives.read(part);
            }
        }
        directives
    }

    /// Whether it is said.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    /// How many seconds it says.
    pub fn seconds(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == name)?.1
    }

    /// Says it, too.
    pub fn add(&mut self, name: &'static str, seconds: Option<u64>) {
        if !self.has(name) {
            self.0.push((name, seconds));
        }
    }

    /// Does not say it any more.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| *known != name);
    }

    /// As a field; nothing where nothing is said.
    pub fn written(&self) -> Option<HeaderValue> {
        let write = |(name, seconds): &(&str, Option<u64>)| match seconds {
            Some(seconds) => format!("{name}={seconds}"),
            None => (*name).to_owned(),
        };
        let words: Vec<String> = self.0.iter().map(write).collect();
        if words.is_empty() { None } else { HeaderValue::from_str(&words.join(", ")).ok() }
    }

    fn read(&mut self, part: &[u8]) {
        let mut halves = part.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii();
        let value = halves.next().map(<[u8]>::trim_ascii);
        let Some((name, has_seconds)) = KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
        else {
            return;
        };
        let seconds = match (*has_seconds, value) {
            (false, _) => None,
            // Any staleness is accepted.
            (true, None) if *name == "max-stale" => None,
            // What makes no sense lasts for no time.
            (true, value) => Some(value.and_then(number).unwrap_or(0)),
        };
        match self.0.iter_mut().find(|(known, _)| known == name) {
            // So does what contradicts itself.
            Some((_, said)) if *said != seconds => *said = Some(0),
            Some(_) => {}
            None => self.0.push((name, seconds)),
        }
    }
}

/// Digits, which may be quoted.
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Digits alone can only be too many.
    Some(str::from_utf8(digits).ok()?.parse().map_or(LONGEST, |seconds: u64| seconds.min(LONGEST)))
}

/// The seconds of an Age field; what makes no sense is no age.
pub fn age(headers: &HeaderMap) -> u64 {
    headers.get(hyper::header::AGE).and_then(|value| number(value.as_bytes().trim_ascii())).unwrap_or(0)
}

/// The parts of a list: commas within quotes do not part.
pub fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = value.split(move |byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return true,
            _ => {}
        }
        false
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none("", "")]
    #[case::upper_case("No-Cache, MAX-AGE=5", "no-cache, max-age=5")]
    #[case::unknown("foo, bar=\"max-age=9, no-store\", private", "private")]
    #[case::quoted_number("max-age=\"60\"", "max-age=60")]
    #[case::no_number("max-age=ten", "max-age=0")]
    #[case::negative("max-age=-1", "max-age=0")]
    #[case::nothing_said("max-age", "max-age=0")]
    #[case::too_long("max-age=99999999999999999999999", "max-age=2147483648")]
    #[case::contradiction("max-age=60, max-age=10", "max-age=0")]
    #[case::said_twice("max-age=60, max-age=60", "max-age=60")]
    #[case::qualified("private=\"set-cookie, x\", max-age=1", "private, max-age=1")]
    #[case::any_staleness("max-stale", "max-stale")]
    #[case::spaces(" , no-store ,, s-maxage = 7", "no-store, s-maxage=7")]
    #[case::open_quote("foo=\"bar, no-store", "")]
    fn directives_are_read_as_the_rfc_writes_them(#[case] field: &str, #[case] expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, field.parse().unwrap());
        let written = Directives::of(&headers).written();
        assert_eq!(written.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(), expected);
    }
}
