//! One quantity per invariant.

use serde_json::Value;

use super::Lower;
use crate::case::diagnostic::{Diagnostic, nearest};
use crate::case::file::{InvariantFile, Verbatim};
use crate::case::model::{
    CacheCount, HttpCount, Invariant, Quantity, RedisField, Scalar, StateBounds, StatementFilter, StatusFilter,
    TaskCount, WRITES,
};
use crate::case::node::Place;

/// What each measurement takes.
const FIELDS: [(&str, &[&str]); 28] = [
    ("statements", &["verb", "table", "matching", "site", "actor", "during", "per", "unit"]),
    ("rows", &["table", "during"]),
    ("wire_bytes", &["direction", "actor", "during", "per"]),
    ("connections", &["actor", "during", "per"]),
    ("wal_bytes", &["table", "during", "per"]),
    ("writers", &["table", "verbs", "allowed", "during"]),
    ("tasks.lost", &[]),
    ("tasks.duplicated", &[]),
    ("tasks.executed", &[]),
    ("tasks.queued", &[]),
    ("tasks.succeeded", &[]),
    ("tasks.failed", &[]),
    ("effects", &["key"]),
    ("log", &["matching", "during"]),
    ("redis", &["field", "during"]),
    ("requests", &["actor", "matching", "during", "per"]),
    ("http.answers", &["status", "matching", "during", "per"]),
    ("http.errors", &["during"]),
    ("http.latency", &["during"]),
    ("cache.hits", &["actor", "during", "per"]),
    ("cache.misses", &["actor", "during", "per"]),
    ("cache.revalidations", &["actor", "during", "per"]),
    ("cache.entries", &["actor", "during"]),
    ("cache.bytes", &["actor", "during"]),
    ("cache.errors", &["actor", "during"]),
    ("growth", &["in"]),
    ("memory", &["actor", "during"]),
    ("fetches", &["actor", "during", "per", "unit"]),
];

/// The measurements: what `of` knows besides readings.
pub fn measurements<'a>() -> impl Iterator<Item = &'a str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// `a`, `b` and `c`.
fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        other => other.concat(),
    }
}

