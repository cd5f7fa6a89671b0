//! Bounds: what a value may be.

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};
use serde_json::Value;

use super::amount::{Amount, Interval, Number, not_an_amount, typed};
use super::unit::Dimension;
use super::yaml::text;

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

impl Bound {
    /// Reads a bound from a YAML value in which nothing is left to substitute.
    pub fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => Number::of(value)
                .map(|number| Self::Equals(Amount { number, unit: None }))
                .ok_or_else(|| format!("`{number}` is not a finite number")),
            Value::Null | Value::Bool(_) => Ok(Self::Is(value.clone())),
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

    /// Whether the value is within the bound. Measured bytes, seconds and percents are plain numbers. A text is only ever
    /// what is written, `5 s` too; `yes` and `no` are also what reports print for a truth.
    pub fn holds(&self, value: &Value) -> bool {
        if let Value::String(_) = value {
            return Self::parse(value).is_ok_and(|said| said == *self);
        }
        match (self, self.interval()) {
            (Self::Is(Value::String(word)), _) => match value {
                Value::Bool(truth) => word == if *truth { "yes" } else { "no" },
                value => typed(value).is_some_and(|(kind, text)| kind == "date" && text == word),
            },
            (Self::Is(expected), _) => expected == value,
            (_, Some(interval)) => Number::of(value).is_some_and(|number| interval.contains(number)),
            (_, None) => false,
        }
    }

    /// What it is a bound of, and what the value is, where these are two things: `None` where they fit.
    pub fn clash(&self, value: &Value) -> Option<(&'static str, &'static str)> {
        let (said, found) = (self.kind(), kind(value));
        let fits = said == found
            || (said == "a number" && ["an integer", "a float", "a decimal"].contains(&found))
            // What a text says may be a truth, a date, or a text that looks like a number.
            || (["a bool", "a text"].contains(&found) && [Self::Is("yes".into()), Self::Is("no".into())].contains(self))
            || (said == "a text" && found == "a date")
            || self.holds(value);
        (!fits).then_some((said, found))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Is(value) => kind(value),
            _ => "a number",
        }
    }

    /// What its amounts measure; `None` without a unit. A margin in percent is of the number that it stands beside.
    pub fn dimension(&self) -> Option<Dimension> {
        let (one, other) = match *self {
            Self::Is(_) => return None,
            Self::Equals(one) | Self::AtMost(one) | Self::AtLeast(one) | Self::Below(one) | Self::Above(one) => {
                (one, one)
            }
            Self::Within(low, high) => (low, high),
            Self::Around(centre, _) => (centre, centre),
        };
        one.dimension().or(other.dimension())
    }

    /// Whether some value is within both bounds.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.witness(other).is_some()
    }

    /// A value within both bounds.
    pub fn witness(&self, other: &Self) -> Option<Value> {
        let accepted = |value: &Value| self.holds(value) && other.holds(value);
        if matches!(self, Self::Is(_)) || matches!(other, Self::Is(_)) {
            let said = [self, other].into_iter().filter_map(|bound| match bound {
                Self::Is(value) => Some(value.clone()),
                _ => None,
            });
            return said.chain([Value::Bool(true), Value::Bool(false)]).find(accepted);
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

/// What a value is.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => match typed(value) {
            Some(("decimal", _)) => "a decimal",
            Some(("integer", _)) => "an integer",
            Some(("float", _)) => "a float",
            Some(("date", _)) => "a date",
            _ => "a mapping",
        },
    }
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
    fn a_text_is_what_is_written_and_nothing_else() {
        for text in ["5 s", "1..2", "<= 3", "yes", "null", "", "5", "10.00"] {
            assert!(bound(text).holds(&json!(text)), "{text}");
        }
        for (written, value) in [(json!(5), json!("5")), (json!("5"), json!(5)), (Value::Null, json!("null"))] {
            assert!(!bound(written.clone()).holds(&value), "{written} {value}");
        }
        assert!(!bound("").holds(&Value::Null) && !bound("null").holds(&Value::Null));
        assert!(bound("yes").holds(&json!(true)) && bound("no").holds(&json!(false)));
        assert!(!bound("yes").holds(&json!(false)) && !bound(true).holds(&json!("yes")));
        assert!(bound("yes").overlaps(&bound(true)) && !bound("yes").overlaps(&bound(false)));
    }

    #[test]
    fn values_that_json_has_no_word_for_carry_their_type() {
        assert!(bound(10).holds(&json!({"decimal": "10.00"})) && !bound(10).holds(&json!({"decimal": "10.01"})));
        assert!(bound(9.99).holds(&json!({"decimal": "9.99"})) && !bound(9.99).holds(&json!({"decimal": "9.9901"})));
        assert!(bound("> 10").holds(&json!({"integer": "1000000000000000000000000000000"})));
        assert!(bound("> 10").holds(&json!({"float": "inf"})) && !bound("< 10").holds(&json!({"float": "inf"})));
        for nan in [bound("> 10"), bound("< 10"), bound(10)] {
            assert!(!nan.holds(&json!({"float": "nan"})));
        }
        assert!(bound("2025-01-01").holds(&json!({"date": "2025-01-01"})));
        assert!(!bound("2025-01-01").holds(&json!({"date": "2025-01-02"})));
    }

    #[test]
    fn a_moment_is_exact_and_a_fraction_is_not() {
        assert!(!bound(1_735_689_600.0).holds(&json!(1_735_689_600.000_001)));
        assert!(!bound("> 0.1").holds(&json!(0.100_000_000_001)));
        assert!(bound("> 0.1").holds(&json!(0.100_000_1)));
        assert!(bound(0.0).holds(&json!(1e-13)) && !bound(0.0).holds(&json!(1e-11)));
    }

    #[test]
    fn a_bound_of_another_type_says_both() {
        assert_eq!(bound(1).clash(&json!(true)), Some(("a number", "a bool")));
        assert_eq!(bound(5).clash(&json!("5")), Some(("a number", "a text")));
        assert_eq!(bound("").clash(&Value::Null), Some(("a text", "null")));
        assert_eq!(bound(true).clash(&json!(1)), Some(("a bool", "an integer")));
        for (written, value) in [(json!(1), json!(2.5)), (json!("x"), json!("y")), (json!("yes"), json!(true))] {
            assert_eq!(bound(written).clash(&value), None);
        }
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
