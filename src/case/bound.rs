//! Bounds: what a value may be.

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};
use serde_json::Value;

use super::unit::{self, Dimension, Unit};
use super::yaml::text;

/// How far two numbers may lie apart, relative to the larger, and still be the same, unless both
/// are integers.
const TOLERANCE: f64 = 1e-9;

/// What a value may be: `<= x`, `>= x`, `< x`, `> x`, `a..b`, `x +- 1 %`, with units; or a value.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(with = "Option<Scalar>")]
pub enum Bound {
    /// Text, a bool or null: equal.
    Is(Value),
    /// A number: equal.
    Equals(Amount),
    /// `<= x`
    AtMost(Amount),
    /// `>= x`
    AtLeast(Amount),
    /// `< x`
    Below(Amount),
    /// `> x`
    Above(Amount),
    /// `a..b`, both ends included.
    Within(Amount, Amount),
    /// `x +- y`, y absolute or in percent of x.
    Around(Amount, Amount),
}

/// How bounds are written.
#[derive(JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
#[expect(dead_code, reason = "describes bounds to the schema")]
struct Scalar(Value);

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = text::present(deserializer)?;
        Self::parse(&value).map_err(de::Error::custom)
    }
}

/// A number as it was written, perhaps with a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    number: Number,
    unit: Option<Unit>,
}

/// An integer, compared exactly, or another number, compared with a tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        if let Some(int) = number.as_i128() {
            return Some(Self::Int(int));
        }
        number.as_f64().filter(|float| float.is_finite()).map(Self::Float)
    }

    fn parse(text: &str) -> Option<Self> {
        if !text.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if let Ok(int) = text.parse::<i64>() {
            return Some(Self::Int(int.into()));
        }
        text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Self::Float)
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    /// An amount that is whole is exact: 0.4 GB are 400,000,000 bytes.
    fn whole(self) -> Self {
        match self {
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Self::Int(float as i128),
            other => other,
        }
    }

    fn compare(self, other: Self) -> Ordering {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return a.cmp(&b);
        }
        let (a, b) = (self.float(), other.float());
        if (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()) {
            return Ordering::Equal;
        }
        a.total_cmp(&b)
    }

    fn value(self) -> Option<Value> {
        match self {
            Self::Int(int) => i64::try_from(int).ok().map(Value::from),
            Self::Float(float) => serde_json::Number::from_f64(float).map(Value::Number),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            // `{:?}` keeps the point, so that reading it again gives a float.
            Self::Float(float) => write!(f, "{float:?}"),
        }
    }
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let (number, symbol) = unit::split(text);
        let number = Number::parse(number)?;
        let unit = if symbol.is_empty() { None } else { Some(unit::find(symbol)?) };
        Some(Self { number, unit })
    }

    fn dimension(self) -> Option<Dimension> {
        self.unit.map(|unit| unit.dimension)
    }

    /// In the unit's base.
    fn base(self) -> Number {
        match (self.unit, self.number) {
            (None, number) => number.whole(),
            (Some(unit), Number::Int(int)) if unit.factor >= 1.0 => {
                int.checked_mul(unit.factor as i128).map_or(Number::Float(f64::MAX), Number::Int)
            }
            (Some(unit), number) => Number::Float(number.float() * unit.factor).whole(),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Some(unit) => write!(f, "{} {}", self.number, unit.symbol),
            None => write!(f, "{}", self.number),
        }
    }
}

/// The numbers that a bound accepts: from, to, and whether the ends belong to them.
struct Interval {
    low: Option<(Number, bool)>,
    high: Option<(Number, bool)>,
}

impl Interval {
    fn contains(&self, number: Number) -> bool {
        let above = self.low.is_none_or(|(low, closed)| match number.compare(low) {
            Ordering::Greater => true,
            Ordering::Equal => closed,
            Ordering::Less => false,
        });
        above
            && self.high.is_none_or(|(high, closed)| match number.compare(high) {
                Ordering::Less => true,
                Ordering::Equal => closed,
                Ordering::Greater => false,
            })
    }
}

