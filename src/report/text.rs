//! What reports have in common: values, times and tables as people read them.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::plan::State;
use crate::runner::{ArmReport, CaseReport, FixReport, GrowthReport, InvariantReport, Setting};

/// What a run stands on, in a line, and a line for each thing that could not be had.
pub fn setting(setting: &Setting) -> Vec<String> {
    let redis = setting.redis.as_ref().map(|redis| format!(", {redis}")).unwrap_or_default();
    let python =
        if setting.python.is_empty() { String::new() } else { format!(" · Python {}", setting.python.join(", ")) };
    let lanes = if setting.lanes == 1 { "lane" } else { "lanes" };
    let line = format!("# {}{redis} ({}){python} · {} {lanes}", setting.postgres, setting.services, setting.lanes);
    [line].into_iter().chain(setting.notes.iter().map(|note| format!("# {note}"))).collect()
}

/// A value as a reader wants it: no more than six significant digits, long texts cut.
pub fn value(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let digits = (5 - number.abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
            let text = format!("{number:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "none".to_owned(),
        Value::String(text) => cut(text, 40),
        other => other.to_string(),
    }
}

/// What was measured, in the unit in which its bound is written: `0.32 GB` beside `<= 0.4 GB`.
pub fn in_unit(found: &InvariantReport) -> String {
    const KI: f64 = 1024.0;
    const UNITS: [(&str, f64); 7] =
        [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("GiB", KI * KI * KI), ("MiB", KI * KI), ("KiB", KI)];
    let unit = UNITS.iter().find(|(unit, _)| found.bound.split_whitespace().any(|word| word.starts_with(unit)));
    match (unit, found.value.as_f64()) {
        (Some((unit, size)), Some(bytes)) => format!("{:.2} {unit}", bytes / size),
        _ => value(&found.value),
    }
}

/// Seconds as milliseconds.
pub fn ms(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}

/// An arm in words: its state, and of which fix.
pub fn arm(arm: &ArmReport) -> String {
    arm.fix.as_ref().map_or_else(|| arm.state.to_string(), |fix| format!("{fix}, {}", arm.state))
}

/// The numbers that tell the states apart: `listed 1 applied · 122 reverted, cache writes 1 · 2, 3/3 edits pinned`. Of
/// several fixes, those of the one that gave the case its verdict.
pub fn headline(case: &CaseReport) -> String {
    let telling = case.fixes.iter().find(|fix| fix.verdict == case.verdict).and_then(|fix| fix.fix.as_ref());
    let arms = both(case, telling);
    // Where one arm broke, the other knows the invariants.
    let measured = arms.iter().rev().find(|arm| !arm.invariants.is_empty());
    let names = measured.into_iter().flat_map(|arm| &arm.invariants).filter(|invariant| !invariant.guard).take(3);
    let pairs = names.enumerate().map(|(index, invariant)| {
        let shown = |arm: &&ArmReport| {
            let value = find(arm, &invariant.name).map_or_else(|| "–".to_owned(), in_unit);
            if index == 0 { format!("{value} {}", arm.state) } else { value }
        };
        format!("{} {}", invariant.name, arms.iter().map(shown).collect::<Vec<_>>().join(" · "))
    });
    let fix = case.fixes.iter().find(|fix| fix.fix.as_ref() == telling);
    let edits = fix.map_or(&[][..], |fix| &fix.edits);
    let pinned = (!edits.is_empty()).then(|| {
        let pinned = edits.iter().filter(|edit| !edit.pinned_by.is_empty()).count();
        format!("{pinned}/{} edits pinned", edits.len())
    });
    let agreed = fix.and_then(|fix| match fix.agreement {
        (agreeing, of @ 2..) => Some(format!("{agreeing}/{of} repetitions agree")),
        _ => None,
    });
    pairs.chain(pinned).chain(agreed).collect::<Vec<_>>().join(", ")
}

/// The arms that a verdict compares: the fixed state (or the control's) first, then the reverted one.
pub fn both<'c>(case: &'c CaseReport, fix: Option<&String>) -> Vec<&'c ArmReport> {
    let is_fixed = |arm: &&ArmReport| arm.fix.as_ref() == fix && matches!(arm.state, State::Applied | State::Control);
    let fixed = case.arms.iter().find(is_fixed);
    let reverted = case.arms.iter().find(|arm| arm.state == State::Reverted);
    fixed.into_iter().chain(reverted).collect()
}

