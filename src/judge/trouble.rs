//! What broke in an arm is not measured: an exception that no bound describes makes the arm inconclusive.

use std::fmt;

use serde_json::Value;

use crate::case::{Bound, HttpCount, Quantity, TaskCount};

/// Something that went wrong inside the app, and that somebody else caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it came out of.
    pub kind: TroubleKind,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub at: u64,
    /// The exception and its place, or the answer.
    pub said: String,
}

/// What an exception came out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// A task: it has failed.
    Task,
    /// A request, by an exception.
    Request,
    /// An answer of 500 or more, which somebody may have meant.
    Answer,
    /// A step of the case, which caught whatever came.
    Step,
    /// A thread.
    Thread,
}

impl fmt::Display for TroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Task => "a task failed",
            Self::Request | Self::Answer => "a request failed",
            Self::Step => "a step caught what says that code cannot work",
            Self::Thread => "a thread failed",
        })
    }
}

/// An invariant as it was measured in an arm.
pub struct Measured<'m> {
    /// What it looks at.
    pub of: &'m Quantity,
    /// What was measured.
    pub value: &'m Value,
    /// What the case says of it, in whatever state.
    pub bounds: Vec<&'m Bound>,
    /// The window that it looks at: `CLOCK_MONOTONIC` in nanoseconds, both ends inclusive.
    pub window: (u64, u64),
}

impl Measured<'_> {
    /// Whether the case says that this happens: the invariant counts such troubles, and one of its bounds has as many.
    fn describes(&self, trouble: &Trouble) -> bool {
        if !(self.window.0..=self.window.1).contains(&trouble.at) {
            return false;
        }
        match trouble.kind {
            // Whoever looks at answers of that kind says what is wrong with them.
            TroubleKind::Answer => looks_at_answers(self.of),
            kind => {
                let none = self.value.as_u64() == Some(0);
                counts(self.of, kind) && !none && self.bounds.iter().any(|bound| bound.holds(self.value))
            }
        }
    }
}

/// Whether a quantity tells good answers from others.
fn looks_at_answers(of: &Quantity) -> bool {
    match of {
        Quantity::Http { count: HttpCount::Answers, status, .. } => status.is_some(),
        of => counts(of, TroubleKind::Request),
    }
}

/// Whether troubles of this kind are among what a quantity counts.
fn counts(of: &Quantity, kind: TroubleKind) -> bool {
    match (of, kind) {
        (Quantity::Tasks(count), TroubleKind::Task) => *count == TaskCount::Failed,
        (Quantity::Http { count, status, .. }, TroubleKind::Request) => match count {
            HttpCount::Errors => true,
            HttpCount::Answers => status.is_some_and(|status| status.to >= 500),
            HttpCount::Latency => false,
        },
        (Quantity::Reading(name), TroubleKind::Request) => name.ends_with(".status") || name.ends_with(".errors"),
        _ => false,
    }
}

