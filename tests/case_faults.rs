//! What the language says of faults, and of what is measured while they last.

use std::path::Path;
use std::time::Duration;

use dj_regress::case::load::load_str;
use dj_regress::case::{Action, Case, CutAt, Fault, Link, Quantity, RedisField, Server, State, TaskCount, Trigger};
use dj_regress::error::{ErrorKind, Result};
use rstest::rstest;

/// A good case; tests break one line of it at a time.
const GOOD: &str = include_str!("good/faults.yaml");

fn load(text: &str) -> Result<Case> {
    load_str(text, Path::new("cases/x.yaml"), Path::new("cases"))
}

fn good() -> Case {
    load(GOOD).unwrap_or_else(|error| panic!("error: {error}"))
}

fn state(text: &str) -> State {
    let case = load(text).unwrap_or_else(|error| panic!("error: {error}"));
    State::clone(&case.states.state)
}

/// A case whose only step is this one.
fn only(step: &str) -> String {
    let actors = "actors: {q: {cluster: simulated}}";
    let invariants = "invariants: {twice: {of: tasks.duplicated, reverted: 1}}";
    format!(
        "title: t\npackages: {{django: 5.2.*}}\n{actors}\ncontrol: {{env: {{A: b}}, twice: 0}}\nsteps: [{{start: q}}, {{{step}}}]\n{invariants}\n"
    )
}

fn message(text: &str) -> String {
    let error = load(text).expect_err("the case should be rejected");
    assert_eq!(error.kind, ErrorKind::Usage);
    format!("error: {}", error.message)
}

#[test]
fn faults_resolve_to_what_they_say() {
    let faults: Vec<Fault> = state(GOOD)
        .steps
        .into_iter()
        .filter_map(|step| match step.action {
            Action::Fault { fault, .. } => Some(fault),
            _ => None,
        })
        .collect();
    let link = |actor: &str, server| Link { actor: actor.to_owned(), server };
    let after = |actor: &str, statements| Some(Trigger { actor: actor.to_owned(), statements });
    assert_eq!(
        faults,
        [
            Fault::Kill { server: Server::Postgres, after: after("client", 200) },
            Fault::Stop { server: Server::Redis, after: None },
            Fault::Restart { server: Server::Postgres, after: None },
            Fault::Pause { server: Server::Redis, after: after("q", 3) },
            Fault::Terminate { actor: "q".into() },
            Fault::Refuse { server: Server::Postgres, from: Some("app".into()) },
            Fault::Latency {
                link: link("q", Server::Postgres),
                latency: Duration::from_millis(50),
                jitter: Duration::from_millis(10)
            },
            Fault::Bandwidth { link: link("client", Server::Redis), bytes_per_second: 64_000 },
            Fault::Cut { link: link("app", Server::Postgres), at: CutAt::AfterCommit },
            Fault::Cut { link: link("app", Server::Postgres), at: CutAt::AfterStatements(3) },
            Fault::Cut { link: link("app", Server::Redis), at: CutAt::AfterBytes(4096) },
            Fault::Reset { link: link("q", Server::Postgres) },
            Fault::BlackHole { link: link("q", Server::Redis) },
            Fault::Partition { link: link("q", Server::Postgres) },
            Fault::Evict,
            Fault::Fill,
        ]
    );
    let momentary: Vec<&Fault> = faults.iter().filter(|fault| fault.is_momentary()).collect();
    assert_eq!(
        momentary,
        [
            &Fault::Restart { server: Server::Postgres, after: None },
            &Fault::Terminate { actor: "q".into() },
            &Fault::Reset { link: link("q", Server::Postgres) },
            &Fault::Evict
        ]
    );
}

#[test]
fn a_fault_holds_the_steps_that_are_played_while_it_lasts() {
    let state = state(GOOD);
    let crash = &state.steps[1];
    assert_eq!((crash.name.as_deref(), crash.action.steps().len()), (Some("crash"), 2));
    assert_eq!(
        crash.action.steps()[0].written,
        "enqueue: charge, args: [order-$i], times: 1000, until: refused, as: put"
    );
    assert_eq!(crash.written, "fault: {kill: postgres, after: {client: 200}}, while: […], as: crash");
}

#[test]
fn a_control_may_move_a_fault() {
    let control = good().control.map(|control| control.states.state);
    let cut =
        |action: &Action| matches!(action, Action::Fault { fault: Fault::Cut { at: CutAt::BeforeCommit, .. }, .. });
    assert!(control.is_some_and(|state| state.any_step(cut)));
    assert!(!state(GOOD).any_step(cut));
}

#[rstest]
#[case("fault: {kill: postgres}", (true, false, true))]
#[case("fault: {pause: redis}", (false, true, true))]
#[case("fault: {latency: 1s, between: [q, postgres]}", (false, false, false))]
#[case("fault: {partition: [q, redis]}", (false, true, false))]
#[case("fault: {refuse: redis}", (false, true, false))]
#[case("fault: {terminate: q}", (false, false, false))]
#[case("fault: {fill: redis}", (false, true, true))]
#[case("fault: {flush: redis}", (false, true, true))]
#[case("fault: {evict: redis}", (false, true, true))]
#[case("beat: q", (false, false, false))]
#[case("fault: {refuse: postgres}, while: [{measure: [{fault: {kill: redis}}], as: x}]", (false, true, true))]
fn a_fault_says_which_servers_the_arm_needs(#[case] step: &str, #[case] expected: (bool, bool, bool)) {
    let state = state(&only(step));
    assert_eq!((state.own_postgres(), state.uses_redis(), state.server_faults()), expected);
}

