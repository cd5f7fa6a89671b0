//! What the language says of servers, of clusters and their processes, and of tasks.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use dj_regress::case::load::load_str;
use dj_regress::case::{
    Action, Case, Due, Enqueue, HoldSpec, Policy, Role, Schedule, State, Step, WaitFor, What, word,
};
use dj_regress::error::{ErrorKind, Result};
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::{Value, json};

/// A good case; tests break one line of it at a time.
const GOOD: &str = include_str!("good/clusters.yaml");

fn load(text: &str) -> Result<Case> {
    load_str(text, Path::new("cases/x.yaml"), Path::new("cases"))
}

fn good() -> Case {
    load(GOOD).unwrap_or_else(|error| panic!("error: {error}"))
}

fn state() -> State {
    State::clone(&good().states.state)
}

fn message(text: &str) -> String {
    let error = load(text).expect_err("the case should be rejected");
    assert_eq!(error.kind, ErrorKind::Usage);
    format!("error: {}", error.message)
}

#[test]
fn services_merge_field_by_field() {
    let base = state().services;
    assert_eq!(base.postgres.image.as_deref(), Some("postgres:17"));
    assert_eq!(base.postgres.settings["synchronous_commit"], "off");
    assert_eq!(base.postgres.settings["wal_writer_delay"], "10s");
    assert_eq!((base.redis.maxmemory, base.redis.policy), (Some(5_000_000), Some(Policy::Noeviction)));
    let control = good().control.unwrap().states.state.services.clone();
    assert_eq!((control.redis.maxmemory, control.redis.policy), (Some(5_000_000), Some(Policy::AllkeysLru)));
    let settings: Vec<(&str, &str)> =
        control.postgres.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(settings, [("synchronous_commit", "off"), ("wal_writer_delay", "10s"), ("fsync", "on")]);
}

#[test]
fn other_servers_are_a_change() {
    let control = "control: {services: {redis: {policy: allkeys-lru}}, charges: 1}";
    let text = GOOD
        .lines()
        .fold(String::new(), |text, line| text + if line.starts_with("control:") { control } else { line } + "\n");
    load(&text).unwrap_or_else(|error| panic!("error: {error}"));
    let nothing = text.replace("{redis: {policy: allkeys-lru}}", "{redis: {}}");
    assert!(message(&nothing).contains("it changes nothing"));
}

#[test]
fn a_state_that_says_something_of_a_server_needs_one_of_its_own() {
    let without = GOOD.replace("services:\n", "env: {X: y}\n").lines().fold(String::new(), |text, line| {
        let said = line.starts_with("  postgres:") || line.starts_with("  redis:");
        if said { text } else { text + line + "\n" }
    });
    let without = without.replace(", services: {redis: {policy: allkeys-lru}, postgres: {settings: {fsync: on}}}", "");
    let without = without.replace(" delay: 10s,", "");
    let plain = load(&without).unwrap_or_else(|error| panic!("error: {error}")).states.state;
    assert!(plain.uses_redis() && !plain.own_postgres() && !plain.server_faults());
    let plain = without.replace("redis: $redis, ", "");
    let plain = load(&plain).unwrap_or_else(|error| panic!("error: {error}")).states.state;
    assert!(!plain.uses_redis());
    assert!(state().uses_redis() && state().own_postgres() && !state().server_faults());
}

#[test]
fn an_actor_may_change_the_state_for_itself_alone() {
    let state = state();
    assert_eq!(state.actor_changes.keys().collect::<Vec<_>>(), ["next"]);
    let next = state.changed_for("next").unwrap();
    assert_eq!(next.packages["django-q2"], "1.10");
    assert_eq!(next.settings["Q_CLUSTER"]["workers"], 3);
    assert_eq!(next.settings["Q_CLUSTER"]["redis"], state.settings["Q_CLUSTER"]["redis"], "mappings merge");
    assert_eq!(next.env["SITE"], "b");
    assert!(state.changed_for("q").is_none() && state.packages["django-q2"] == "1.9.0");
}

