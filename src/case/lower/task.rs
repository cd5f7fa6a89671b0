//! Tasks and schedules: options, and the one key that is none is the task.

use indexmap::IndexMap;
use serde_json::Value;

use super::Lower;
use crate::case::diagnostic::{Diagnostic, nearest};
use crate::case::file::{ENQUEUE_OPTIONS, EnqueueFile, SCHEDULE_OPTIONS, ScheduleFile};
use crate::case::model::{CLIENT, Enqueue, Scalar, Schedule, What};
use crate::case::node::Place;

impl Lower<'_> {
    /// Tasks for the queue.
    pub(super) fn enqueue(&mut self, file: EnqueueFile, place: Place<'_>) -> Option<Enqueue> {
        let EnqueueFile { by, times, group, cached, kwargs, options, until, iter, chain, tasks } = file;
        let iter = iter.unwrap_or_default();
        if chain.is_some() || iter {
            let who = if chain.is_some() { "chain" } else { "iter" };
            let foreign = [("kwargs", !kwargs.is_empty()), ("iter", iter && chain.is_some())];
            for (option, _) in foreign.into_iter().filter(|(_, given)| *given) {
                let message = format!("`{option}` does not belong to `{who}`");
                let help = "it belongs to a single task: `enqueue: {charge: [order-1]}`";
                self.error(Diagnostic::new(message).at(place.get(option).key_span()).help(help));
            }
        }
        let what = if let Some(chain) = chain {
            if let Some(task) = tasks.keys().next() {
                let unknown = Diagnostic::new(format!("unknown option `{task}`: what is enqueued is the `chain`"));
                self.error(unknown.at(place.get(task).key_span()).suggest(task, ENQUEUE_OPTIONS));
            }
            What::Chain { links: self.links(chain, place.get("chain"))? }
        } else {
            let (task, args) = self.task(tasks, "enqueue", &ENQUEUE_OPTIONS, place)?;
            if iter { What::Iter { task, args } } else { What::Task { task, args, kwargs } }
        };
        Some(Enqueue {
            by: by.unwrap_or_else(|| CLIENT.to_owned()),
            what,
            times: times.unwrap_or(Scalar(1.into())),
            group,
            cached,
            options,
            until_refused: until.is_some(),
        })
    }

    fn links(&mut self, chain: Vec<IndexMap<String, Value>>, place: Place<'_>) -> Option<Vec<(String, Vec<Value>)>> {
        if chain.is_empty() {
            self.error(Diagnostic::new("the chain has no tasks").at(place.key_span()));
        }
        let links: Vec<_> = chain
            .into_iter()
            .enumerate()
            .map(|(index, link)| self.task(link, "chain", &[], place.item(index)))
            .collect();
        links.into_iter().collect()
    }

    /// A schedule.
    pub(super) fn schedule(&mut self, file: ScheduleFile, place: Place<'_>) -> Option<Schedule> {
        let ScheduleFile { by, kind, minutes, cron, repeats, due, name, kwargs, options, tasks } = file;
        let own = [("minutes", minutes), ("cron", cron), ("repeats", repeats), ("name", name)];
        let mut fields: IndexMap<String, Value> =
            own.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect();
        for (field, value) in options {
            if SCHEDULE_OPTIONS.contains(&field.as_str()) {
                let message = format!("`{field}` is an option of `schedule` itself");
                let help = "write it beside `options`";
                self.error(Diagnostic::new(message).at(place.get("options").get(&field).key_span()).help(help));
            }
            fields.insert(field, value);
        }
        let (task, args) = self.task(tasks, "schedule", &SCHEDULE_OPTIONS, place)?;
        Some(Schedule {
            by: by.unwrap_or_else(|| CLIENT.to_owned()),
            task,
            args,
            kwargs,
            kind: kind.unwrap_or(Scalar("once".into())),
            fields,
            due: due.unwrap_or(Scalar("0s".into())),
        })
    }

    /// The one task with its arguments.
    fn task(
        &mut self,
        tasks: IndexMap<String, Value>,
        verb: &str,
        options: &[&str],
        place: Place<'_>,
    ) -> Option<(String, Vec<Value>)> {
        // A misspelled option looks like a task: of two keys, it is the one that is near to an option.
        let near = |task: &str| nearest(task, options.iter().copied()).is_some();
        let mut named: Vec<(String, Value)> = tasks.into_iter().collect();
        named.sort_by_key(|(task, _)| near(task));
        let mut named = named.into_iter();
        let Some((task, args)) = named.next() else {
            let help = format!("write `{verb}: {{charge: [order-1]}}`");
            let help = if verb == "chain" { "each is one: `- charge: [order-1]`".to_owned() } else { help };
            self.error(Diagnostic::new(format!("`{verb}` without a task")).at(place.span()).help(help));
            return None;
        };
        let args = match args {
            Value::Null => Vec::new(),
            Value::Array(args) => args,
            other => {
                let at = place.get(&task);
                self.error(match nearest(&task, options.iter().copied()) {
                    Some(near) => Diagnostic::new(format!("unknown option `{task}`"))
                        .at(at.key_span())
                        .help(format!("did you mean `{near}`?")),
                    None => Diagnostic::new(format!("expected the arguments of `{task}` (a list), found {other}"))
                        .at(at.span())
                        .help(format!("write `{task}: [{other}]`")),
                });
                return None;
            }
        };
        for (second, _) in named {
            let message = format!("unknown option `{second}`: the task is `{task}`");
            self.error(
                Diagnostic::new(message).at(place.get(&second).key_span()).suggest(&second, options.iter().copied()),
            );
        }
        if !is_dotted(&task) {
            let help = "it is a function, such as `charge` (of shop.tasks) or `shop.tasks.charge`";
            let message = format!("`{task}` is not the name of a task");
            self.error(Diagnostic::new(message).at(place.get(&task).key_span()).help(help));
        }
        Some((task, args))
    }
}

/// Identifiers with dots between them.
fn is_dotted(name: &str) -> bool {
    name.split('.').all(|part| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}