#[test]
fn measurements_know_what_they_count() {
    let of = |name: &str| good().states.state.invariants[name].of.clone();
    assert_eq!(of("lost"), Quantity::Tasks(TaskCount::Lost));
    assert_eq!(of("twice"), Quantity::Tasks(TaskCount::Duplicated));
    assert_eq!(of("effect"), Quantity::Effects { key: None });
    assert_eq!(of("errors"), Quantity::Log { matching: "KeyError".into(), during: Some("crash".into()) });
    assert_eq!(of("keys"), Quantity::Redis { field: RedisField::Keys, during: None });
    assert_eq!(of("evicted"), Quantity::Redis { field: RedisField::EvictedKeys, during: Some("crash".into()) });
}

#[test]
fn every_count_of_tasks_is_a_measurement_of_the_whole_case() {
    let counts = [
        ("tasks.lost", TaskCount::Lost),
        ("tasks.duplicated", TaskCount::Duplicated),
        ("tasks.executed", TaskCount::Executed),
        ("tasks.queued", TaskCount::Queued),
        ("tasks.succeeded", TaskCount::Succeeded),
        ("tasks.failed", TaskCount::Failed),
    ];
    for (name, count) in counts {
        let text = GOOD.replace("of: tasks.duplicated", &format!("of: {name}"));
        assert!(
            load(&text).is_ok_and(|case| case.states.state.invariants["twice"].of == Quantity::Tasks(count)),
            "{name}"
        );
        let windowed = GOOD.replace("of: tasks.duplicated", &format!("of: {name}, during: crash"));
        let expected = format!("`during` does not belong to `{name}`");
        assert!(message(&windowed).contains(&expected), "{name}");
    }
}