#[test]
fn steps_resolve_to_what_they_say() {
    let actions: Vec<Action> = state().steps.into_iter().map(|step| step.action).collect();
    let q = || "q".to_owned();
    let hold = HoldSpec { moment: "before_ack".into(), at_return: false, call: 2, role: None, every: false };
    assert_eq!(actions[0], Action::Hold { actor: q(), hold });
    assert_eq!(actions[2], Action::Start { actor: "next".into(), expect_exit: true, within: None });
    assert_eq!(actions[9], Action::Tick { actor: "sim".into(), count: 2 });
    let within = Some(Duration::from_secs(5));
    assert_eq!(actions[10], Action::Wait { for_: WaitFor::Held(q()), within });
    assert_eq!(actions[11], Action::Kill { actor: q(), role: Role::Held });
    let hold = HoldSpec { moment: "shop.tasks:Order.pay".into(), at_return: true, call: 1, role: None, every: false };
    assert_eq!(actions[12], Action::Hold { actor: q(), hold });
    assert_eq!(actions[13], Action::Release { actor: q() });
    let moments: Vec<String> = state().holds("q").iter().map(|hold| hold.moment.clone()).collect();
    assert_eq!(moments, ["before_ack", "shop.tasks:Order.pay"]);
    assert_eq!(actions[14], Action::Pause { actor: q(), role: Role::Sentinel });
    assert_eq!(actions[16], Action::Kill { actor: q(), role: Role::Group });
    assert_eq!(actions[18], Action::Restart { actor: q(), count: 3, by_kill: true });
    assert!(matches!(actions[19], Action::Wait { for_: WaitFor::Until { .. }, within: None }));
    assert_eq!(actions[20], Action::Drain { actor: q(), within: Some(Duration::from_secs(20)) });
    assert_eq!(actions[21], Action::Stop { actor: q(), within: Some(Duration::from_secs(10)) });
}

/// What a step is that stands in the place of the pause.
fn step(step: &str) -> Step {
    let text = GOOD
        .replace("{pause: q, role: sentinel}", &format!("{{{step}}}"))
        .replace("  - {resume: q, role: sentinel}\n", "");
    let case = load(&text).unwrap_or_else(|error| panic!("error: {error}"));
    case.states.state.steps[14].clone()
}

#[rstest]
#[case::to_the_parent("signal: q", Role::Parent, Signal::SIGTERM, "signal: q")]
#[case::of_one_role(
    "signal: q, role: worker, send: USR1",
    Role::Worker,
    Signal::SIGUSR1,
    "signal: q, role: worker, send: USR1"
)]
#[case::to_all("signal: q, role: group, send: INT", Role::Group, Signal::SIGINT, "signal: q, role: group, send: INT")]
#[case::with_variables(
    "signal: q, role: $role, send: HUP",
    Role::Held,
    Signal::SIGHUP,
    "signal: q, role: held, send: HUP"
)]
#[case::without_a_role("signal: q, send: USR2", Role::Parent, Signal::SIGUSR2, "signal: q, send: USR2")]
fn a_signal_goes_to_the_parent_or_a_role(
    #[case] step: &str,
    #[case] role: Role,
    #[case] send: Signal,
    #[case] words: &str,
) {
    let step = self::step(step);
    assert_eq!(step.action, Action::Signal { actor: "q".into(), role, send });
    assert_eq!(step.written, words);
}

#[test]
fn a_cluster_that_was_sent_a_signal_can_be_stopped_but_not_started() {
    let text = GOOD.replace("{pause: q, role: sentinel}", "signal: q");
    load(&text).unwrap_or_else(|error| panic!("error: {error}"));
    let text = GOOD.replace("  - kill: q\n", "  - signal: q\n");
    assert!(message(&text).contains("`q` is started already"));
}

#[test]
fn a_hold_may_be_for_one_role_only() {
    let step = step("hold: q, at: before_ack, role: monitor");
    let hold =
        HoldSpec { moment: "before_ack".into(), at_return: false, call: 1, role: Some(Role::Monitor), every: false };
    assert_eq!(step.action, Action::Hold { actor: "q".into(), hold });
    assert_eq!(step.written, "hold: q, at: before_ack, role: monitor");
}

#[test]
fn a_cluster_may_have_so_long_to_end_by_itself() {
    let text = GOOD.replace("    expect: exit\n", "    expect: exit\n    within: $delay\n");
    let text = text.replace("of: boot.exit, both: 1", "of: boot.reached, both: true");
    let case = load(&text).unwrap_or_else(|error| panic!("error: {error}"));
    let action = &case.states.state.steps[2].action;
    let within = Some(Duration::from_secs(10));
    assert_eq!(*action, Action::Start { actor: "next".into(), expect_exit: true, within });
    assert_eq!(case.states.state.steps[2].written, "start: next, expect: exit, within: 10s, as: boot");
}