impl Bound {
    /// Reads a bound from a YAML value in which nothing is left to substitute.
    pub fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => Number::of(value)
                .map(|number| Self::Equals(Amount { number, unit: None }))
                .ok_or_else(|| format!("`{number}` is not a finite number")),
            Value::Null | Value::Bool(_) => Ok(Self::Is(value.clone())),
            // As reports print them; YAML 1.2 has these as texts.
            Value::String(text) if text == "yes" => Ok(Self::Is(true.into())),
            Value::String(text) if text == "no" => Ok(Self::Is(false.into())),
            Value::String(text) => Self::parse_text(text),
            Value::Array(_) => Err("a bound is a single value, not a list".to_owned()),
            Value::Object(_) => Err("a bound is a single value, not a mapping".to_owned()),
        }
    }

    fn parse_text(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        for sign in ["<=", ">=", "<", ">"] {
            let Some(rest) = trimmed.strip_prefix(sign) else { continue };
            let amount = Amount::parse(rest).ok_or_else(|| not_an_amount(rest))?;
            return Ok(match sign {
                "<=" => Self::AtMost(amount),
                ">=" => Self::AtLeast(amount),
                "<" => Self::Below(amount),
                _ => Self::Above(amount),
            });
        }
        if let Some((centre, margin)) = trimmed.split_once("+-").or_else(|| trimmed.split_once('±')) {
            // A text such as `yes+-no` is a text.
            let Some(centre) = Amount::parse(centre) else { return Ok(Self::Is(text.into())) };
            let margin = Amount::parse(margin).ok_or_else(|| not_an_amount(margin))?;
            if margin.number.float() < 0.0 {
                return Err(format!("the margin `{margin}` is negative"));
            }
            return match (centre.unit, margin.unit) {
                (_, Some(unit)) if unit.dimension == Dimension::Percent => Ok(Self::Around(centre, margin)),
                (Some(unit), None) => Ok(Self::Around(centre, Amount { unit: Some(unit), ..margin })),
                _ => same_dimension(centre, margin).map(|()| Self::Around(centre, margin)),
            };
        }
        if let Some((low, high)) = trimmed.split_once("..") {
            let (Some(mut low), Some(high)) = (Amount::parse(low), Amount::parse(high)) else {
                let half = Amount::parse(low).is_some() || Amount::parse(high).is_some();
                return if half { Err(not_an_amount(trimmed)) } else { Ok(Self::Is(text.into())) };
            };
            if low.unit.is_none() {
                low.unit = high.unit;
            }
            same_dimension(low, high)?;
            if low.base().compare(high.base()) == Ordering::Greater {
                return Err(format!("the range `{low}..{high}` is empty: its low end comes first"));
            }
            return Ok(Self::Within(low, high));
        }
        match Amount::parse(trimmed) {
            // A quoted number is a text: `"5"` is what a reading of type str gives.
            Some(amount) if amount.unit.is_some() => Ok(Self::Equals(amount)),
            _ => Ok(Self::Is(text.into())),
        }
    }

    /// Whether the value is within the bound. Measured bytes, seconds and percents are plain numbers.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, self.interval()) {
            (Self::Is(expected), _) => expected == value,
            (_, Some(interval)) => Number::of(value).is_some_and(|number| interval.contains(number)),
            (_, None) => false,
        }
    }

    /// Whether some value is within both bounds.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.witness(other).is_some()
    }

    /// A value within both bounds.
    pub fn witness(&self, other: &Self) -> Option<Value> {
        let accepted = |value: &Value| self.holds(value) && other.holds(value);
        if let (Self::Is(value), _) | (_, Self::Is(value)) = (self, other) {
            return Some(value.clone()).filter(accepted);
        }
        let intervals = [self.interval()?, other.interval()?];
        let ends: Vec<Number> =
            intervals.iter().flat_map(|i| [i.low, i.high]).flatten().map(|(number, _)| number).collect();
        // Both accept an interval each. If these meet, then at an end, between two ends, or beyond all.
        // Halfway values also as floats where they are whole: only floats are compared with a tolerance.
        let halfway: Vec<Number> = ends
            .iter()
            .flat_map(|a| ends.iter().map(move |b| Number::Float(b.float().mul_add(0.5, a.float() * 0.5))))
            .collect();
        let beyond = ends.iter().flat_map(|end| {
            let step = end.float().abs().max(1.0);
            [Number::Float(end.float() + step), Number::Float(end.float() - step)]
        });
        let extremes = [Number::Float(f64::MAX), Number::Float(f64::MIN)];
        ends.iter()
            .copied()
            .chain(halfway.iter().copied().map(Number::whole))
            .chain(halfway.iter().copied())
            .chain(beyond.map(Number::whole))
            .chain(extremes)
            .filter_map(Number::value)
            .find(accepted)
    }

    fn interval(&self) -> Option<Interval> {
        let closed = |amount: Amount| Some((amount.base(), true));
        let open = |amount: Amount| Some((amount.base(), false));
        let (low, high) = match *self {
            Self::Is(_) => return None,
            Self::Equals(amount) => (closed(amount), closed(amount)),
            Self::AtMost(amount) => (None, closed(amount)),
            Self::AtLeast(amount) => (closed(amount), None),
            Self::Below(amount) => (None, open(amount)),
            Self::Above(amount) => (open(amount), None),
            Self::Within(low, high) => (closed(low), closed(high)),
            Self::Around(centre, margin) => {
                let centre = centre.base().float();
                let margin = match margin.dimension() {
                    Some(Dimension::Percent) => centre.abs() * margin.base().float() / 100.0,
                    _ => margin.base().float(),
                };
                (
                    Some((Number::Float(centre - margin).whole(), true)),
                    Some((Number::Float(centre + margin).whole(), true)),
                )
            }
        };
        Some(Interval { low, high })
    }
}

