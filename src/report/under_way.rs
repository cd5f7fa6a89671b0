//! The arms that are played now, for the line that says what is under way.

use crate::plan::State;

/// Arms that have begun and not ended, in that order.
#[derive(Debug, Default)]
pub struct UnderWay {
    arms: Vec<String>,
}

impl UnderWay {
    /// An arm begins; what is under way then.
    pub fn begins(&mut self, case: &str, state: &State) -> String {
        self.arms.push(name(case, state));
        self.line()
    }

    /// An arm is over; what is still under way.
    pub fn ends(&mut self, case: &str, state: &State) -> String {
        let name = name(case, state);
        if let Some(at) = self.arms.iter().position(|arm| *arm == name) {
            self.arms.remove(at);
        }
        self.line()
    }

    /// The one that began last, and how many others.
    fn line(&self) -> String {
        match self.arms.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [others @ .., last] => format!("{last} and {} more", others.len()),
        }
    }
}

fn name(case: &str, state: &State) -> String {
    format!("{case} ({state})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_that_has_ended_is_named_no_more() {
        let mut arms = UnderWay::default();
        assert_eq!(arms.begins("one", &State::Applied), "one (applied)");
        assert_eq!(arms.begins("one", &State::Reverted), "one (reverted) and 1 more");
        assert_eq!(arms.ends("one", &State::Reverted), "one (applied)");
        assert_eq!(arms.ends("one", &State::Applied), "");
    }
}