#[test]
fn a_setting_that_the_harness_needs_is_refused_in_every_state() {
    let error = load(&GOOD.replace("{settings: {fsync: on}}", "{settings: {Port: \"1\"}}")).expect_err("refused");
    let place = GOOD.lines().nth(13).unwrap().find("fsync").unwrap() + "Port: ".len() + 1;
    assert!(error.message.contains("Postgres' `Port` cannot be set: the harness needs it as it is"), "{error}");
    assert!(error.message.contains(&format!(":14:{place}")), "{error}");
}

#[test]
fn tasks_get_their_module_and_keep_the_index() {
    let actions: Vec<Action> = state().steps.into_iter().map(|step| step.action).collect();
    let Action::Enqueue(Enqueue { by, what, times, group, cached, options, until_refused }) = &actions[4] else {
        panic!("{:?}", actions[4]);
    };
    let What::Task { task, args, kwargs } = what else { panic!("{what:?}") };
    assert_eq!((by.as_str(), task.as_str(), *times), ("app", "shop.tasks.charge", 3));
    assert_eq!(args, &[json!("order-$i"), json!("$i"), json!({"name": "s"})]);
    assert_eq!((kwargs["n"].clone(), group.as_deref()), (json!("$i"), Some("g-$i")));
    assert_eq!((cached.clone(), options["save"].clone(), *until_refused), (Some(json!(true)), json!(false), true));
    let Action::Enqueue(iter) = &actions[5] else { panic!("{:?}", actions[5]) };
    assert_eq!(iter.what, What::Iter { task: "shop.tasks.ship".into(), args: vec![json!(1), json!(2)] });
    assert_eq!((iter.by.as_str(), iter.times, iter.until_refused), ("client", 1, false));
    let Action::Enqueue(chain) = &actions[6] else { panic!("{:?}", actions[6]) };
    let links = vec![("shop.tasks.charge".into(), vec![json!("a")]), ("shop.other.ship".into(), Vec::new())];
    assert_eq!(chain.what, What::Chain { links });
}

#[test]
fn schedules_are_due_from_now_and_may_be_late() {
    let actions: Vec<Action> = state().steps.into_iter().map(|step| step.action).collect();
    let Action::Schedule(schedule) = &actions[7] else {
        panic!("{:?}", actions[7]);
    };
    let Schedule { by, task, args, kind, due, .. } = schedule;
    assert_eq!((by.as_str(), task.as_str(), word(kind).as_str()), ("client", "shop.tasks.charge", "minutes"));
    assert_eq!((args.as_slice(), *due), ([json!("a")].as_slice(), Due::In(-4 * 86_400 * 1_000_000_000)));
    let fields = schedule.fields();
    let fields: Vec<(&str, Value)> = fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(
        fields,
        [("minutes", json!(5)), ("repeats", json!(-1)), ("name", json!("nightly")), ("cluster", json!("x"))]
    );
    let Action::Schedule(cron) = &actions[8] else { panic!("{:?}", actions[8]) };
    assert_eq!((word(cron.kind).as_str(), cron.due, cron.args.len()), ("cron", Due::In(0), 0));
}