fn not_an_amount(text: &str) -> String {
    let text = text.trim();
    let (number, symbol) = unit::split(text);
    if Number::parse(number).is_some() && !symbol.is_empty() && !symbol.contains(' ') {
        let known: Vec<&str> = unit::UNITS.iter().map(|unit| unit.symbol).collect();
        return format!("`{symbol}` is not a unit ({})", known.join(", "));
    }
    format!("`{text}` is not a number")
}

fn same_dimension(a: Amount, b: Amount) -> Result<(), String> {
    if a.dimension() == b.dimension() { Ok(()) } else { Err(format!("`{a}` and `{b}` do not measure the same")) }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(Value::String(text)) => f.write_str(text),
            Self::Is(value) => write!(f, "{value}"),
            Self::Equals(amount) => write!(f, "{amount}"),
            Self::AtMost(amount) => write!(f, "<= {amount}"),
            Self::AtLeast(amount) => write!(f, ">= {amount}"),
            Self::Below(amount) => write!(f, "< {amount}"),
            Self::Above(amount) => write!(f, "> {amount}"),
            Self::Within(low, high) => write!(f, "{low}..{high}"),
            Self::Around(centre, margin) => write!(f, "{centre} +- {margin}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bound(value: impl Into<Value>) -> Bound {
        Bound::parse(&value.into()).unwrap_or_else(|message| panic!("{message}"))
    }

    #[test]
    fn integers_are_exact_and_floats_have_a_tolerance() {
        assert!(!bound(9_007_199_254_740_993_u64).holds(&json!(9_007_199_254_740_992_u64)));
        assert!(bound(0.3).holds(&json!(0.1 + 0.2)));
        assert!(bound(4).holds(&json!(4.0)));
        assert!(!bound("< 4").holds(&json!(4.000_000_000_1)));
        assert!(!bound(4).holds(&json!("4")));
        assert!(!bound(1).holds(&json!(true)));
    }

    #[test]
    fn units_are_put_into_bytes_and_seconds() {
        assert!(bound("<= 0.4 GB").holds(&json!(400_000_000)));
        assert!(!bound("<= 0.4 GB").holds(&json!(400_000_001)));
        assert!(bound("1..2 KiB").holds(&json!(2048)));
        assert!(bound("> 2 min").holds(&json!(120.5)));
        assert!(bound("100 +- 1 %").holds(&json!(99)));
        assert!(!bound("100 +- 1 %").holds(&json!(98.9)));
    }

    #[test]
    fn text_that_is_no_bound_is_text() {
        for text in ["SUCCESS", "a..b", "yes+-no", "5", "1.2.3", ""] {
            assert_eq!(bound(text), Bound::Is(text.into()));
        }
        for wrong in ["<= x", "1..", "5..1", "1 GB..2 s", "> 3 parsecs", "3 +- -1"] {
            assert!(Bound::parse(&wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn complements_do_not_overlap() {
        assert!(!bound("<= 5").overlaps(&bound("> 5")));
        assert!(!bound(1).overlaps(&bound(122)));
        assert!(!bound(true).overlaps(&bound(1)));
        assert_eq!(bound("<= 5").witness(&bound(">= 3")), Some(json!(5)));
    }
}
