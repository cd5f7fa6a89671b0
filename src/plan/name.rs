//! Names of arms, as their files are called: no two arms of a run share one, whatever cases, fixes and edits are called.
//!
//! Parts are joined by a dot, which is in none of them: `django_q.stat_master_list.upstream.without=prune`.

use std::fmt::Write as _;

use super::{Arm, State};

/// File systems take 255 bytes; an ending comes after a name.
const LENGTH: usize = 200;

/// Bytes of a name that is too long, before what stands for the rest.
const KEPT: usize = 160;

impl Arm {
    /// A name that is unique in its case: `reverted`, `upstream.applied`.
    pub fn label(&self) -> String {
        let state = match &self.state {
            State::Without(edit) => format!("without={}", part(edit)),
            State::Only(edit) => format!("only={}", part(edit)),
            whole @ (State::Reverted | State::Applied | State::Control) => whole.to_string(),
        };
        let growth = self.growth.as_ref().map(|value| format!("growth={}", part(&value.to_string())));
        let repetition = (self.repetition > 0).then(|| format!("repetition={}", self.repetition + 1));
        let parts: Vec<String> =
            self.fix.iter().map(|fix| part(fix)).chain([state]).chain(growth).chain(repetition).collect();
        parts.join(".")
    }

    /// A name that is unique in a run; `case` is the case's: `django_q.stat_master_list.upstream.applied`.
    pub fn name(&self, case: &str) -> String {
        let parts: Vec<String> = case.split('/').map(part).collect();
        let name = format!("{}.{}", parts.join("."), self.label());
        if name.len() <= LENGTH {
            return name;
        }
        let hash = blake3::hash(name.as_bytes()).to_hex();
        // No other name has a tilde.
        format!("{}~{}", &name[..name.floor_char_boundary(KEPT)], &hash[..32])
    }
}

/// A name as a part: letters, digits, `_` and `-` as they are, a space as `+`, each byte of all else as `%` and two digits.
fn part(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            letter if letter.is_alphanumeric() || matches!(letter, '_' | '-') => text.push(letter),
            ' ' => text.push('+'),
            other => {
                for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "%{byte:02X}");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn arm(fix: Option<&str>, state: State, growth: Option<u64>, repetition: u32) -> Arm {
        let (fix, growth) = (fix.map(str::to_owned), growth.map(|value| json!(value)));
        Arm { case: 0, fix, state, repetition, growth, resolved: Arc::default() }
    }

    #[rstest]
    #[case::a_folder("a/b", "a-b")]
    #[case::a_dot("a.b", "a/b")]
    #[case::capitals("A", "a")]
    #[case::a_mark("a b", "a+b")]
    fn cases_that_differ_have_logs_of_their_own(#[case] one: &str, #[case] other: &str) {
        let arm = arm(None, State::Reverted, None, 0);
        assert_ne!(arm.name(one), arm.name(other));
    }

    #[test]
    fn a_repetition_is_no_point_of_a_growth() {
        let (repetition, point) = (arm(Some("f"), State::Applied, None, 1), arm(Some("f"), State::Applied, Some(2), 0));
        assert_eq!(repetition.name("a/b c"), "a.b+c.f.applied.repetition=2");
        assert_eq!(point.name("a/b c"), "a.b+c.f.applied.growth=2");
    }

    /// What names are made of, and what stands between them.
    fn named() -> impl Strategy<Value = String> {
        proptest::string::string_regex("(applied|reverted|only|without|[a-c.=/+%~ é-]|2){1,4}").expect("a pattern")
    }

    /// An arm as a plan has it: only a fix can be without an edit.
    fn any_arm() -> impl Strategy<Value = (String, Arm)> {
        let state = (0..4_usize, named());
        let case = proptest::string::string_regex("[ab.=+%-]{1,3}(/(applied|[ab.=]{1,2})){0,2}").expect("a pattern");
        (case, named(), state, proptest::option::of(1..4_u64), 0..3_u32).prop_map(
            |(case, fix, (state, edit), growth, repetition)| {
                let (fix, state) = match state {
                    0 => (None, State::Reverted),
                    1 => (Some(fix), State::Applied),
                    2 => (Some(fix), State::Without(edit)),
                    _ => (Some(fix), State::Only(edit)),
                };
                (case, arm(fix.as_deref(), state, growth, repetition))
            },
        )
    }

    proptest! {
        #[test]
        fn no_two_arms_share_a_name(one in any_arm(), other in any_arm()) {
            prop_assert_eq!(one == other, one.1.name(&one.0) == other.1.name(&other.0));
        }

        #[test]
        fn a_name_is_one_that_file_systems_take(case in "\\PC{1,90}", fix in "\\PC{1,60}", edit in "\\PC{1,60}") {
            let name = arm(Some(&fix), State::Without(edit), None, 0).name(&case);
            prop_assert!(name.len() <= LENGTH && !name.contains('/'), "{}", name);
        }
    }
}
