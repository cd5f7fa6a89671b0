//! The first of many releases that differs from those before it, with few runs.

/// What a search has found. Indexes are those of the releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<C> {
    /// No release could be measured.
    Nothing,
    /// The first and the last that could be measured are alike (or one and the same); nothing between them was looked at.
    Same {
        /// The first.
        first: usize,
        /// The last.
        last: usize,
        /// What both are.
        class: C,
    },
    /// Somewhere there is a change, and this is where.
    Flip {
        /// The last release that is like the first.
        before: usize,
        /// What the first is.
        old: C,
        /// The first release that is seen to differ.
        after: usize,
        /// What it is.
        new: C,
        /// Those between the two: they could not be measured.
        between: Vec<usize>,
    },
}

/// Looks for a change among `count` releases: both ends first, then halving. `probe` gives what a release is, or `None`
/// where it cannot be measured. Takes at most ⌈log2 count⌉ + 2 probes, and one more for each that gives `None`.
pub fn search<C: PartialEq, E>(
    count: usize,
    mut probe: impl FnMut(usize) -> Result<Option<C>, E>,
) -> Result<Answer<C>, E> {
    let mut left: Vec<usize> = (0..count).collect();
    let mut first = None;
    while first.is_none() && !left.is_empty() {
        let index = left.remove(0);
        first = probe(index)?.map(|class| (index, class));
    }
    let mut last = None;
    while last.is_none()
        && let Some(index) = left.pop()
    {
        last = probe(index)?.map(|class| (index, class));
    }
    let Some((first, old)) = first else { return Ok(Answer::Nothing) };
    let Some((last, new)) = last else { return Ok(Answer::Same { first, last: first, class: old }) };
    if old == new {
        return Ok(Answer::Same { first, last, class: old });
    }
    let (mut before, mut after, mut new) = (first, last, new);
    while !left.is_empty() {
        let middle = left.len() / 2;
        let index = left[middle];
        match probe(index)? {
            None => drop(left.remove(middle)),
            Some(class) if class == old => {
                before = index;
                left.drain(..=middle);
            }
            Some(class) => {
                (after, new) = (index, class);
                left.truncate(middle);
            }
        }
    }
    Ok(Answer::Flip { before, old, after, new, between: (before + 1..after).collect() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A search over releases that are broken up to `flip`, with those that cannot be measured; and what was probed.
    fn searched(flip: usize, measurable: &[bool]) -> (Answer<bool>, Vec<usize>) {
        let mut probed = Vec::new();
        let answer = search(measurable.len(), |index| {
            probed.push(index);
            Ok::<_, Infallible>(measurable[index].then_some(index >= flip))
        });
        (answer.expect("probes do not fail"), probed)
    }

    #[test]
    fn both_ends_are_looked_at_first() {
        let (answer, probed) = searched(5, &[true; 8]);
        assert_eq!(probed[..2], [0, 7]);
        assert_eq!(answer, Answer::Flip { before: 4, old: false, after: 5, new: true, between: vec![] });
    }

    #[test]
    fn ends_that_are_alike_end_the_search() {
        assert_eq!(searched(9, &[true; 8]), (Answer::Same { first: 0, last: 7, class: false }, vec![0, 7]));
        assert_eq!(searched(9, &[true]), (Answer::Same { first: 0, last: 0, class: false }, vec![0]));
        assert_eq!(searched(0, &[]).0, Answer::Nothing);
        assert_eq!(searched(0, &[false; 3]).0, Answer::Nothing);
    }

    #[test]
    fn what_cannot_be_measured_leaves_an_interval() {
        let measurable = [true, true, false, false, true];
        let expected = Answer::Flip { before: 1, old: false, after: 4, new: true, between: vec![2, 3] };
        assert_eq!(searched(2, &measurable).0, expected);
        assert_eq!(searched(4, &measurable).0, expected);
    }

    #[test]
    fn a_probe_that_fails_ends_the_search() {
        assert_eq!(search(3, |index| if index == 2 { Err("no") } else { Ok(Some(0)) }), Err("no"));
    }

    proptest! {
        #[test]
        fn the_flip_is_found_with_few_probes(
            (measurable, flip) in prop::collection::vec(prop::bool::weighted(0.7), 1..200)
                .prop_flat_map(|measurable| { let count = measurable.len(); (Just(measurable), 0..=count) })
        ) {
            let (answer, probed) = searched(flip, &measurable);
            let mut once = probed.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), probed.len(), "nothing is probed twice");
            let skips = probed.iter().filter(|&&index| !measurable[index]).count();
            let log = measurable.len().next_power_of_two().ilog2() as usize;
            prop_assert!(probed.len() <= log + 2 + skips, "{} probes of {}, {skips} skipped", probed.len(), measurable.len());
            let can: Vec<usize> = (0..measurable.len()).filter(|&index| measurable[index]).collect();
            let before = can.iter().copied().rfind(|&index| index < flip);
            let after = can.iter().copied().find(|&index| index >= flip);
            let expected = match (before, after) {
                (None, None) => Answer::Nothing,
                (Some(before), Some(after)) => Answer::Flip { before, old: false, after, new: true, between: (before + 1..after).collect() },
                (only, _) => Answer::Same { first: can[0], last: can[can.len() - 1], class: only.is_none() },
            };
            prop_assert_eq!(answer, expected);
        }

        #[test]
        fn of_many_changes_one_is_found(classes in prop::collection::vec(0_u8..3, 2..60)) {
            let answer = search(classes.len(), |index| Ok::<_, Infallible>(Some(classes[index]))).expect("probes do not fail");
            match answer {
                Answer::Flip { before, old, after, new, between } => {
                    prop_assert_eq!((classes[before], classes[after], after, between), (old, new, before + 1, vec![]));
                    prop_assert_ne!(old, new);
                }
                Answer::Same { class, .. } => prop_assert!(class == classes[0] && classes.last() == Some(&class)),
                Answer::Nothing => prop_assert!(false, "all can be measured"),
            }
        }
    }
}
