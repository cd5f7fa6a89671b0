//! A case over releases: what was measured at each, whose bounds that meets, and where it flips.

use indexmap::IndexMap;

use super::text;
use crate::judge::{Expected, MatchedSide, Verdict};
use crate::runner::{ArmReport, CaseReport};

/// Columns of a terminal that a table may take.
const WIDTH: usize = 100;

/// Characters of a reason that are told; all of it is in `results.json`.
const REASON: usize = 300;

/// A case over releases.
#[derive(Debug, Clone)]
pub struct ReleaseTable {
    /// The case's name.
    pub name: String,
    /// What goes wrong.
    pub title: String,
    /// What the releases are of: `django-q2`, `Python`.
    pub axis: String,
    /// What the case says of its invariants, in its order.
    pub expected: IndexMap<String, Expected>,
}

/// A release and what was found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The release.
    pub release: String,
    /// What was found.
    pub found: Found,
}

/// What was found at a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// By invariant.
    Measured(IndexMap<String, Cell>),
    /// It cannot be had here, for this reason.
    Skipped(String),
    /// It could not be measured, for this reason.
    Inconclusive(String),
}

/// A value of an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// As it is shown.
    pub value: String,
    /// Whose bound it meets.
    pub met: MatchedSide,
}

/// A change from one release to the next that was measured.
struct Flip<'r> {
    before: &'r str,
    after: &'r str,
    /// Releases between the two: nothing is known of them.
    between: Vec<&'r str>,
}

impl ReleaseTable {
    /// The row of a release, from the report on the case at it.
    pub fn row(&self, release: &str, report: &CaseReport) -> Row {
        Row { release: release.to_owned(), found: self.found(report) }
    }

    fn found(&self, report: &CaseReport) -> Found {
        if report.verdict == Some(Verdict::Skipped) {
            return Found::Skipped(plain(report.reason.as_deref().unwrap_or("no reason was given")));
        }
        let arms: Vec<&ArmReport> = report.arms.iter().filter(|arm| arm.growth.is_none()).collect();
        if let Some(why) = report.arms.iter().find_map(|arm| arm.broken.as_ref()) {
            return Found::Inconclusive(plain(why));
        }
        let mut cells = IndexMap::new();
        for (name, expected) in &self.expected {
            let mut found = arms.iter().filter_map(|arm| text::find(arm, name));
            let Some(first) = found.next() else { continue };
            let met = expected.met(&first.value);
            if found.any(|other| expected.met(&other.value) != met) {
                return Found::Inconclusive(format!("repetitions differ in `{name}`"));
            }
            cells.insert(name.clone(), Cell { value: text::in_unit(first), met });
        }
        Found::Measured(cells)
    }

    /// The table of these rows, in lines.
    pub fn lines(&self, rows: &[Row]) -> Vec<String> {
        let mut lines = wrap(&format!("{}: {}", self.name, self.title), "");
        let mut notes = Vec::new();
        let columns: Vec<Vec<String>> =
            self.columns(rows).into_iter().map(|name| column(name, rows, &mut notes)).collect();
        let head: Vec<String> = [self.axis.clone()]
            .into_iter()
            .chain(rows.iter().map(|row| row.release.clone()))
            .chain(["flips at".to_owned()])
            .collect();
        for (index, some) in side_by_side(&head, &columns).into_iter().enumerate() {
            if index > 0 {
                lines.push(String::new());
            }
            let table: Vec<Vec<String>> = (0..head.len())
                .map(|line| [&head].into_iter().chain(some).map(|column| column[line].clone()).collect())
                .collect();
            lines.extend(text::table(&table).into_iter().map(|line| format!("  {line}")));
        }
        notes.extend(unmeasured(rows));
        lines.extend(notes.iter().flat_map(|note| wrap(note, "  # ")));
        lines
    }

    /// The invariants that are shown: those that tell the states apart, and the guards that fail somewhere.
    fn columns(&self, rows: &[Row]) -> Vec<&String> {
        let fails =
            |name: &String| rows.iter().any(|row| cell(row, name).is_some_and(|cell| cell.met == MatchedSide::Fails));
        let is_shown = |(name, expected): &(&String, &Expected)| match expected {
            Expected::Telling { .. } => true,
            Expected::Guard(_) => fails(name),
        };
        self.expected.iter().filter(is_shown).map(|(name, _)| name).collect()
    }
}

