//! What a bound may be, by what it bounds: its type and its unit.

use super::checker::Checker;
use crate::case::bound::Bound;
use crate::case::count::{CacheCount, HttpCount, Per, RedisField};
use crate::case::invariant::Invariant;
use crate::case::quantity::Quantity;
use crate::case::unit::Dimension;
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::place::Place;

/// What is known of a quantity's values before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A number without a unit.
    Count,
    /// A number with one.
    Of(Dimension),
    /// True or false.
    Truth,
    /// Whatever was read.
    Any,
}

fn kind(of: &Quantity) -> Kind {
    match of {
        Quantity::WireBytes { .. }
        | Quantity::WalBytes { .. }
        | Quantity::Memory { .. }
        | Quantity::Cache { count: CacheCount::Bytes, .. }
        | Quantity::Redis { field: RedisField::UsedMemory, .. } => Kind::Of(Dimension::Bytes),
        Quantity::Http { count: HttpCount::Latency, .. } => Kind::Of(Dimension::Time),
        Quantity::Reading(name) => match name.rsplit_once('.').map(|(_, part)| part) {
            Some("seconds") => Kind::Of(Dimension::Time),
            Some("reached" | "refused") => Kind::Truth,
            Some("answers" | "errors" | "accepted") => Kind::Count,
            _ => Kind::Any,
        },
        // Its words are looked at by themselves.
        Quantity::Growth { .. } => Kind::Any,
        _ => Kind::Count,
    }
}

impl Checker<'_> {
    /// Bounds are of the type and unit of what they bound; and no clock decides.
    pub(super) fn kinds(&mut self, invariant: &Invariant, place: Place<'_>) {
        let of = kind(&invariant.of);
        for (side, bound) in invariant.sides() {
            self.fits(of, invariant.per, bound, place.get(side));
        }
        if of == Kind::Of(Dimension::Time) {
            self.guard(invariant, place);
        }
        if let Quantity::Statements { filter, .. } = &invariant.of
            && let Some(site) = &filter.site
            && site.split(':').skip(1).any(|part| part.starts_with(|c: char| c.is_ascii_digit()))
        {
            let message = "a `site` with a line number: it moves with every edit above it";
            let help = "name the file and the function: `site: shop/tasks.py`, `site: :charge`";
            self.error(Diagnostic::new(message).at(place.get("site").span()).help(help));
        }
    }

    fn fits(&mut self, of: Kind, per: Option<Per>, bound: &Bound, place: Place<'_>) {
        let is_word = matches!(bound, Bound::Is(_));
        let is_truth = bound.holds(&true.into()) || bound.holds(&false.into());
        let message = match of {
            Kind::Any => None,
            Kind::Truth => (!is_truth).then(|| format!("it is true or false, and never `{bound}`")),
            Kind::Count if is_word => Some(format!("it is a count, and never `{bound}`")),
            Kind::Of(_) if is_word => Some(format!("it is a number, and never `{bound}`")),
            Kind::Count | Kind::Of(_) => bound.dimension().and_then(|other| unlike(of, per, other, bound)),
        };
        if let Some(message) = message {
            self.error(Diagnostic::new(message).at(place.span()));
        }
    }
}

/// That the unit of a bound is of another kind than what is measured.
fn unlike(of: Kind, per: Option<Per>, other: Dimension, bound: &Bound) -> Option<String> {
    match of {
        Kind::Of(own) if own == other => None,
        Kind::Of(own) => Some(format!("it is in {}: `{bound}` is in {}", word(own), word(other))),
        _ if per == Some(Per::Second) && other == Dimension::Time => {
            Some(format!("it is a count for each second: `{bound}` is a time"))
        }
        _ => Some(format!("it is a count: `{bound}` is in {}", word(other))),
    }
}

fn word(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Bytes => "bytes",
        Dimension::Time => "seconds",
        Dimension::Percent => "percent",
    }
}