/// The invariants' names, from the arm that measured most of them: one that broke measured none.
fn names<'c>(arms: impl IntoIterator<Item = &'c ArmReport>) -> Vec<&'c str> {
    let all = arms.into_iter().map(|arm| &arm.invariants).max_by_key(|invariants| invariants.len());
    all.into_iter().flatten().map(|invariant| invariant.name.as_str()).collect()
}

/// A cell of a table: what was measured, with a `!` where it is not within its bound.
fn cell(found: &InvariantReport) -> String {
    let mark = match (found.holds, found.guard) {
        (true, _) => "",
        (false, true) => " ! guard",
        (false, false) => " !",
    };
    format!("{}{mark}", in_unit(found))
}

/// An invariant of an arm, by name.
pub fn find<'a>(arm: &'a ArmReport, name: &str) -> Option<&'a InvariantReport> {
    arm.invariants.iter().find(|invariant| invariant.name == name)
}

/// The kill matrix of a fix: a row per edit taken back, a column per invariant, with the value that
/// was measured and a `!` where the applied bound noticed. No rows without edits.
pub fn kill_matrix(case: &CaseReport, fix: &FixReport) -> Vec<String> {
    let of = |state: &State| case.arms.iter().find(|arm| arm.fix == fix.fix && arm.state == *state);
    if fix.edits.is_empty() {
        return Vec::new();
    }
    let names = names(&case.arms);
    let row = |head: &str, arm: Option<&ArmReport>, tail: &str| -> Vec<String> {
        let cells = names.iter().map(|name| arm.and_then(|arm| find(arm, name)).map_or_else(|| "-".to_owned(), cell));
        [head.to_owned()].into_iter().chain(cells).chain([tail.to_owned()]).collect()
    };
    let heads = ["taken back"].into_iter().chain(names.iter().copied()).chain(["alone"]);
    let mut rows = vec![heads.map(str::to_owned).collect(), row("(none)", of(&State::Applied), "")];
    for edit in &fix.edits {
        let alone = match edit.sufficient_alone {
            Some(true) => "suffices",
            Some(false) => "does not suffice",
            None => "",
        };
        rows.push(row(&edit.edit, of(&State::Without(edit.edit.clone())), alone));
    }
    table(&rows)
}

/// Every invariant with its value and bound in the applied (or control) and in the reverted state.
pub fn invariants(case: &CaseReport, fix: &FixReport) -> Vec<String> {
    let arms = both(case, fix.fix.as_ref());
    let names = names(arms.iter().copied());
    let mut rows = vec![
        ["invariant".to_owned()]
            .into_iter()
            .chain(arms.iter().flat_map(|arm| [arm.state.to_string(), "bound".to_owned()]))
            .collect::<Vec<_>>(),
    ];
    for name in names {
        let cells = arms.iter().flat_map(|arm| match find(arm, name) {
            Some(found) => [cell(found), found.bound.clone()],
            None => ["–".to_owned(), String::new()],
        });
        rows.push([name.to_owned()].into_iter().chain(cells).collect());
    }
    table(&rows)
}

/// How values grow: class, goodness and points of each state.
pub fn growths(fix: &FixReport) -> Vec<String> {
    let line = |growth: &GrowthReport| {
        let points: Vec<String> =
            growth.points.iter().map(|(x, y)| format!("{x} → {}", value(&Value::from(*y)))).collect();
        let goodness = growth.goodness.map(|goodness| format!(" (R² {goodness:.3})")).unwrap_or_default();
        format!("{}, {}: {}{goodness}: {}", growth.name, growth.state, growth.class, points.join(", "))
    };
    fix.growths.iter().map(line).collect()
}

