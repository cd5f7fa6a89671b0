//! The journal of an arm: processes and their roles, tasks as they were really run, effects, holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use dj_regress_protocol::{During, Entry, Tasks, records};

use crate::judge::{Trouble, TroubleKind};

/// What an arm's processes wrote down, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Journal {
    entries: Vec<Entry>,
}

/// What became of tasks: what was really run, against what django-q2 says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Acknowledged when they were put into the queue; neither there any more, nor run to an end, nor on record.
    pub lost: u64,
    /// Executions beyond the first of each task.
    pub duplicated: u64,
    /// Executions that were begun.
    pub executed: u64,
    /// Still in the queue.
    pub queued: u64,
    /// On record as successful.
    pub succeeded: u64,
    /// On record as failed, or seen to fail the last time that they were run.
    pub failed: u64,
}

/// So many places that the app tried to reach are named.
const NAMED_PLACES: usize = 3;

impl Journal {
    /// Reads what is there so far; nothing, where nobody has written yet. A line that is being written is left out.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has a line that is no record.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("read {}: {error}", path.display())),
        };
        let entries = records(&text).collect::<Result<_, _>>();
        Ok(Self { entries: entries.map_err(|(line, error)| format!("the journal's line {line}: {error}"))? })
    }

    /// The processes of an actor that had this role, in the order of their forks.
    pub fn processes<'j>(&'j self, of: &'j str, as_what: &'j str) -> impl Iterator<Item = u32> + 'j {
        self.entries.iter().filter_map(move |entry| match entry {
            Entry::Process { pid, role, actor, .. } if actor == of && role == as_what => Some(*pid),
            _ => None,
        })
    }

    /// Whether the cluster of this parent is up.
    pub fn is_up(&self, of: u32) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Up { pid, .. } if *pid == of))
    }

    /// The process that took a hold.
    pub fn holder(&self, of: u32) -> Option<u32> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Held { hold, pid, .. } if *hold == of => Some(*pid),
            _ => None,
        })
    }

    /// How many records there are.
    pub fn length(&self) -> usize {
        self.entries.len()
    }

    /// Requests that web actors began to handle, by actor, path with query, and when.
    pub fn requests(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Requested { actor, path, at, .. } => Some((actor.as_str(), path.as_str(), *at)),
            _ => None,
        })
    }

    /// Exceptions that came out of the app's code and were caught by somebody else.
    pub fn raised(&self) -> impl Iterator<Item = Trouble> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Raised { during, exception, message, site, actor, at, .. } => {
                let kind = match during {
                    During::Task => TroubleKind::Task,
                    During::Request => TroubleKind::Request,
                    During::Step => TroubleKind::Step,
                    During::Thread => TroubleKind::Thread,
                };
                let words: Vec<&str> = message.split_whitespace().collect();
                Some(Trouble { kind, at: *at, said: format!("{exception}: {} ({site} in {actor})", words.join(" ")) })
            }
            _ => None,
        })
    }

    /// Whom the app tried to reach though it is not of the arm, in words; nothing, where it did not.
    pub fn outbound(&self) -> Option<String> {
        let attempts = self.entries.iter().filter_map(|entry| match entry {
            Entry::Outbound { address, site, actor, .. } => Some((address, site, actor)),
            _ => None,
        });
        let mut places: Vec<String> = Vec::new();
        for (address, site, actor) in attempts {
            let place = format!("{address} ({site} in {actor})");
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let others = places.len().saturating_sub(NAMED_PLACES);
        let more = if others == 0 { String::new() } else { format!(" and {others} more") };
        places.truncate(NAMED_PLACES);
        (!places.is_empty()).then(|| {
            format!("the app tried to reach {}{more}: nothing outside of the arm answers it", places.join(", "))
        })
    }

    /// How often an effect happened; without a key: how often any did.
    pub fn effects(&self, of: Option<&str>) -> u64 {
        let is_one = |entry: &&Entry| matches!(entry, Entry::Effect { key, .. } if of.is_none_or(|of| of == key));
        self.entries.iter().filter(is_one).count() as u64
    }

    /// The key of each effect that happened.
    pub fn effect_keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Effect { key, .. } => Some(key.as_str()),
            _ => None,
        })
    }

    /// Tasks that were accepted or begun and have not ended, with the processes that have begun them.
    pub fn unfinished(&self) -> BTreeMap<String, BTreeSet<u32>> {
        let mut unfinished: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        let groups = self.groups();
        let mut ended = BTreeSet::new();
        for entry in &self.entries {
            match entry {
                // A worker may be done with it before whoever put it there has told so.
                Entry::Accepted { id, .. } if ended.contains(id) => {}
                Entry::Accepted { id, .. } => drop(unfinished.entry(id.clone()).or_default()),
                Entry::Execution { id, pid, .. } => drop(unfinished.entry(id.clone()).or_default().insert(*pid)),
                Entry::Executed { id, .. } => {
                    ended.insert(id.clone());
                    unfinished.remove(id);
                    unfinished
                        .retain(|part, _| !groups.get(id.as_str()).is_some_and(|parts| parts.contains(part.as_str())));
                }
                _ => {}
            }
        }
        unfinished
    }

    /// The tasks of each group, as far as they were begun.
    fn groups(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in &self.entries {
            if let Entry::Execution { id, group: Some(group), .. } = entry {
                groups.entry(group).or_default().insert(id);
            }
        }
        groups
    }

    /// Results that django-q2 has on record though nobody saw their task begin, in words; nothing, where there is none.
    pub fn unseen_results(&self, said: &Tasks) -> Option<String> {
        let begun: BTreeSet<&str> = self
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Execution { id, .. } => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let groups = self.groups();
        let results = said.succeeded.iter().chain(&said.failed).map(String::as_str);
        let unseen: Vec<&str> = results.filter(|id| !begun.contains(id) && !groups.contains_key(id)).collect();
        let first = unseen.first()?;
        Some(format!(
            "django-q2 has the results of {} tasks of which nobody saw that they were begun, {first} for one",
            unseen.len()
        ))
    }

    /// How often the app tried to reach somebody who is not of the arm.
    pub fn attempts(&self, matching: Option<&str>) -> impl Iterator<Item = u64> {
        self.entries.iter().filter_map(move |entry| match entry {
            Entry::Outbound { address, at, .. } if matching.is_none_or(|part| address.contains(part)) => Some(*at),
            _ => None,
        })
    }

    /// Held against what django-q2 says in the end.
    pub fn tasks(&self, said: &Tasks) -> TaskCounts {
        let mut accepted = BTreeSet::new();
        let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
        let mut settled: BTreeSet<&str> = BTreeSet::new();
        // The result of a cached task is on no record.
        let mut failed: BTreeSet<&str> = BTreeSet::new();
        let groups = self.groups();
        for entry in &self.entries {
            match entry {
                Entry::Accepted { id, .. } => drop(accepted.insert(id.as_str())),
                Entry::Execution { id, .. } => *begun.entry(id).or_default() += 1,
                Entry::Executed { id, failed: has_failed, .. } => {
                    settled.insert(id);
                    if *has_failed {
                        failed.insert(id)
                    } else {
                        failed.remove(id.as_str())
                    };
                    settled.extend(groups.get(id.as_str()).into_iter().flatten());
                }
                _ => {}
            }
        }
        failed.extend(said.failed.iter().map(String::as_str));
        settled.extend(said.queued.iter().chain(&said.succeeded).chain(&said.failed).map(String::as_str));
        TaskCounts {
            lost: accepted.difference(&settled).count() as u64,
            duplicated: begun.values().map(|times| times - 1).sum(),
            executed: begun.values().sum(),
            queued: said.queued.len() as u64,
            succeeded: said.succeeded.len() as u64,
            failed: failed.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn accepted(id: &str) -> Entry {
        Entry::Accepted { id: id.into(), actor: "client".into(), at: 1 }
    }

    fn begun(id: &str) -> Entry {
        part(id, None)
    }

    fn part(id: &str, group: Option<&str>) -> Entry {
        let group = group.map(Into::into);
        Entry::Execution { id: id.into(), name: "f".into(), group, pid: 1, actor: "q".into(), at: 2, time: 0.0 }
    }

    fn ended(id: &str) -> Entry {
        Entry::Executed { id: id.into(), failed: false, pid: 1, at: 3 }
    }

    fn said(queued: &[&str], succeeded: &[&str], failed: &[&str]) -> Tasks {
        let list = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Tasks { queued: list(queued), succeeded: list(succeeded), failed: list(failed) }
    }

    #[rstest]
    #[case::waits(vec![accepted("a")], said(&["a"], &[], &[]), (0, 0, 0))]
    #[case::vanished(vec![accepted("a")], said(&[], &[], &[]), (1, 0, 0))]
    #[case::died_inside(vec![accepted("a"), begun("a")], said(&[], &[], &[]), (1, 0, 1))]
    #[case::ran_and_is_not_saved(vec![accepted("a"), begun("a"), ended("a")], said(&[], &[], &[]), (0, 0, 1))]
    #[case::ran_twice(vec![accepted("a"), begun("a"), begun("a"), ended("a")], said(&[], &["a"], &[]), (0, 1, 2))]
    #[case::failed(vec![accepted("a"), begun("a")], said(&[], &[], &["a"]), (0, 0, 1))]
    #[case::nobody_enqueued_it(vec![begun("a"), ended("a")], said(&[], &["a"], &[]), (0, 0, 1))]
    #[case::last_of_an_iter(vec![accepted("a"), part("a", Some("g")), ended("g")], said(&[], &["g"], &[]), (0, 0, 1))]
    #[case::not_the_last(vec![accepted("a"), part("a", Some("g")), ended("b")], said(&[], &[], &[]), (1, 0, 1))]
    fn what_became_of_a_task_is_told_by_both(
        #[case] entries: Vec<Entry>,
        #[case] said: Tasks,
        #[case] (lost, duplicated, executed): (u64, u64, u64),
    ) {
        let counts = Journal { entries }.tasks(&said);
        assert_eq!((counts.lost, counts.duplicated, counts.executed), (lost, duplicated, executed));
    }

    #[test]
    fn a_result_of_a_task_that_nobody_saw_begin_is_told() {
        let entries = vec![accepted("a"), begun("a"), part("b", Some("g"))];
        let journal = Journal { entries };
        assert_eq!(journal.unseen_results(&said(&[], &["a", "g"], &[])), None);
        let told = journal.unseen_results(&said(&["q"], &["a", "c"], &["d"])).expect("two of them");
        assert!(told.contains("the results of 2 tasks") && told.contains("c for one"), "{told}");
    }

    #[test]
    fn a_task_that_is_done_with_before_it_is_told_of_is_not_waited_for() {
        let journal = Journal { entries: vec![begun("a"), ended("a"), accepted("a")] };
        assert!(journal.unfinished().is_empty());
    }

    #[test]
    fn who_was_tried_to_reach_is_named_once_with_the_line_that_did() {
        let tried = |address: &str| Entry::Outbound {
            address: address.into(),
            site: "shop/tasks.py:3:charge".into(),
            pid: 1,
            actor: "app".into(),
            at: 1,
        };
        let journal = |addresses: &[&str]| Journal { entries: addresses.iter().map(|one| tried(one)).collect() };
        assert_eq!(journal(&[]).outbound(), None);
        let told = journal(&["10.0.0.1:5432", "10.0.0.1:5432"]).outbound().expect("it was tried");
        assert!(told.contains("reach 10.0.0.1:5432 (shop/tasks.py:3:charge in app):"), "{told}");
        let told = journal(&["a:1", "b:1", "c:1", "d:1", "e:1"]).outbound().expect("it was tried");
        assert!(told.contains("c:1 (") && !told.contains("d:1") && told.contains(" and 2 more"), "{told}");
    }

    #[test]
    fn a_part_that_a_killed_process_left_spoils_no_other_record() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("journal");
        let line = dj_regress_protocol::line(&accepted("a")).expect("json");
        fs::write(&path, [&line[..line.len() / 2], &line].concat()).expect("a file");
        assert_eq!(Journal::read(&path).map(|journal| journal.entries), Ok(vec![accepted("a")]));
    }

    #[test]
    fn an_iter_is_finished_when_its_last_part_has_the_id_of_the_group() {
        let mut entries = vec![accepted("a"), accepted("b"), part("a", Some("g")), part("b", Some("g")), ended("a")];
        let unfinished = |entries: &[Entry]| Journal { entries: entries.to_vec() }.unfinished();
        assert_eq!(unfinished(&entries).into_keys().collect::<Vec<_>>(), ["b"]);
        entries.push(ended("g"));
        assert!(unfinished(&entries).is_empty());
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("journal");
        assert_eq!(Journal::read(&path), Ok(Journal::default()));
        let line = serde_json::to_string(&accepted("a")).expect("json");
        fs::write(&path, format!("\n{line}\n\n{}", &line[..10])).expect("a file");
        assert_eq!(Journal::read(&path).map(|journal| journal.entries), Ok(vec![accepted("a")]));
        fs::write(&path, "nonsense\n").expect("a file");
        assert!(Journal::read(&path).is_err_and(|error| error.contains("line 1")));
    }
}