impl Lower<'_> {
    /// One quantity, and its bounds.
    pub(super) fn invariant(&mut self, name: &str, file: InvariantFile, place: Place<'_>) -> Invariant {
        let line = place.key_span().line;
        let bounds = self.bounds(name, &file, place);
        let per = file.per;
        let of = file.of.clone().unwrap_or_else(|| name.to_owned());
        self.fields(&of, &file, place);
        Invariant { of: self.quantity(of, file, place), per, bounds, line }
    }

    /// Rejects what does not belong to this quantity.
    fn fields(&mut self, of: &str, file: &InvariantFile, place: Place<'_>) {
        let given = [
            ("verb", file.verb.is_some()),
            ("table", file.table.is_some()),
            ("matching", file.matching.is_some()),
            ("site", file.site.is_some()),
            ("actor", file.actor.is_some()),
            ("during", file.during.is_some()),
            ("per", file.per.is_some()),
            ("unit", file.unit.is_some()),
            ("direction", file.direction.is_some()),
            ("verbs", file.verbs.is_some()),
            ("allowed", file.allowed.is_some()),
            ("key", file.key.is_some()),
            ("status", file.status.is_some()),
            ("field", file.field.is_some()),
            ("in", file.growing.is_some()),
        ];
        let own = FIELDS.iter().find(|(measurement, _)| *measurement == of).map(|(_, fields)| *fields);
        for (field, _) in given.iter().filter(|(field, given)| *given && !own.unwrap_or_default().contains(field)) {
            let what = match of {
                "rows" => "`rows` of a table".to_owned(),
                _ if own.is_some() => format!("`{of}`"),
                reading => format!("the reading `{reading}`"),
            };
            let mut takers = FIELDS.iter().filter(|(_, fields)| fields.contains(field)).map(|(name, _)| *name);
            let help = match own {
                _ if *field == "per" => {
                    "`per` divides a count of statements, bytes, connections or requests".to_owned()
                }
                Some([]) => format!("`{of}` is of the whole case and takes nothing"),
                Some(fields) => format!("`{of}` takes {}", listed(fields)),
                None => format!(
                    "did you mean `of: {}`?",
                    nearest(of, takers.clone()).or_else(|| takers.next()).unwrap_or_default()
                ),
            };
            let message = format!("`{field}` does not belong to {what}");
            self.error(Diagnostic::new(message).at(place.get(field).key_span()).help(help));
        }
    }

    fn quantity(&mut self, of: String, file: InvariantFile, place: Place<'_>) -> Quantity {
        let during = file.during;
        match of.as_str() {
            "statements" => Quantity::Statements {
                filter: StatementFilter {
                    verb: file.verb.map(|verb| verb.to_uppercase()),
                    table: file.table,
                    matching: file.matching,
                    site: file.site,
                    actor: file.actor,
                    during,
                },
                unit: file.unit.unwrap_or_default(),
            },
            "rows" => Quantity::Rows { table: self.needed(&of, "table", file.table, place), during },
            "wire_bytes" => {
                Quantity::WireBytes { direction: file.direction.unwrap_or_default(), actor: file.actor, during }
            }
            "connections" => Quantity::Connections { actor: file.actor, during },
            "wal_bytes" => Quantity::WalBytes { table: file.table, during },
            "writers" => Quantity::Writers {
                table: self.needed(&of, "table", file.table, place),
                verbs: self.verbs(file.verbs, place.get("verbs")),
                allowed: file.allowed.unwrap_or_default(),
                during,
            },
            "effects" => Quantity::Effects { key: file.key },
            "log" => Quantity::Log { matching: self.needed(&of, "matching", file.matching, place), during },
            "redis" => {
                if file.field.is_none() {
                    self.needed(&of, "field", None, place);
                }
                Quantity::Redis { field: file.field.unwrap_or(RedisField::Keys), during }
            }
            "memory" => Quantity::Memory { actor: self.needed(&of, "actor", file.actor, place), during },
            "fetches" => Quantity::Fetches { actor: file.actor, unit: file.unit.unwrap_or_default(), during },
            "requests" => Quantity::Requests { actor: file.actor, matching: file.matching, during },
            "http.answers" => {
                let status = file.status.and_then(|Verbatim(status)| self.status(&status, place.get("status")));
                Quantity::Http { count: HttpCount::Answers, status, matching: file.matching, during }
            }
            "http.errors" => Quantity::Http { count: HttpCount::Errors, status: None, matching: None, during },
            "http.latency" => Quantity::Http { count: HttpCount::Latency, status: None, matching: None, during },
            "growth" => Quantity::Growth { of: self.needed(&of, "in", file.growing, place) },
            _ => {
                let task = TaskCount::ALL.into_iter().find(|(name, _)| *name == of);
                let cache = CacheCount::ALL.into_iter().find(|(name, _)| *name == of);
                match (task, cache) {
                    (Some((_, count)), _) => Quantity::Tasks(count),
                    (_, Some((_, count))) => Quantity::Cache { count, actor: file.actor, during },
                    _ => Quantity::Reading(of),
                }
            }
        }
    }

    fn needed(&mut self, of: &str, field: &str, value: Option<String>, place: Place<'_>) -> String {
        value.unwrap_or_else(|| {
            let help = match field {
                "in" => "name the invariant whose value grows: `in: NAME`",
                "matching" => "say which lines: `matching: \"KeyError\"`",
                "actor" => "name it: `actor: NAME`",
                "field" => "say what of it: keys, used_memory, evicted_keys, expired_keys or commands",
                _ => "name it: `table: NAME`",
            };
            let message =
                format!("`of: {of}` needs {} `{field}`", if matches!(field, "in" | "actor") { "an" } else { "a" });
            self.error(Diagnostic::new(message).at(place.get("of").span()).help(help));
            String::new()
        })
    }

    fn status(&mut self, status: &str, place: Place<'_>) -> Option<StatusFilter> {
        let filter = StatusFilter::parse(status);
        if filter.is_none() {
            let message = format!("`{status}` is not the status of an answer");
            self.error(Diagnostic::new(message).at(place.span()).help("write `200`, or a class: `2xx`"));
        }
        filter
    }

    fn verbs(&mut self, verbs: Option<Vec<String>>, place: Place<'_>) -> Vec<String> {
        let Some(verbs) = verbs else { return WRITES.map(str::to_owned).to_vec() };
        if verbs.is_empty() {
            self.error(Diagnostic::new("`verbs` names none").at(place.key_span()).help("leave it out: all that write"));
        }
        let mut upper: Vec<String> = Vec::with_capacity(verbs.len());
        for (index, verb) in verbs.iter().enumerate() {
            let verb = verb.to_uppercase();
            if !WRITES.contains(&verb.as_str()) {
                let unknown = Diagnostic::new(format!("`{verb}` is not a verb that writes"));
                self.error(unknown.at(place.item(index).span()).suggest(&verb, WRITES));
            }
            if !upper.contains(&verb) {
                upper.push(verb);
            }
        }
        upper
    }

    fn bounds(&mut self, name: &str, file: &InvariantFile, place: Place<'_>) -> StateBounds<Scalar> {
        let at = place.key_span();
        match (&file.applied, &file.reverted, &file.both) {
            (None, None, Some(both)) => return StateBounds::Both(both.clone()),
            (Some(applied), Some(reverted), None) if self.has_fixes => {
                return StateBounds::Each { applied: Some(applied.clone()), reverted: reverted.clone() };
            }
            (None, Some(reverted), None) if !self.has_fixes => {
                return StateBounds::Each { applied: None, reverted: reverted.clone() };
            }
            (Some(_), _, None) if !self.has_fixes => self.error(
                Diagnostic::new(format!("`{name}` bounds the applied state, but the case has no fix"))
                    .at(place.get("applied").key_span())
                    .help("give `reverted`, and what holds without the bug under `control`"),
            ),
            (None, None, None) => self.error(
                Diagnostic::new(format!("`{name}` has no bounds"))
                    .at(at)
                    .help("give `applied` and `reverted`, or `both`"),
            ),
            (_, _, Some(_)) => self.error(
                Diagnostic::new(format!("`{name}` has `both` next to a state of its own"))
                    .at(place.get("both").key_span())
                    .help("give `applied` and `reverted`, or `both` alone"),
            ),
            (applied, _, None) => {
                let missing = if applied.is_some() { "reverted" } else { "applied" };
                let help =
                    "an invariant that says nothing about one state cannot tell the two apart; a guard says `both`";
                self.error(Diagnostic::new(format!("`{name}` has no `{missing}` bound")).at(at).help(help));
            }
        }
        StateBounds::Both(Scalar(Value::Null))
    }
}
