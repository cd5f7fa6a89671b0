//! Amounts: numbers with their units, and how far two of them may lie apart.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

use super::unit::{self, Dimension, Unit};

/// How far two numbers may lie apart and still be the same, unless both are integers: relative to the larger,
const RELATIVE: f64 = 1e-9;

/// or absolutely, near zero.
const ABSOLUTE: f64 = 1e-12;

/// Numbers from here on are exact, whatever they are: a moment in seconds since 1970, and bytes.
const EXACT: f64 = 1e8;

/// A number as it was written, perhaps with a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// The number.
    pub number: Number,
    /// Its unit.
    pub unit: Option<Unit>,
}

/// An integer, compared exactly, or another number, compared with a tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Exact.
    Int(i128),
    /// With a tolerance.
    Float(f64),
}

impl Number {
    /// The number that a value is; a decimal, a huge integer and an infinity carry their type. NaN is none.
    pub fn of(value: &Value) -> Option<Self> {
        if let Some((kind, text)) = typed(value) {
            return match kind {
                "decimal" | "integer" => {
                    let whole = text.split_once('.').map_or(Ok(text), |(whole, rest)| {
                        if rest.chars().all(|digit| digit == '0') { Ok(whole) } else { Err(()) }
                    });
                    let int = whole.ok().and_then(|whole| whole.parse().ok()).map(Self::Int);
                    int.or_else(|| text.parse().ok().filter(|float: &f64| !float.is_nan()).map(Self::Float))
                }
                "float" => text.parse().ok().filter(|float: &f64| !float.is_nan()).map(Self::Float),
                _ => None,
            };
        }
        let number = value.as_number()?;
        if let Some(int) = number.as_i128() {
            return Some(Self::Int(int));
        }
        number.as_f64().filter(|float| float.is_finite()).map(Self::Float)
    }

    /// Reads a number.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if let Ok(int) = text.parse::<i64>() {
            return Some(Self::Int(int.into()));
        }
        text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Self::Float)
    }

    /// As a float.
    pub fn float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    /// An amount that is whole is exact: 0.4 GB are 400,000,000 bytes.
    pub fn whole(self) -> Self {
        match self {
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Self::Int(float as i128),
            other => other,
        }
    }

    /// Which is greater, but for the tolerance.
    pub fn compare(self, other: Self) -> Ordering {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return a.cmp(&b);
        }
        let (a, b) = (self.float(), other.float());
        let larger = a.abs().max(b.abs());
        if larger < EXACT && (a - b).abs() <= (RELATIVE * larger).max(ABSOLUTE) {
            return Ordering::Equal;
        }
        a.total_cmp(&b)
    }

    /// As JSON has it.
    pub fn value(self) -> Option<Value> {
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
    /// Reads a number with its unit.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, symbol) = unit::split(text);
        let number = Number::parse(number)?;
        let unit = if symbol.is_empty() { None } else { Some(unit::find(symbol)?) };
        Some(Self { number, unit })
    }

    /// What its unit measures.
    pub fn dimension(self) -> Option<Dimension> {
        self.unit.map(|unit| unit.dimension)
    }

    /// In the unit's base.
    pub fn base(self) -> Number {
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
pub struct Interval {
    /// From.
    pub low: Option<(Number, bool)>,
    /// To.
    pub high: Option<(Number, bool)>,
}

impl Interval {
    /// Whether a number is one of them.
    pub fn contains(&self, number: Number) -> bool {
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

/// The type that a value carries with it, and its text: `{"decimal": "9.99"}`.
pub fn typed(value: &Value) -> Option<(&str, &str)> {
    let (kind, text) = value.as_object().filter(|entries| entries.len() == 1)?.iter().next()?;
    text.as_str().map(|text| (kind.as_str(), text))
}

/// Why a text is no amount.
pub fn not_an_amount(text: &str) -> String {
    let text = text.trim();
    let (number, symbol) = unit::split(text);
    if Number::parse(number).is_some() && !symbol.is_empty() && !symbol.contains(' ') {
        let known: Vec<&str> = unit::UNITS.iter().map(|unit| unit.symbol).collect();
        return format!("`{symbol}` is not a unit ({})", known.join(", "));
    }
    format!("`{text}` is not a number")
}
