//! Invariants: what is judged.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::bound::Bound;
use super::count::Per;
use super::quantity::Quantity;

/// What is judged. `applied` and `reverted` tell the states apart; `both` is a guard.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an invariant (a mapping)")]
pub struct Invariant {
    /// What it looks at.
    #[serde(rename = "$rest")]
    #[schemars(skip)]
    pub of: Quantity,
    /// Divides the count by what happened in the window; `second` is for guards over wall-clock windows, `fetch` for the
    /// rows of fetches.
    pub per: Option<Per>,
    /// What must hold with the fix.
    #[serde(default, deserialize_with = "present")]
    pub applied: Option<Bound>,
    /// What must hold without it.
    #[serde(default, deserialize_with = "present")]
    pub reverted: Option<Bound>,
    /// What must hold in every state.
    #[serde(default, deserialize_with = "present")]
    pub both: Option<Bound>,
    /// Line in the case file, 1-based.
    #[serde(rename = "$line")]
    #[schemars(skip)]
    pub line: usize,
}

impl Invariant {
    /// Whether it must hold in every state.
    pub fn is_guard(&self) -> bool {
        self.both.is_some()
    }

    /// The bounds that are given, with their keys.
    pub fn sides(&self) -> impl Iterator<Item = (&'static str, &Bound)> {
        let sides = [("both", &self.both), ("applied", &self.applied), ("reverted", &self.reverted)];
        sides.into_iter().filter_map(|(side, bound)| Some((side, bound.as_ref()?)))
    }
}

/// A null that is written is a value; only a key that is left out is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bound>, D::Error> {
    Bound::deserialize(deserializer).map(Some)
}