/// An invariant's column: its name, its cells, and where it flips.
fn column(name: &str, rows: &[Row], notes: &mut Vec<String>) -> Vec<String> {
    let shown = rows.iter().map(|row| match &row.found {
        Found::Measured(cells) => {
            cells.get(name).map_or_else(|| "-".to_owned(), |Cell { value, met }| format!("{value} {met}"))
        }
        Found::Skipped(_) => Verdict::Skipped.to_string(),
        Found::Inconclusive(_) => Verdict::Inconclusive.to_string(),
    });
    let flips = flips(rows, name);
    for flip in flips.iter().filter(|flip| !flip.between.is_empty()) {
        let Flip { before, after, between } = flip;
        notes.push(format!("`{name}` flips between {before} and {after}: {} not measured", were(between)));
    }
    let places = flips.iter().map(|flip| format!("{}{}", flip.after, if flip.between.is_empty() { "" } else { "?" }));
    let places: Vec<String> = places.collect();
    let last = if places.is_empty() { "never".to_owned() } else { places.join(", ") };
    [name.to_owned()].into_iter().chain(shown).chain([last]).collect()
}

/// Why releases were not measured: those with the same reason together.
fn unmeasured(rows: &[Row]) -> Vec<String> {
    let mut reasons: IndexMap<(Verdict, &str), Vec<&str>> = IndexMap::new();
    for row in rows {
        let reason = match &row.found {
            Found::Measured(_) => continue,
            Found::Skipped(why) => (Verdict::Skipped, why.as_str()),
            Found::Inconclusive(why) => (Verdict::Inconclusive, why.as_str()),
        };
        reasons.entry(reason).or_default().push(&row.release);
    }
    let told = reasons.iter().map(|((word, why), releases)| format!("{} {word}: {why}", releases.join(", ")));
    told.collect()
}

/// What a row says of an invariant.
fn cell<'r>(row: &'r Row, name: &str) -> Option<&'r Cell> {
    match &row.found {
        Found::Measured(cells) => cells.get(name),
        Found::Skipped(_) | Found::Inconclusive(_) => None,
    }
}

/// Where an invariant meets another side's bound than at the release before.
fn flips<'r>(rows: &'r [Row], name: &str) -> Vec<Flip<'r>> {
    let known: Vec<(usize, MatchedSide)> =
        rows.iter().enumerate().filter_map(|(index, row)| Some((index, cell(row, name)?.met))).collect();
    let changes = known.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    let flips = changes.map(|pair| Flip {
        before: &rows[pair[0].0].release,
        after: &rows[pair[1].0].release,
        between: rows[pair[0].0 + 1..pair[1].0].iter().map(|row| row.release.as_str()).collect(),
    });
    flips.collect()
}

/// `1.7.4 was`, `1.7.4, 1.7.5 were`.
fn were(releases: &[&str]) -> String {
    format!("{} {}", releases.join(", "), if releases.len() == 1 { "was" } else { "were" })
}

/// Columns in groups that fit beside the head.
fn side_by_side<'c>(head: &[String], columns: &'c [Vec<String>]) -> Vec<&'c [Vec<String>]> {
    let width = |column: &[String]| column.iter().map(|cell| text::columns(cell)).max().unwrap_or(0);
    let (mut groups, mut start, mut used) = (Vec::new(), 0, 0);
    for (index, column) in columns.iter().enumerate() {
        let more = width(column) + 3;
        if index > start && used + more > WIDTH - 2 - width(head) {
            groups.push(&columns[start..index]);
            (start, used) = (index, 0);
        }
        used += more;
    }
    groups.push(&columns[start..]);
    groups
}

/// A tool's words as one line: of uv's, the innermost cause, after which come hints.
fn plain(reason: &str) -> String {
    let told = ["╰─▶", "cause: "].iter().find_map(|mark| reason.rsplit_once(mark)).map_or(reason, |(_, why)| why);
    let told = told.split_once("hint: ").map_or(told, |(why, _)| why);
    let line = told.split_whitespace().collect::<Vec<_>>().join(" ");
    text::cut(&line, REASON)
}

