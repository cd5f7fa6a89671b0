//! A reading of a step, as the case names it.

use serde_json::{Value, json};
use tokio_postgres::types::Type;

use super::measurement::{Found, Left, Measurement};

/// A reading.
pub struct Reading<'m> {
    /// Its name.
    pub name: &'m str,
}

impl Measurement for Reading<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let reading = left.readings.get(self.name).cloned();
        reading.map(Found::from).ok_or_else(|| format!("nothing was read as `{}`", self.name))
    }
}

/// What a column of this type says in its text: numbers, truths, dates and texts are told apart by the type alone.
pub fn of_column(of: &Type, text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    match *of {
        Type::BOOL => Value::from(text == "t"),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => {
            text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
        }
        Type::FLOAT4 | Type::FLOAT8 => {
            let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            number.map_or_else(|| json!({"float": text.to_lowercase()}), Value::Number)
        }
        Type::NUMERIC => json!({"decimal": text}),
        Type::DATE | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => json!({"date": text}),
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::null(Type::TEXT, None, Value::Null)]
    #[case::text_that_says_null(Type::TEXT, Some("null"), json!("null"))]
    #[case::text_that_looks_like_a_number(Type::TEXT, Some("1e3"), json!("1e3"))]
    #[case::text_that_is_empty(Type::VARCHAR, Some(""), json!(""))]
    #[case::count(Type::INT8, Some("7"), json!(7))]
    #[case::truth(Type::BOOL, Some("t"), json!(true))]
    #[case::untruth(Type::BOOL, Some("f"), json!(false))]
    #[case::float(Type::FLOAT8, Some("0.5"), json!(0.5))]
    #[case::infinity(Type::FLOAT8, Some("Infinity"), json!({"float": "infinity"}))]
    #[case::money(Type::NUMERIC, Some("10.00"), json!({"decimal": "10.00"}))]
    #[case::moment(Type::TIMESTAMPTZ, Some("2025-01-01 00:00:00+00"), json!({"date": "2025-01-01 00:00:00+00"}))]
    fn the_type_of_a_column_says_what_its_text_is(
        #[case] of: Type,
        #[case] text: Option<&str>,
        #[case] expected: Value,
    ) {
        assert_eq!(of_column(&of, text), expected);
    }
}