#[test]
fn steps_are_told_as_they_are_written() {
    let words: Vec<String> = state().steps.iter().map(|step| step.written.clone()).collect();
    insta::assert_snapshot!(words.join("\n"), @r#"
    hold: q, at: before_ack, call: 2
    start: q
    start: next, expect: exit, as: boot
    start: sim
    enqueue: charge, args: […], times: 3, group: g-$i, cached: true, kwargs: {n: $i}, options: {save: false}, by: app, until: refused, as: put
    enqueue: shop.tasks.ship, iter: [1, 2]
    enqueue: […], group: g
    schedule: charge, args: [a], type: minutes, minutes: 5, repeats: -1, due: -4d, name: nightly, options: {cluster: x}
    schedule: charge, type: cron, cron: "0 1 * * *", by: app
    tick: sim, times: 2
    wait: {held: q}, within: 5s, as: caught
    kill: q, role: held
    hold: q, at: "shop.tasks:Order.pay", when: return
    release: q
    pause: q, role: sentinel
    resume: q, role: sentinel
    kill: q
    start: q
    restart: q, times: 3, by: kill
    wait: cache.get('done'), as: done
    drain: q, within: 20s, as: empty
    stop: q, within: 10s, as: halt
    "#);
}

#[rstest]
// Services.
#[case("postgres: {image", "postgers: {image", &["unknown key `postgers`", ":6:3", "did you mean `postgres`?"])]
#[case("maxmemory: 5 MB", "maxmemry: 5 MB", &["unknown key `maxmemry`", ":7:11", "did you mean `maxmemory`?"])]
#[case("maxmemory: 5 MB", "maxmemory: 5000000", &["`5000000` has no unit", ":7:22"])]
#[case("maxmemory: 5 MB", "maxmemory: 5 min", &["`min` is not a unit of bytes", ":7:22"])]
#[case("maxmemory: 5 MB", "maxmemory: 0.5 B", &["not a whole number of bytes"])]
#[case("policy: noeviction", "policy: allkeys-lur", &["`allkeys-lur` is not a policy of Redis", ":7:36", "did you mean `allkeys-lru`?"])]
#[case("$delay}}", "$dely}}", &["unknown variable `$dely`", "did you mean `delay`?"])]
#[case("{policy: allkeys-lru}", "{policy: none}", &["`none` is not a policy of Redis", ":14:65"])]
#[case("wal_writer_delay: $delay", "shared_preload_libraries: x", &["`shared_preload_libraries` cannot be set", ":6:100"])]
#[case("wal_writer_delay: $delay", "pg_stat_statements.max: 5", &["`pg_stat_statements.max` cannot be set", ":6:98"])]
#[case("wal_writer_delay: $delay", "wal writer delay: $delay", &["`wal writer delay` is not a setting of Postgres", "a name of postgresql.conf"])]
#[case("wal_writer_delay: $delay", "wal_writer_delay: \"1\\n2\"", &["has more than one line"])]
// Actors.
#[case("{stranger: psql}", "{stranger: psql, env: {A: b}}", &["a stranger does not run the app", ":13:3"])]
#[case("{django-q2: 1.10}", "{django-q2: \">1;\"}", &["`>1;` is not a version"])]
#[case("workers: $orders", "workers: $order", &["unknown variable `$order`", ":10:86", "`orders`?"])]
#[case("  app:", "  client:", &["an actor cannot be called `client`: the word is taken", ":12:3"])]
#[case("orders: 3", "orders: 3, i: 1", &["a var cannot be called `i`"])]
#[case("{tick: sim, times: 2}", "{python: client, run: x}", &["unknown actor `client`", "only enqueues and schedules"])]
// Start, stop, restart, drain and what stands beside them.
#[case("expect: exit", "within: 5s", &["`within` does not belong to a `start` that comes up", ":19:5", "`expect: exit`"])]
#[case("    expect: exit\n", "    expect: exit\n    within: 5\n", &["`5` has no unit", ":20:13"])]
#[case("expect: exit", "expect: exits", &["unknown word `exits`", ":19:13", "did you mean `exit`?"])]
#[case("  - start: sim\n", "  - start: sim\n    expect: exit\n", &["a simulated cluster takes no `expect`", ":22:5"])]
#[case("tick: sim", "tick: sim, expect: exit", &["`expect` does not belong to `tick`", "`expect` belongs to `start`"])]
#[case("tick: sim", "tick: sim, within: 1s", &["`within` does not belong to `tick`", "`within` belongs to `start`, `stop`, `drain`"])]
#[case("{tick: sim, times: 2}", "{drain: sim, within: 1s}", &["a simulated cluster takes no `within`"])]
#[case("{tick: sim, times: 2}", "{restart: sim, times: 2, by: kill}", &["a simulated cluster takes no `by`", ":27:30"])]
#[case("tick: sim", "tick: q", &["a real cluster runs its scheduler by itself", ":27:12"])]
#[case("tick: sim", "tick: sim, evry: 1s", &["unknown key `evry`", ":27:17"])]
#[case("by: kill}", "by: stop}", &["unknown word `stop`", "`kill`"])]
#[case("by: kill}", "bye: kill}", &["unknown key `bye`", "did you mean `by`?"])]
#[case("within: 20s", "within: 20", &["`20` has no unit", ":40:13"])]
#[case("  - stop: q\n", "  - stop: q\n    while: [{start: q}]\n", &["`while` does not belong to `stop`"])]
// Processes.
#[case("pause: q, role: sentinel", "signal: q, role: sentinel, send: TREM", &["`TREM` is not a signal that can be sent", ":32:39", "did you mean `TERM`?"])]
#[case("pause: q, role: sentinel", "signal: q, role: sentinel, send: KILL", &["`KILL` is not a signal that can be sent", ":32:39"])]
#[case("pause: q, role: sentinel", "signal: q, role: sentinel, sned: TERM", &["unknown key `sned`", "did you mean `send`?"])]
#[case("pause: q, role: sentinel", "signal: q, role: sentinl", &["`sentinl` is not a process of a cluster", ":32:23", "did you mean `sentinel`?"])]
#[case("{pause: q, role: sentinel}", "signal: sim", &["`sim` is a simulated cluster and cannot do `signal`", ":32:13"])]
#[case("{pause: q, role: sentinel}", "signl: q", &["unknown key `signl`", "did you mean `signal`?"])]
#[case("kill: q, role: $role", "kill: q, role: wroker", &["`wroker` is not a process of a cluster", ":29:21", "did you mean `worker`?"])]
#[case("role: held,", "role: wrker,", &["`wrker` is not a process of a cluster", ":29:21"])]
#[case("pause: q, role: sentinel", "pause: q, role: held", &["what is held stands already", ":32:22"])]
#[case("pause: q, role: sentinel", "pause: sim, role: sentinel", &["`sim` is a simulated cluster and cannot do `pause`", ":32:13"])]
#[case("{resume: q, role: sentinel}", "resume: app", &["`app` is a python actor and cannot do `resume`", "only a real cluster"])]
#[case("  - start: q\n  - {restart", "  - {restart", &["`q` is used before it is started", "`- start: q`"])]
#[case("  - kill: q\n", "  - {kill: q, role: parent}\n", &["`q` is started already", ":35:12"])]
#[case("  - {kill: q, role: $role}\n", "  - {kill: q, role: $role}\n  - start: next\n", &[])]
// Holds.
#[case("hold: q, at: $moment,", "hold: sim, at: $moment,", &["`sim` is a simulated cluster and cannot do `hold`", "no step before holds a process of `q`"])]
#[case("{hold: q, at: $moment, call: 2}", "hold: q", &["`hold` without a moment", ":16:11"])]
#[case("call: 2", "role: wroker", &["`wroker` is not a process of a cluster", ":16:34", "did you mean `worker`?"])]
#[case("call: 2", "role: group", &["`group` is not the role of one process", ":16:34", "parent, sentinel, pusher, monitor or worker"])]
#[case("call: 2", "role: $role", &["`held` is not the role of one process", ":16:34"])]
#[case("call: 2", "rol: worker", &["unknown key `rol`", "did you mean `role`?"])]
#[case("call: 2", "call: 0", &["it is counted from 1", ":16:34"])]
#[case("call: 2", "cal: 2", &["unknown key `cal`", "did you mean `call`?"])]
#[case("call: 2", "when: return", &["`before_ack` is a moment, not a function: it has no `when`"])]
#[case("when: return", "when: exit", &["`exit` is not a side of a call", "`entry`, `return`"])]
#[case("shop.tasks:Order.pay", "shop.tasks:", &["`shop.tasks:` is not a function"])]
#[case("  - {hold: q, at: $moment, call: 2}\n", "", &["no step before holds a process of `q`", ":27:19"])]
// Waits.
#[case(", as: caught", "", &["`wait` without `as`", ":28:6"])]
#[case("{held: q}", "{held: sim}", &["`sim` is a simulated cluster and cannot be held", ":28:19"])]
#[case("{held: q}", "{held: p}", &["unknown actor `p`", ":28:19"])]
#[case("{held: q}", "{hold: q}", &["unknown key `hold`", "did you mean `held`?"])]
#[case("{held: q}", "{held: q, quiet: q}", &["expected one of these: `held` and `quiet`"])]
#[case("{held: q}", "{}", &["expected a Python expression, `{held: q}` or `{quiet: web}`"])]
#[case("cache.get('done')", "time.sleep(1)", &["a case does not sleep"])]
// Tasks.
#[case("times: $orders", "tmies: $orders", &["unknown key `tmies`", ":22:56", "did you mean `times`?"])]
#[case("shop.tasks.ship, iter: [1, 2]", "shop.tasks.ship, tims: 3", &["unknown key `tims`", "did you mean `times`?"])]
#[case("shop.tasks.ship, iter: [1, 2]", "shop.tasks.ship, args: 3", &["expected a list, found the number 3"])]
#[case("shop.tasks.ship, iter: [1, 2]", ", times: 3", &["expected a task, or a list of tasks, found nothing"])]
#[case("shop.tasks.ship, iter: [1, 2]", "shop..ship, args: [1]", &["`shop..ship` is not the name of a task"])]
#[case("iter: [1, 2]}", "iter: [1, 2], kwargs: {a: 1}}", &["`kwargs` does not belong to `iter`"])]
#[case("iter: [1, 2]}", "iter: often}", &["expected a list, found the text `often`"])]
#[case("until: refused", "until: refusd", &["unknown word `refusd`", "`refused`"])]
#[case("by: app, until", "by: q, until", &["`q` is a real cluster and cannot do `enqueue`", "`client`"])]
#[case("by: app, until", "by: clint, until", &["unknown actor `clint`", "did you mean `client`?"])]
#[case("{enqueue: [{charge: [a]},", "{enqueue: [{charge: [a], ship: [b]},", &["a link of a chain is one task: `ship` is a second one"])]
#[case("], group: g}", "], gruop: g}", &["unknown key `gruop`", "did you mean `group`?"])]
#[case("group: g}", "iter: [1]}", &["`iter` does not belong to a chain"])]
#[case("\"g-$i\"", "\"g-$j\"", &["unknown variable `$j`"])]
#[case("[\"order-$i\", $i, \"$shop\"]", "[\"order-$i\", $x]", &["unknown variable `$x`", ":22:42"])]
#[case("within: 10s", "within: $i", &["unknown variable `$i`"])]
#[case("{save: false}", "{save: $i}", &["unknown variable `$i`", ":22:134"])]
#[case("cached: true", "cached: $i", &["unknown variable `$i`"])]
#[case("{enqueue: shop.tasks.ship, iter: [1, 2]}", "enqueue: {charge: [a], times: 2}", &["`enqueue: {charge: [a], times: 2}` is written `enqueue: charge` with `args: [a]` and `times: 2` beside it", ":23:5"])]
// Schedules.
#[case("type: minutes,", "type: minute,", &["`minute` is not a type of schedule", "did you mean `minutes`?"])]
#[case("type: minutes, minutes: 5", "type: minutes", &["a schedule of type `minutes` needs `minutes`"])]
#[case("type: minutes, minutes: 5", "type: daily, minutes: 5", &["`minutes` does not belong to a schedule of type `daily`"])]
#[case("minutes: 5", "minutes: often", &["expected a count, found \"often\""])]
#[case("due: -4d", "due: -4", &["`-4` has no unit", ":25:80"])]
#[case("due: -4d", "deu: -4d", &["unknown key `deu`", "did you mean `due`?"])]
#[case("options: {cluster: x}", "options: {repeats: 1}", &["`repeats` is an option of `schedule` itself"])]
// What steps give.
#[case("of: boot.exit", "of: boot.exti", &["no step gives a reading `boot.exti`", "did you mean `boot.exit`?"])]
#[case("of: put.accepted", "of: put.acepted", &["no step gives a reading `put.acepted`", ":50:18", "did you mean `put.accepted`?"])]
#[case("both: <= 5}", "both: 5}", &["`boot.seconds` is measured in real time: it is never exactly `5`", ":48:38"])]
#[case("both: <= 5}", "both: 5s}", &["it is never exactly `5 s`"])]
// Deltas.
#[case("control: {vars: {moment: after_ack}, services", "control: {servcies", &["a bound is a single value, not a mapping"])]
fn a_mistake_is_shown_where_it_is(#[case] good: &str, #[case] bad: &str, #[case] expected: &[&str]) {
    assert!(GOOD.contains(good), "the good case has no {good}");
    let text = GOOD.replacen(good, bad, 1);
    if expected.is_empty() {
        load(&text).unwrap_or_else(|error| panic!("error: {error}"));
        return;
    }
    let message = message(&text);
    for fragment in expected {
        assert!(message.contains(fragment), "`{fragment}` is not in:\n{message}");
    }
}