#[rstest]
// Kinds and targets.
#[case("{kill: postgres, after", "{kil: postgres, after", &["unknown key `kil`", ":7:13", "did you mean `kill`?"])]
#[case("{kill: postgres, after", "{kill: postgre, after", &["unknown word `postgre`", ":7:19", "did you mean `postgres`?"])]
#[case("{kill: postgres, after", "{after", &["a fault without a kind", ":7:5", "black hole"])]
#[case("{kill: postgres, after", "{kill: postgres, stop: redis, after", &["a fault has one kind: this one has kill and stop", ":7:29"])]
#[case("{evict: redis}", "{evict: postgres}", &["unknown word `postgres`", "there is only `redis`"])]
#[case("[q, postgres]}\n    while: [{drain: q}]\n  - fault: {bandwidth", "[q, postgrs]}\n  - fault: {bandwidth", &["`postgrs` is not a server", ":20:55", "did you mean `postgres`?"])]
#[case("{reset: [q, postgres]}", "{reset: [postgres, q]}", &["`q` is not a server", "the actor comes first: `[q, postgres]`"])]
#[case("{reset: [q, postgres]}", "{reset: [q]}", &["expected an actor and a server, found a list of 1", ":28:13"])]
#[case("{reset: [q, postgres]}", "{reset: q}", &["expected a list, found the text `q`"])]
#[case("{reset: [q, postgres]}", "{reset: [p, postgres]}", &["unknown actor `p`", ":28:21"])]
#[case("{reset: [q, postgres]}", "{reset: [probe, postgres]}", &["the probe cannot be hurt"])]
#[case("{reset: [q, postgres]}", "{reset: [psql, postgres]}", &["`psql` is a stranger: no fault reaches it"])]
#[case("{terminate: q}", "{terminate: clint}", &["unknown actor `clint`", ":17:24", "did you mean `client`?"])]
#[case("from: app", "from: ap", &["unknown actor `ap`", ":18:37", "did you mean `app`?"])]
#[case("{client: $orders}", "{clint: $orders}", &["unknown actor `clint`", ":7:37", "did you mean `client`?"])]
// Options.
#[case(", between: [q, postgres]}\n    while: [{drain: q}]\n  - fault: {bandwidth", "}\n  - fault: {bandwidth", &["`latency` between whom?", ":20:13", "`between: [q, postgres]`"])]
#[case("{terminate: q}", "{terminate: q, from: app}", &["`from` does not belong to `terminate`", ":17:27", "`from` belongs to `refuse`"])]
#[case("{terminate: q}", "{terminate: q, fron: app}", &["unknown key `fron`", "did you mean `from`?"])]
#[case("jitter: 10ms", "jitter: 60ms", &["the jitter is larger than the latency", ":20:36"])]
#[case("64 kB", "64", &["`64` has no unit", ":22:24"])]
#[case("64 kB", "0 kB", &["that is a `partition`"])]
#[case("{client: $orders}", "{client: 0}", &["it is counted from 1", ":7:45"])]
#[case("{client: $orders}", "{client: 1, q: 2}", &["`after` watches one actor", ":7:29"])]
#[case("after 3 statements", "after 3 statement", &[])]
#[case("after 3 statements", "before 3 statements", &["`before 3 statements` is not where a connection can be cut", ":26:18", "`after COMMIT`"])]
#[case("after 3 statements", "after three statements", &["is not where a connection can be cut"])]
#[case("after 4096 B", "after 4096", &["has no unit"])]
#[case("where: after COMMIT", "where: at COMMIT", &["`at COMMIT` is not where a connection can be cut", ":24:18"])]
#[case("[app, redis]", "[app, redis, q]", &["found a list of 3"])]
#[case("after 4096 B", "after COMMIT", &["Redis has no COMMIT", ":27:18"])]
#[case("after 4096 B", "after 7 commands", &[])]
#[case("  - start: q\n", "  - start: q\n  - kill: postgres\n", &["unknown actor `postgres`", "`- fault: {kill: postgres}`"])]
// While.
#[case("  - fault: {kill: postgres, after: {client: $orders}}\n", "  - stop: q\n", &["`while` does not belong to `stop`", ":8:5"])]
#[case("  - fault: {stop: redis}\n    while:", "  - while:", &["a step without a verb", ":12:5"])]
#[case("{flush: redis}", "{flush: redis}\n        while: [{drain: q}]", &["`flush` is over at once", ":11:9", "put the steps after it"])]
#[case("{terminate: q}", "{terminate: q}\n    while: [{drain: q}]", &["`terminate` is over at once"])]
#[case("{restart: postgres}", "{restart: postgres}\n    while: [{drain: q}]", &["`restart` is over at once"])]
#[case("{restart: postgres}", "{restart: postgres, after: {app: 2}}\n    while: [{drain: q}]", &[])]
#[case("{restart: postgres}", "{restart: postgres, after: {app: 2}}", &["`after` without `while`", ":14:32"])]
#[case("{fill: redis}", "{fill: redis}\n    while: []", &["`while` has no steps"])]
#[case("{flush: redis}", "{flush: redis}\n      - strat: q", &["unknown key `strat`", ":11:9"])]
#[case("    while: [{drain: q}]\n  - fault: {restart", "    while: [{drain: p}]\n  - fault: {restart", &["unknown actor `p`", ":13:21"])]
// Measurements.
#[case("of: tasks.lost", "of: tasks.lots", &["no step gives a reading `tasks.lots`", ":36:18", "did you mean `tasks.lost`?"])]
#[case("of: tasks.lost", "of: tasks.lost, during: crash", &["`during` does not belong to `tasks.lost`", "of the whole case"])]
#[case("of: effects,", "of: effects, during: crash,", &["`during` does not belong to `effects`", "`effects` takes `key`"])]
#[case("of: effects,", "of: effects, matching: x,", &["`matching` does not belong to `effects`"])]
#[case("of: tasks.duplicated,", "of: tasks.duplicated, key: x,", &["`key` does not belong to `tasks.duplicated`"])]
#[case("matching: KeyError, ", "", &["`of: log` needs a `matching`", "say which lines"])]
#[case("field: keys, ", "", &["`of: redis` needs a `field`", "used_memory"])]
#[case("field: keys", "field: kyes", &["unknown word `kyes`", "did you mean `keys`?"])]
#[case("of: log, matching: KeyError", "of: log, field: keys, matching: x", &["`field` does not belong to `log`"])]
#[case("during: crash, both: 0}\n  keys", "during: crsh, both: 0}\n  keys", &["no step is called `crsh`", "did you mean `crash`?"])]
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

#[test]
fn the_client_is_an_actor_like_others() {
    let text = GOOD.replace("of: effects,", "of: statements, actor: client,");
    assert!(load(&text).is_ok_and(|case| case.states.state.invariants["effect"].of.actor() == Some("client")));
    let text = text.replace("actor: client", "actor: cleint");
    assert!(message(&text).contains("unknown actor `cleint`"));
}

#[test]
fn a_case_without_redis_has_nothing_to_look_at() {
    let text = only("beat: q").replace("of: tasks.duplicated", "of: redis, field: keys");
    let message = message(&text);
    assert!(message.contains("there is no Redis here to look at") && message.contains("$redis"), "{message}");
}

#[rstest]
#[case("sql: SELECT 1, as: tasks.lost", "a reading cannot be called `tasks.lost`")]
#[case("read: {redis: \"1\"}", "a reading cannot be called `redis`")]
#[case("read: {effects: \"1\"}", "a reading cannot be called `effects`")]
fn a_measurement_cannot_be_a_reading(#[case] step: &str, #[case] expected: &str) {
    let message = message(&only(step));
    assert!(message.contains(expected), "{message}");
}

#[rstest]
#[case("reset: [q, postgres]")]
#[case("flush: redis")]
#[case("partition: [q, redis]")]
fn a_simulated_cluster_has_wires_that_can_break(#[case] fault: &str) {
    state(&only(&format!("fault: {{{fault}}}")));
}
