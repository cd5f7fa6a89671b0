//! Puts the variables into steps, and reads what then stands there.

use std::time::Duration;

use indexmap::IndexMap;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::resolver::{Resolved, Resolver};
use super::{Action, CutAt, Enqueue, Fault, HoldSpec, Schedule, Step, Trigger, WaitFor};
use crate::case::diagnostic::Diagnostic;
use crate::case::limit;
use crate::case::model::{self, ROLES, Role, SCHEDULES, SIGNALS, Scalar, Server, What};
use crate::case::node::Segment;
use crate::case::unit;

/// Where a task is looked for whose name has no module.
const TASKS: &str = "shop.tasks";

/// Stands in what is enqueued for the index of the enqueueing; the actor that enqueues puts it in.
pub(super) const INDEX: &str = "i";

impl Resolver {
    /// Steps, each with its own place.
    pub fn steps(&mut self, steps: &[model::Step]) -> Resolved<Vec<Step>> {
        let mut resolved = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            self.path.push(Segment::Item(index));
            let action = self.step(&step.action);
            self.path.pop();
            resolved.push(Step { name: step.name.clone(), action: action?, line: step.line });
        }
        Ok(resolved)
    }

    /// A verb, and what stands beside it.
    fn step(&mut self, action: &model::Action) -> Resolved<Action> {
        Ok(match action {
            model::Action::Start { actor, expect_exit, within } => {
                let within = self.optional("within", within.as_ref(), Self::real_time)?;
                Action::Start { actor: actor.clone(), expect_exit: *expect_exit, within }
            }
            model::Action::Stop { actor, within } => {
                let within = self.optional("within", within.as_ref(), Self::real_time)?;
                Action::Stop { actor: actor.clone(), within }
            }
            model::Action::Drain { actor, within } => {
                let within = self.optional("within", within.as_ref(), Self::real_time)?;
                Action::Drain { actor: actor.clone(), within }
            }
            model::Action::Fault { fault, steps } => Action::Fault {
                fault: self.within("fault", |r| r.fault(fault))?,
                steps: self.within("while", |r| r.steps(steps))?,
            },
            model::Action::Http { http, steps } => {
                let resolved = Box::new(self.within("http", |r| r.http(http))?);
                let steps = self.within("while", |r| r.steps(steps))?;
                // What its answers give is known when they are there.
                self.kept.extend(http.keep.keys().cloned());
                Action::Http { http: resolved, steps }
            }
            action => self.within(action.verb(), |r| r.action(action))?,
        })
    }

    fn action(&mut self, action: &model::Action) -> Resolved<Action> {
        Ok(match action {
            model::Action::Signal { actor, role, send } => {
                let role = self.role(actor, role)?;
                Action::Signal { actor: actor.clone(), role, send: self.within("send", |r| r.signal(send))? }
            }
            model::Action::Kill { actor, role } => Action::Kill { actor: actor.clone(), role: self.role(actor, role)? },
            model::Action::Pause { actor, role } => match self.role(actor, role)? {
                Role::Held => self.within(actor, |r| r.refuse("what is held stands already"))?,
                role => Action::Pause { actor: actor.clone(), role },
            },
            model::Action::Resume { actor, role } => {
                Action::Resume { actor: actor.clone(), role: self.role(actor, role)? }
            }
            model::Action::Restart { actor, count, by_kill } => {
                let count = self.within(actor, |r| r.count(count))?;
                Action::Restart { actor: actor.clone(), count, by_kill: *by_kill }
            }
            model::Action::Hold { actor, hold } => Action::Hold { actor: actor.clone(), hold: self.hold(actor, hold)? },
            model::Action::Release { actor } => Action::Release { actor: actor.clone() },
            model::Action::Beat { actor, count, every } => {
                let count = self.within(actor, |r| r.count(count))?;
                let every = self.optional("every", every.as_ref(), Self::duration)?;
                Action::Beat { actor: actor.clone(), count, every }
            }
            model::Action::Enqueue(enqueue) => Action::Enqueue(self.enqueue(enqueue)?),
            model::Action::Schedule(schedule) => Action::Schedule(self.schedule(schedule)?),
            model::Action::Tick { actor, count } => {
                Action::Tick { actor: actor.clone(), count: self.within(actor, |r| r.count(count))? }
            }
            model::Action::Python { actor, source, times } => {
                let source = self.within(actor, |r| r.text(source))?;
                let times = self.within("times", |r| r.count(times))?;
                Action::Python { actor: actor.clone(), source, times }
            }
            model::Action::Sql { actor: None, statement } => {
                Action::Sql { actor: None, statement: self.text(statement)? }
            }
            model::Action::Sql { actor: Some(actor), statement } => {
                let statement = self.within(actor, |r| r.text(statement))?;
                Action::Sql { actor: Some(actor.clone()), statement }
            }
            model::Action::Read { readings } => {
                let readings = readings
                    .iter()
                    .map(|(name, source)| Ok((name.clone(), self.within(name, |r| r.text(source))?)))
                    .collect::<Resolved<IndexMap<_, _>>>()?;
                Action::Read { readings }
            }
            model::Action::Wait { for_, within } => {
                let for_ = match for_ {
                    model::WaitFor::Until { expression } => {
                        WaitFor::Until { expression: self.within("until", |r| r.text(expression))? }
                    }
                    model::WaitFor::Held { actor } => WaitFor::Held { actor: actor.clone() },
                    model::WaitFor::Quiet { actor } => WaitFor::Quiet { actor: actor.clone() },
                };
                Action::Wait { for_, within: self.optional("within", within.as_ref(), Self::real_time)? }
            }
            model::Action::Advance { by } => Action::Advance { by: self.duration(by)? },
            model::Action::Measure { steps } => Action::Measure { steps: self.steps(steps)? },
            model::Action::MeasureFor { time } => self.within("for", |r| match r.real_time(time)? {
                Duration::ZERO => r.refuse("a window of no time measures nothing"),
                time => Ok(Action::MeasureFor { time }),
            })?,
            model::Action::Start { .. }
            | model::Action::Stop { .. }
            | model::Action::Drain { .. }
            | model::Action::Http { .. }
            | model::Action::Fault { .. } => self.step(action)?,
        })
    }

    fn role(&mut self, actor: &str, role: &Scalar) -> Resolved<Role> {
        self.within(actor, |r| r.one_of(role, "a process of a cluster", ROLES))
    }

    fn signal(&self, send: &Scalar) -> Resolved<Signal> {
        self.one_of(send, "a signal that can be sent", SIGNALS)
    }

    fn hold(&mut self, actor: &str, hold: &model::Hold) -> Resolved<HoldSpec> {
        let moment = self.within(actor, |r| r.text(&hold.moment))?;
        let at = self.optional("at", hold.at.as_ref(), |r, at| r.word(at, "a side of a call", ["entry", "return"]))?;
        let call = self.within("call", |r| r.ordinal(&hold.call, limit::COUNT))?;
        if at.is_some() && !moment.contains(':') {
            let message = format!("`{moment}` is a moment, not a function: it has no `at`");
            return self.within("at", |r| r.refuse(message));
        }
        if let Some((module, function)) = moment.split_once(':')
            && (module.is_empty() || function.is_empty() || function.contains(':'))
        {
            let message = format!("`{moment}` is not a function: write `module:function` or `module:Class.method`");
            return self.within(actor, |r| r.refuse(message));
        }
        let role = self.optional("role", hold.role.as_ref(), Self::holder)?;
        Ok(HoldSpec { moment, at_return: at.as_deref() == Some("return"), call, role, every: hold.every })
    }

    /// The role of one process.
    fn holder(&self, role: &Scalar) -> Resolved<Role> {
        match self.one_of(role, "a process of a cluster", ROLES)? {
            role @ (Role::Group | Role::Held) => {
                let message = format!("`{}` is not the role of one process", role.word());
                let help = "it can be parent, sentinel, pusher, monitor or worker";
                Err(self.unresolved(Diagnostic::new(message).help(help)))
            }
            role => Ok(role),
        }
    }

    fn enqueue(&mut self, enqueue: &model::Enqueue) -> Resolved<Enqueue> {
        let times = self.within("times", |r| r.count(&enqueue.times))?;
        let cached = enqueue.cached.as_ref().map(|cached| self.within("cached", |r| r.tree(cached))).transpose()?;
        let options = self.within("options", |r| r.entries(&enqueue.options))?;
        let (what, group) = self.later(&[INDEX.to_owned()], |r| r.indexed(enqueue))?;
        let (by, until_refused) = (enqueue.by.clone(), enqueue.until_refused);
        Ok(Enqueue { by, what, times, group, cached, options, until_refused })
    }

    /// What differs from one enqueueing to the next, with `$i` left as it is.
    fn indexed(&mut self, enqueue: &model::Enqueue) -> Resolved<(What, Option<String>)> {
        let what = match &enqueue.what {
            What::Task { task, args, kwargs } => What::Task {
                task: dotted(task),
                args: self.within(task, |r| r.items(args))?,
                kwargs: self.within("kwargs", |r| r.entries(kwargs))?,
            },
            What::Iter { task, args } => What::Iter { task: dotted(task), args: self.within(task, |r| r.items(args))? },
            What::Chain { links } => What::Chain { links: self.within("chain", |r| r.links(links))? },
        };
        Ok((what, self.optional("group", enqueue.group.as_ref(), Self::text)?))
    }

    fn links(&mut self, links: &[(String, Vec<Value>)]) -> Resolved<Vec<(String, Vec<Value>)>> {
        let mut resolved = Vec::with_capacity(links.len());
        for (index, (task, args)) in links.iter().enumerate() {
            self.path.push(Segment::Item(index));
            let args = self.within(task, |r| r.items(args));
            self.path.pop();
            resolved.push((dotted(task), args?));
        }
        Ok(resolved)
    }

    fn schedule(&mut self, schedule: &model::Schedule) -> Resolved<Schedule> {
        let kind = self.within("type", |r| r.word(&schedule.kind, "a type of schedule", SCHEDULES))?;
        let fields = self.entries(&schedule.fields)?;
        for (field, owner) in [("minutes", "minutes"), ("cron", "cron")] {
            if fields.contains_key(field) != (kind == owner) {
                let message = if kind == owner {
                    format!("a schedule of type `{kind}` needs `{field}`")
                } else {
                    format!("`{field}` does not belong to a schedule of type `{kind}`")
                };
                return self.within(field, |r| r.refuse(message));
            }
        }
        for (field, value) in &fields {
            let expected = match field.as_str() {
                "minutes" if !value.is_u64() => "a count",
                "repeats" if !value.is_i64() => "a count, or -1 for ever",
                "cron" | "name" if !value.is_string() => "a text",
                _ => continue,
            };
            return self.within(field, |r| r.refuse(format!("expected {expected}, found {value}")));
        }
        Ok(Schedule {
            by: schedule.by.clone(),
            task: dotted(&schedule.task),
            args: self.within(&schedule.task, |r| r.items(&schedule.args))?,
            kwargs: self.within("kwargs", |r| r.entries(&schedule.kwargs))?,
            kind,
            fields,
            due_ns: self.within("due", |r| r.offset(&schedule.due))?,
        })
    }

    pub(super) fn entries(&mut self, values: &IndexMap<String, Value>) -> Resolved<IndexMap<String, Value>> {
        values.iter().map(|(name, value)| Ok((name.clone(), self.within(name, |r| r.tree(value))?))).collect()
    }

    fn fault(&mut self, fault: &model::Fault) -> Resolved<Fault> {
        use model::Fault as Written;
        Ok(match fault {
            Written::Kill { server, after } => Fault::Kill { server: *server, after: self.after(after.as_ref())? },
            Written::Stop { server, after } => Fault::Stop { server: *server, after: self.after(after.as_ref())? },
            Written::Restart { server, after } => {
                Fault::Restart { server: *server, after: self.after(after.as_ref())? }
            }
            Written::Pause { server, after } => Fault::Pause { server: *server, after: self.after(after.as_ref())? },
            Written::Terminate { actor } => Fault::Terminate { actor: actor.clone() },
            Written::Refuse { server, from } => Fault::Refuse { server: *server, from: from.clone() },
            Written::Latency { link, latency, jitter } => {
                let latency = self.within("latency", |r| r.real_time(latency))?;
                let jitter = self.optional("jitter", jitter.as_ref(), Self::real_time)?.unwrap_or_default();
                if jitter > latency {
                    return self.within("jitter", |r| r.refuse("the jitter is larger than the latency"));
                }
                Fault::Latency { link: link.clone(), latency, jitter }
            }
            Written::Bandwidth { link, rate } => {
                let bytes_per_second = self.within("bandwidth", |r| match r.bytes(rate)? {
                    0 => r.refuse("nothing passes at no bytes per second: that is a `partition`"),
                    bytes => Ok(bytes),
                })?;
                Fault::Bandwidth { link: link.clone(), bytes_per_second }
            }
            Written::Cut { link, at } => {
                let at = self.within("cut", |r| {
                    let text = r.text(at)?;
                    let at = cut(&text).map_err(|diagnostic| r.unresolved(diagnostic))?;
                    if link.server == Server::Redis && matches!(at, CutAt::AfterCommit | CutAt::BeforeCommit) {
                        return r.refuse("Redis has no COMMIT: cut `after 3 commands` or `after 4096 B`");
                    }
                    Ok(at)
                })?;
                Fault::Cut { link: link.clone(), at }
            }
            Written::Reset { link } => Fault::Reset { link: link.clone() },
            Written::BlackHole { link } => Fault::BlackHole { link: link.clone() },
            Written::Partition { link } => Fault::Partition { link: link.clone() },
            Written::Fill => Fault::Fill,
            Written::Flush => Fault::Flush,
            Written::Evict => Fault::Evict,
        })
    }

    fn after(&mut self, trigger: Option<&model::Trigger>) -> Resolved<Option<Trigger>> {
        let Some(model::Trigger { actor, statements }) = trigger else { return Ok(None) };
        let statements = self.within("after", |r| r.within(actor, |r| r.ordinal(statements, limit::COUNT)))?;
        Ok(Some(Trigger { actor: actor.clone(), statements }))
    }
}

fn dotted(task: &str) -> String {
    if task.contains('.') { task.to_owned() } else { format!("{TASKS}.{task}") }
}

fn cut(text: &str) -> Result<CutAt, Diagnostic> {
    let help = "write `after COMMIT`, `before COMMIT`, `after 3 statements` or `after 4096 B`";
    let unknown = || Diagnostic::new(format!("`{text}` is not where a connection can be cut")).help(help);
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [side, commit] if commit.eq_ignore_ascii_case("commit") => match *side {
            "after" => Ok(CutAt::AfterCommit),
            "before" => Ok(CutAt::BeforeCommit),
            _ => Err(unknown()),
        },
        ["after", count, "statement" | "statements" | "command" | "commands"] => match count.parse() {
            Ok(0) => Err(Diagnostic::new("they are counted from 1").help(help)),
            Ok(count) => Ok(CutAt::AfterStatements(count)),
            Err(_) => Err(unknown()),
        },
        ["after", bytes @ ..] if !bytes.is_empty() => {
            unit::bytes(&bytes.join(" ")).map(CutAt::AfterBytes).map_err(|message| Diagnostic::new(message).help(help))
        }
        _ => Err(unknown()),
    }
}