/// Lines of no more than [`WIDTH`], broken between words; each begins with `start`, those after the first with two blanks
/// more.
fn wrap(text: &str, start: &str) -> Vec<String> {
    let mut lines = vec![start.to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().unwrap_or_else(|| unreachable!("there is always a line"));
        let is_fresh = line.ends_with(' ') || line.is_empty();
        if !is_fresh && text::columns(line) + 1 + text::columns(word) > WIDTH {
            lines.push(format!("{start}  {word}"));
        } else {
            line.push_str(if is_fresh { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::case::Bound;

    fn sheet(names: &[&str]) -> ReleaseTable {
        let bound = |value| Bound::parse(&value).expect("a bound");
        let telling = || Expected::Telling { fixed: Some(bound(json!(1))), broken: bound(json!(2)) };
        let mut expected: IndexMap<String, Expected> =
            names.iter().map(|name| ((*name).to_owned(), telling())).collect();
        expected.insert("kept".to_owned(), Expected::Guard(bound(json!(true))));
        ReleaseTable { name: "shop/charges".into(), title: "charged twice".into(), axis: "django-q2".into(), expected }
    }

    fn row(release: &str, cells: &[(&str, &str, MatchedSide)]) -> Row {
        let cell = |(name, value, met): &(&str, &str, MatchedSide)| {
            ((*name).into(), Cell { value: (*value).into(), met: *met })
        };
        Row { release: release.to_owned(), found: Found::Measured(cells.iter().map(cell).collect()) }
    }

    #[test]
    fn a_table_says_where_each_invariant_flips() {
        let rows = [
            row(
                "1.8.0",
                &[
                    ("charges", "2", MatchedSide::Broken),
                    ("rows", "2", MatchedSide::Broken),
                    ("kept", "yes", MatchedSide::Holds),
                ],
            ),
            row(
                "1.9.0",
                &[
                    ("charges", "1", MatchedSide::Fixed),
                    ("rows", "2", MatchedSide::Broken),
                    ("kept", "no", MatchedSide::Fails),
                ],
            ),
            row(
                "1.10.0",
                &[
                    ("charges", "1", MatchedSide::Fixed),
                    ("rows", "2", MatchedSide::Broken),
                    ("kept", "yes", MatchedSide::Holds),
                ],
            ),
        ];
        insta::assert_snapshot!(sheet(&["charges", "rows"]).lines(&rows).join("\n"), @r"
        shop/charges: charged twice
          django-q2   charges    rows       kept
          1.8.0       2 broken   2 broken   yes holds
          1.9.0       1 fixed    2 broken   no fails
          1.10.0      1 fixed    2 broken   yes holds
          flips at    1.9.0      never      1.9.0, 1.10.0
        ");
    }

    #[test]
    fn what_was_not_measured_says_why_and_leaves_an_interval() {
        let uv = "resolve a, b with uv: \n  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no\n      b,  we give up.";
        let rows = [
            row("1.7.3", &[("charges", "2", MatchedSide::Broken)]),
            Row { release: "1.7.4".into(), found: Found::Skipped(plain(uv)) },
            Row { release: "1.7.5".into(), found: Found::Inconclusive("ImportError: x".into()) },
            row("1.7.6", &[("charges", "1", MatchedSide::Fixed)]),
            Row { release: "1.8.0".into(), found: Found::Inconclusive("ImportError: x".into()) },
        ];
        insta::assert_snapshot!(sheet(&["charges"]).lines(&rows).join("\n"), @r"
        shop/charges: charged twice
          django-q2   charges
          1.7.3       2 broken
          1.7.4       SKIPPED
          1.7.5       INCONCLUSIVE
          1.7.6       1 fixed
          1.8.0       INCONCLUSIVE
          flips at    1.7.6?
          # `charges` flips between 1.7.3 and 1.7.6: 1.7.4, 1.7.5 were not measured
          # 1.7.4 SKIPPED: Because there is no b, we give up.
          # 1.7.5, 1.8.0 INCONCLUSIVE: ImportError: x
        ");
    }

    #[test]
    fn of_a_tools_words_the_innermost_cause_is_told() {
        let uv =
            "resolve a with uv: \n  error: No solution found\n    cause: Because\n    there is no a.\n  hint: try b";
        assert_eq!(plain(uv), "Because there is no a.");
        assert_eq!(plain("ImportError:\n  no module"), "ImportError: no module");
        assert_eq!(plain(&"x".repeat(400)).chars().count(), REASON);
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let names: Vec<String> = (0..9).map(|index| format!("an invariant with a name {index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let cells: Vec<_> = names.iter().map(|name| (*name, "123456", MatchedSide::Neither)).collect();
        let skipped = Row { release: "1.9.0".into(), found: Found::Skipped("no good reason ".repeat(30)) };
        let lines = sheet(&names).lines(&[row("1.8.0", &cells), skipped]);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        for name in names {
            assert_eq!(lines.iter().filter(|line| line.contains(name)).count(), 1, "{name} in {lines:#?}");
        }
    }
}
