//! The applied state against itself: what is measured twice must come out the same.

use indexmap::IndexMap;
use serde_json::Value;

use crate::case::Invariant;

/// The invariants whose values differ by more than they may, each with both values in words. `tolerance`: by what share of
/// the greater one they may; `None` for those of which nothing can be said.
pub fn differences(
    invariants: &IndexMap<String, Invariant>,
    tolerance: impl Fn(&Invariant) -> Option<f64>,
    one: &IndexMap<String, Value>,
    other: &IndexMap<String, Value>,
) -> Vec<String> {
    let differing = invariants.iter().filter(|(name, invariant)| {
        tolerance(invariant).is_some_and(|tolerance| !is_same(one.get(*name), other.get(*name), tolerance))
    });
    let word =
        |values: &IndexMap<String, Value>, name: &str| values.get(name).map_or("nothing".to_owned(), Value::to_string);
    differing.map(|(name, _)| format!("`{name}` {} and {}", word(one, name), word(other, name))).collect()
}

fn is_same(one: Option<&Value>, other: Option<&Value>, tolerance: f64) -> bool {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    match (number(one), number(other)) {
        (Some(one), Some(other)) if tolerance > 0.0 => (one - other).abs() <= tolerance * one.abs().max(other.abs()),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const BYTES: f64 = 0.01;

    #[rstest]
    #[case(json!(4), json!(4), 0.0, true)]
    #[case(json!(4), json!(5), 0.0, false)]
    #[case(json!(1000), json!(1009), BYTES, true)]
    #[case(json!(1000), json!(1020), BYTES, false)]
    #[case(json!("linear"), json!("linear"), BYTES, true)]
    #[case(json!(0), json!(0), BYTES, true)]
    fn counts_are_the_same_exactly_and_bytes_nearly(
        #[case] one: Value,
        #[case] other: Value,
        #[case] tolerance: f64,
        #[case] same: bool,
    ) {
        assert_eq!(is_same(Some(&one), Some(&other), tolerance), same);
    }
}