/// Why an arm was not measured: the first trouble that no bound describes, and how many more there are.
pub fn undescribed(troubles: &[Trouble], measured: &[Measured<'_>]) -> Option<String> {
    let mut others = troubles.iter().filter(|trouble| !measured.iter().any(|one| one.describes(trouble)));
    let first = others.next()?;
    let more = others.count();
    let more = if more == 0 { String::new() } else { format!(", and {more} more like it") };
    let help = match first.kind {
        TroubleKind::Task => "where tasks are to fail, bound `tasks.failed`",
        TroubleKind::Request | TroubleKind::Answer => "where requests are to fail, bound `http.errors`",
        TroubleKind::Step => "where the step means it, name it in `except`",
        TroubleKind::Thread => "nothing that it left undone can be told",
    };
    Some(format!("{}: {}{more}; {help}", first.kind, first.said))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::case::StatusFilter;

    fn http(count: HttpCount, status: Option<&str>) -> Quantity {
        Quantity::Http { count, status: status.and_then(StatusFilter::parse), matching: None, during: None }
    }

    #[rstest]
    #[case::failed_tasks(Quantity::Tasks(TaskCount::Failed), TroubleKind::Task, true)]
    #[case::other_tasks(Quantity::Tasks(TaskCount::Succeeded), TroubleKind::Task, false)]
    #[case::errors(http(HttpCount::Errors, None), TroubleKind::Request, true)]
    #[case::errors_say_nothing_of_tasks(http(HttpCount::Errors, None), TroubleKind::Task, false)]
    #[case::any_answer(http(HttpCount::Answers, None), TroubleKind::Request, false)]
    #[case::good_answers(http(HttpCount::Answers, Some("2xx")), TroubleKind::Request, false)]
    #[case::bad_answers(http(HttpCount::Answers, Some("503")), TroubleKind::Request, true)]
    #[case::at_the_edge(http(HttpCount::Answers, Some("500")), TroubleKind::Request, true)]
    #[case::latency(http(HttpCount::Latency, None), TroubleKind::Request, false)]
    #[case::status_of_a_step(Quantity::Reading("first.status".into()), TroubleKind::Request, true)]
    #[case::errors_of_a_step(Quantity::Reading("first.errors".into()), TroubleKind::Request, true)]
    #[case::answers_of_a_step(Quantity::Reading("first.answers".into()), TroubleKind::Request, false)]
    #[case::thread(Quantity::Tasks(TaskCount::Failed), TroubleKind::Thread, false)]
    #[case::step(Quantity::Reading("first.errors".into()), TroubleKind::Step, false)]
    fn an_invariant_counts_troubles_of_its_kind(
        #[case] of: Quantity,
        #[case] kind: TroubleKind,
        #[case] expected: bool,
    ) {
        assert_eq!(counts(&of, kind), expected);
    }

    #[rstest]
    #[case::as_many_as_a_bound_says(2, 5, None)]
    #[case::of_no_bound(3, 5, Some("a task failed: ValueError: x (a.py:1:f in q), and 1 more like it"))]
    #[case::before_the_window(2, 0, Some("a task failed: ValueError: x (a.py:1:f in q), and 1 more like it"))]
    #[case::after_the_window(2, 9, Some("a task failed: ValueError: x (a.py:1:f in q), and 1 more like it"))]
    #[case::its_first_moment(2, 1, None)]
    #[case::its_last_moment(2, 8, None)]
    fn what_no_bound_describes_is_told(#[case] value: u64, #[case] at: u64, #[case] expected: Option<&str>) {
        let of = Quantity::Tasks(TaskCount::Failed);
        let bounds = [json!(0), json!(2)].map(|bound| Bound::parse(&bound).expect("a bound"));
        let value = json!(value);
        let measured = Measured { of: &of, value: &value, bounds: bounds.iter().collect(), window: (1, 8) };
        let said = "ValueError: x (a.py:1:f in q)".to_owned();
        let trouble = Trouble { kind: TroubleKind::Task, at, said };
        let told = undescribed(&[trouble.clone(), trouble], &[measured]);
        assert_eq!(told.as_deref().and_then(|told| told.split("; ").next()), expected);
    }

    #[test]
    fn a_count_of_none_describes_nothing() {
        let of = Quantity::Tasks(TaskCount::Failed);
        let (none, bound) = (json!(0), Bound::parse(&json!(0)).expect("a bound"));
        let measured = Measured { of: &of, value: &none, bounds: vec![&bound], window: (0, 9) };
        let trouble = Trouble { kind: TroubleKind::Task, at: 1, said: "x".to_owned() };
        assert!(undescribed(&[trouble], &[measured]).is_some());
    }

    #[rstest]
    #[case::good_ones(http(HttpCount::Answers, Some("200")), false)]
    #[case::any(http(HttpCount::Answers, None), true)]
    #[case::errors(http(HttpCount::Errors, None), false)]
    #[case::tasks(Quantity::Tasks(TaskCount::Failed), true)]
    fn an_answer_that_the_app_gave_is_described_by_whoever_looks_at_answers(
        #[case] of: Quantity,
        #[case] is_told: bool,
    ) {
        let (value, bound) = (json!(3), Bound::parse(&json!(16)).expect("a bound"));
        let measured = Measured { of: &of, value: &value, bounds: vec![&bound], window: (0, 9) };
        let trouble = Trouble { kind: TroubleKind::Answer, at: 1, said: "GET /: 503".to_owned() };
        assert_eq!(undescribed(&[trouble], &[measured]).is_some(), is_told);
    }

    #[test]
    fn where_nothing_went_wrong_there_is_nothing_to_tell() {
        assert_eq!(undescribed(&[], &[]), None);
    }
}