/// Who wrote a table in an arm; most statements first.
pub fn writers(arm: &ArmReport) -> Vec<String> {
    let all: u64 = arm.writes.iter().map(|writer| writer.statements).sum();
    let heads = ["writer", "role", "verb", "statements", "rows", "share", "where"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for writer in &arm.writes {
        let name = if writer.is_stranger { format!("{} (a stranger)", writer.writer) } else { writer.writer.clone() };
        let share = format!("{:.0} %", writer.statements as f64 * 100.0 / all.max(1) as f64);
        let (statements, touched) = (writer.statements.to_string(), writer.rows.to_string());
        rows.push(vec![
            name,
            writer.role.clone(),
            writer.verb.clone(),
            statements,
            touched,
            share,
            writer.site.clone(),
        ]);
    }
    if arm.writes.is_empty() { vec!["nobody wrote it".to_owned()] } else { table(&rows) }
}

/// How many columns of a terminal a text takes: wide characters take two.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// A text with blanks behind it, up to so many columns.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// A text in at most so many columns; what is too long ends in an ellipsis.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |character: &char| {
        let needed = character.width().unwrap_or(0);
        let fits = needed <= left;
        left -= if fits { needed } else { left };
        fits
    };
    text.chars().take_while(fits).chain((width > 0).then_some('…')).collect()
}

/// A text in one line, which tells a terminal nothing: control characters are written as escapes.
pub fn plain(text: &str) -> String {
    let plain = |character: char| -> String {
        if character.is_control() { character.escape_default().collect() } else { character.to_string() }
    };
    text.chars().map(plain).collect()
}

/// Rows with their columns aligned.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| columns(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| padded(cell, width));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!(7), "7")]
    #[case(json!(6.5), "6.5")]
    #[case(json!(0.333_333_333), "0.333333")]
    #[case(json!(1_234_567.5), "1234568")]
    #[case(json!(true), "yes")]
    #[case(json!(null), "none")]
    #[case(json!("x".repeat(50)), &format!("{}…", "x".repeat(39)))]
    fn values_are_short(#[case] given: Value, #[case] expected: &str) {
        assert_eq!(value(&given), expected);
    }

    #[rstest]
    #[case(json!(317_585_664), "<= 0.4 GB", "0.32 GB")]
    #[case(json!(3_837_286_656_u64), "3.5 GB..4.5 GB", "3.84 GB")]
    #[case(json!(5_767_168), "<= 16 MiB", "5.50 MiB")]
    #[case(json!(7), "7", "7")]
    fn bytes_are_shown_in_the_unit_of_their_bound(#[case] value: Value, #[case] bound: &str, #[case] expected: &str) {
        let (name, bound) = ("traffic".to_owned(), bound.to_owned());
        let found =
            InvariantReport { name, value, bound, holds: true, guard: false, writers: Vec::new(), instead: None };
        assert_eq!(in_unit(&found), expected);
    }

    #[rstest]
    #[case("shop", 4, "shop")]
    #[case("shop/orders", 6, "shop/…")]
    #[case("注文の請求", 10, "注文の請求")]
    #[case("注文の請求", 9, "注文の請…")]
    #[case("注文の請求", 8, "注文の…")]
    #[case("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…")]
    #[case("shop", 1, "…")]
    #[case("shop", 0, "")]
    fn texts_are_cut_to_columns_of_a_terminal(#[case] text: &str, #[case] width: usize, #[case] expected: &str) {
        assert_eq!(cut(text, width), expected);
        assert!(columns(expected) <= width);
    }

    #[test]
    fn columns_line_up_and_lines_do_not_end_in_blanks() {
        let rows = vec![
            vec!["a".to_owned(), "long".to_owned(), String::new()],
            vec!["bbb".to_owned(), "c".to_owned(), "d".to_owned()],
        ];
        assert_eq!(table(&rows), ["a     long", "bbb   c      d"]);
        let rows = [["注文", "x"], ["abcd", "y"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), ["注文   x", "abcd   y"]);
    }
}
