//! Units: bytes, durations, percent; and counts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};

use super::yaml::diagnostic::Diagnostic;
use super::yaml::error::refused;
use super::yaml::text;
use crate::input::limit::{self, Limit};

/// What a unit measures. Measured values are in its base: bytes, seconds, percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Bytes.
    Bytes,
    /// Seconds.
    Time,
    /// Percent.
    Percent,
}

/// A unit as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Its symbol.
    pub symbol: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    /// How much of the base it is.
    pub factor: f64,
}

const fn unit(symbol: &'static str, dimension: Dimension, factor: f64) -> Unit {
    Unit { symbol, dimension, factor }
}

/// All units.
pub const UNITS: [Unit; 16] = [
    unit("B", Dimension::Bytes, 1.0),
    unit("kB", Dimension::Bytes, 1e3),
    unit("MB", Dimension::Bytes, 1e6),
    unit("GB", Dimension::Bytes, 1e9),
    unit("TB", Dimension::Bytes, 1e12),
    unit("KiB", Dimension::Bytes, 1024.0),
    unit("MiB", Dimension::Bytes, 1_048_576.0),
    unit("GiB", Dimension::Bytes, 1_073_741_824.0),
    unit("ns", Dimension::Time, 1e-9),
    unit("us", Dimension::Time, 1e-6),
    unit("ms", Dimension::Time, 1e-3),
    unit("s", Dimension::Time, 1.0),
    unit("min", Dimension::Time, 60.0),
    unit("h", Dimension::Time, 3600.0),
    unit("d", Dimension::Time, 86400.0),
    unit("%", Dimension::Percent, 1.0),
];

/// The unit of this symbol.
pub fn find(symbol: &str) -> Option<Unit> {
    UNITS.into_iter().find(|unit| unit.symbol == symbol)
}

/// Splits `2.5s` into `2.5` and `s`.
pub fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let number = text
        .char_indices()
        .find(|&(i, c)| {
            let exponent = matches!(c, 'e' | 'E')
                && text[i + 1..].starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
            let sign = matches!(c, '+' | '-') && (i == 0 || text[..i].ends_with(['e', 'E']));
            !(c.is_ascii_digit() || c == '.' || exponent || sign)
        })
        .map_or(text.len(), |(i, _)| i);
    (&text[..number], text[number..].trim_start())
}

/// A duration such as `2.5s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = seconds(text)?;
    if seconds < 0.0 {
        return Err(format!("`{text}` is negative: the clock only moves forward"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}` is too long"))
}

/// Nanoseconds from now, such as `-4d`.
pub fn offset(text: &str) -> Result<i64, String> {
    let seconds = seconds(text)?;
    let away = Duration::try_from_secs_f64(seconds.abs()).ok();
    let away =
        away.and_then(|away| i64::try_from(away.as_nanos()).ok()).ok_or_else(|| format!("`{text}` is too far away"))?;
    Ok(if seconds < 0.0 { -away } else { away })
}

/// As [`offset`], and no further away than a clock may be moved.
pub fn distance(text: &str) -> Result<i64, String> {
    let offset = offset(text)?;
    let limit = limit::VIRTUAL.check_time(Duration::from_nanos(offset.unsigned_abs()), text.trim());
    limit.map(|()| offset).map_err(|wrong| Diagnostic::from(wrong).with_help())
}

fn seconds(text: &str) -> Result<f64, String> {
    let (number, symbol) = split(text);
    let amount: f64 = number.parse().map_err(|_| format!("`{text}` is not a duration such as `2.5s`"))?;
    match find(symbol) {
        Some(unit) if unit.dimension == Dimension::Time => Ok(amount * unit.factor),
        _ if symbol.is_empty() => Err(format!("`{text}` has no unit: say for instance `{number}s`")),
        _ => Err(format!("`{symbol}` is not a unit of time (ns, us, ms, s, min, h, d)")),
    }
}

/// Bytes such as `5 MB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, symbol) = split(text);
    let amount: f64 = number.parse().map_err(|_| format!("`{text}` is not an amount of bytes such as `5 MB`"))?;
    let unit = match find(symbol) {
        Some(unit) if unit.dimension == Dimension::Bytes => unit,
        _ if symbol.is_empty() => return Err(format!("`{text}` has no unit: say for instance `{number} B`")),
        _ => return Err(format!("`{symbol}` is not a unit of bytes (B, kB, MB, GB, TB, KiB, MiB, GiB)")),
    };
    let bytes = amount * unit.factor;
    // 1.005 kB are 1004.9999999999999 bytes to a float.
    if bytes < 0.0 || (bytes - bytes.round()).abs() > 1e-6 || bytes > 9e15 {
        return Err(format!("`{text}` is not a whole number of bytes"));
    }
    Ok(bytes.round() as u64)
}

/// Time, as it is written: `2.5s`, `10min`, `-4d`.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^-?[0-9.]+ *(ns|us|ms|s|min|h|d)$"))]
pub struct Time(#[expect(dead_code, reason = "describes times to the schema")] String);

/// Bytes, as they are written: `5 MB`.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[0-9.]+ *(B|kB|MB|GB|TB|KiB|MiB|GiB)$"))]
pub struct Bytes(#[expect(dead_code, reason = "describes bytes to the schema")] String);

/// Reads a duration of virtual time.
pub fn read_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read_time(deserializer, limit::VIRTUAL)
}

/// Reads a duration of virtual time that may be left out.
pub fn read_optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    read_duration(deserializer).map(Some)
}

/// Reads a duration that really passes.
pub fn read_real_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read_time(deserializer, limit::REAL)
}

/// Reads a duration that really passes and may be left out.
pub fn read_optional_real_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    read_real_time(deserializer).map(Some)
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D, limit: Limit) -> Result<Duration, D::Error> {
    let text = text::as_written(deserializer, "a duration such as `2.5s`")?;
    let time = duration(&text).map_err(de::Error::custom)?;
    limit.check_time(time, text.trim()).map_err(refused)?;
    Ok(time)
}

/// Reads bytes.
pub fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = text::as_written(deserializer, "bytes such as `5 MB`")?;
    bytes(&text).map_err(de::Error::custom)
}

/// Reads how often a verb acts; a variable may make it none, as a control's does.
pub fn read_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(deserializer)?;
    limit::COUNT.check(count).map_err(refused)?;
    Ok(count)
}

/// Reads how often, from 1.
pub fn read_ordinal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    at_most(deserializer, limit::COUNT)
}

/// Reads a count from 1 to as many as there may be.
pub fn at_most<'de, D: Deserializer<'de>>(deserializer: D, limit: Limit) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(de::Error::custom("it is counted from 1")),
        count => limit.check(count).map(|()| count).map_err(refused),
    }
}

/// Once: how often what does not say is done.
pub const fn once() -> u64 {
    1
}
