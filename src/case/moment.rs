//! Moments of an arm's clock, as they are written: `2026-10-24T22:00 Europe/Berlin`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};

use super::yaml::text::Verbatim;

/// When an arm starts whose case does not say: a Monday morning, 2026-01-05 09:00 UTC. It is the same on every machine at
/// every time of day.
pub const START: Duration = Duration::from_secs(1_767_603_600);

/// The years that a clock may show: what Postgres, Python and the clock's nanoseconds have in common.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2200;

/// A moment. A date with or without a time of day, then a zone: an offset (`Z`, `+02:00`) or, after a space, a name of the IANA
/// database. Without a zone it is UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(extend("type" = "string", "pattern" = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+)?(Z|[+-][0-9]{2}:?[0-9]{2}|\\s+\\S+)?$"))]
pub struct Moment(#[schemars(with = "String")] SystemTime);

impl Moment {
    /// On the machine's scale.
    pub fn time(self) -> SystemTime {
        self.0
    }

    /// Nanoseconds since the epoch.
    pub fn nanoseconds(self) -> i64 {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// Where it is none, saying what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let expected = || format!("`{text}` is not a moment such as `2026-10-24T22:00 Europe/Berlin`");
        let is_zone = |word: &&str| word.starts_with(|first: char| first.is_ascii_alphabetic());
        let (date, zone) = match text.rsplit_once(char::is_whitespace).filter(|(_, last)| is_zone(last)) {
            Some((date, zone)) => (date.trim_end(), zone),
            None => (text, "UTC"),
        };
        // With an offset it is said already.
        let moment: Timestamp = match date.parse() {
            Ok(moment) if zone == "UTC" => moment,
            Ok(_) => return Err(format!("`{text}` has both an offset and a zone: one of them")),
            Err(_) => {
                let civil: DateTime = date.parse().map_err(|_| expected())?;
                let known = TimeZone::get(zone);
                let known = known
                    .map_err(|_| format!("`{zone}` is not a zone of the IANA database: `Europe/Berlin`, `UTC`"))?;
                let unambiguous = known.to_ambiguous_zoned(civil).unambiguous();
                unambiguous.map_err(|_| twice_or_never(text, date))?.timestamp()
            }
        };
        if !YEARS.contains(&moment.to_zoned(TimeZone::UTC).year()) {
            return Err(format!("`{text}` is outside of the years {} to {}", YEARS.start(), YEARS.end()));
        }
        let since = Duration::try_from(moment.duration_since(Timestamp::UNIX_EPOCH)).map_err(|_| expected())?;
        Ok(Self(UNIX_EPOCH + since))
    }
}

fn twice_or_never(text: &str, date: &str) -> String {
    format!("the clocks are changed there: `{text}` comes twice, or never. Say the offset, such as `{date}+01:00`")
}

impl Default for Moment {
    fn default() -> Self {
        Self(UNIX_EPOCH + START)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Verbatim(text) = Verbatim::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2026-01-05T09:00", 1_767_603_600)]
    #[case("2026-01-05 09:00:00", 1_767_603_600)]
    #[case("2026-01-05T09:00Z", 1_767_603_600)]
    #[case("2026-01-05T11:00+02:00", 1_767_603_600)]
    #[case("2026-01-05T10:00 Europe/Berlin", 1_767_603_600)]
    #[case("2026-01-05 10:00  Europe/Berlin", 1_767_603_600)]
    #[case("2026-01-05", 1_767_571_200)]
    #[case("2026-10-24T22:00 Europe/Berlin", 1_792_872_000)]
    #[case("2026-10-25T02:30+02:00", 1_792_888_200)]
    fn a_moment_is_a_date_a_time_of_day_and_a_zone(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(Moment::parse(text), Ok(Moment(UNIX_EPOCH + Duration::from_secs(seconds))));
    }

    #[test]
    fn without_a_word_an_arm_starts_on_a_monday_morning() {
        assert_eq!(Moment::parse("2026-01-05T09:00"), Ok(Moment::default()));
    }

    #[rstest]
    #[case("tomorrow", "is not a moment such as")]
    #[case("4d", "is not a moment such as")]
    #[case("2026-13-01", "is not a moment such as")]
    #[case("2026-01-05T09:00 Europe/Bielefeld", "`Europe/Bielefeld` is not a zone")]
    #[case("2026-01-05T09:00+01:00 Europe/Berlin", "both an offset and a zone")]
    #[case("2026-10-25T02:30 Europe/Berlin", "comes twice, or never")]
    #[case("2026-03-29T02:30 Europe/Berlin", "comes twice, or never")]
    #[case("1969-12-31", "outside of the years 1970 to 2200")]
    #[case("3000-01-01", "outside of the years 1970 to 2200")]
    fn what_is_no_moment_is_told_why(#[case] text: &str, #[case] why: &str) {
        let error = Moment::parse(text).expect_err("it is none");
        assert!(error.contains(why), "{error}");
    }
}
