//! An actor of an arm: its ledger, clock and steps.

mod worker;

use std::time::Duration;

use dj_regress_protocol::{ActorKind, Record, Request};
use serde_json::json;
use worker::{Controller, no_settings, python, source_once};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn every_statement_has_a_begin_and_an_end() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut actor) = controller.actor(&mut zygote, python("shop.tasks"));
    actor.python(
        "place('order-1')\nconnection.cursor().executemany('delete from shop_charge where id = %s', [(1,), (2,)])",
    );
    let statements = arm.statements();
    let insert = &statements[0];
    assert!(insert.sql.starts_with("INSERT INTO \"shop_order\""), "{}", insert.sql);
    assert!(insert.site.starts_with("shop/tasks.py:"), "{}", insert.site);
    assert!(insert.site.ends_with(":place"), "{}", insert.site);
    assert_eq!((insert.role.as_str(), insert.times), ("main", 1));
    assert_eq!(insert.key, (actor.hello.pid, 1));
    assert!(matches!(insert.end, Some(Record::End { error: None, .. })), "{insert:?}");
    assert_eq!(statements[1].times, 2);
    assert_eq!(statements[1].site, "<python step>:2:<module>");
}

#[test]
fn a_failed_statement_ends_with_its_error() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut actor) = controller.actor(&mut zygote, python(""));
    let failed = actor.fails(&source_once("connection.cursor().execute('select nonsense')"));
    assert_eq!(failed.exception, "OperationalError");
    let Some(Record::End { error, rows, .. }) = &arm.statements()[0].end else {
        panic!("no end");
    };
    assert_eq!((error.as_deref(), *rows), (Some("OperationalError"), -1));
}

#[test]
fn a_killed_process_leaves_begun_not_ended() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut actor) = controller.actor(&mut zygote, python(""));
    let died = actor.try_ask(&source_once(
        "import os, signal\n\
         connection.ensure_connection()\n\
         connection.connection.create_function('die', 0, lambda: os.kill(os.getpid(), signal.SIGKILL))\n\
         connection.cursor().execute('select die()')",
    ));
    assert_eq!(died, None);
    let statements = arm.statements();
    let last = statements.last().expect("a statement");
    assert_eq!(last.sql, "select die()");
    assert_eq!(last.end, None);
}

#[test]
fn statements_of_threads_and_forked_children_are_recorded_under_their_own_process() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut actor) = controller.actor(&mut zygote, python(""));
    actor.python(
        "import multiprocessing, threading\n\
         def child():\n    connection.close()\n    connection.cursor().execute('select 1')\n\
         def thread():\n    for _ in range(200): connection.cursor().execute('select 2')\n\
         connection.cursor().execute('select 0')\n\
         process = multiprocessing.get_context('fork').Process(target=child)\n\
         process.start(); process.join()\n\
         threads = [threading.Thread(target=thread) for _ in range(4)]\n\
         [thread.start() for thread in threads]\n\
         [thread.join() for thread in threads]\n",
    );
    let statements = arm.statements();
    let own = |sql: &str| statements.iter().filter(|statement| statement.sql == sql).collect::<Vec<_>>();
    let child = own("select 1");
    assert_eq!(child[0].role, "child");
    assert_ne!(child[0].key.0, actor.hello.pid);
    assert_eq!(child[0].key.1, 1, "each process counts from one");
    let threads = own("select 2");
    assert_eq!(threads.len(), 800);
    assert!(threads.iter().all(|statement| statement.end.is_some()));
    assert_eq!(threads.last().expect("one").key, (actor.hello.pid, 801));
}

#[test]
fn the_clock_moves_forked_processes_at_once() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut actor) = controller.actor(&mut zygote, python(""));
    actor.python(
        "import multiprocessing, time\n\
         here, there = multiprocessing.Pipe()\n\
         def tell():\n    while there.recv(): there.send((time.time(), timezone.now().timestamp()))\n\
         multiprocessing.get_context('fork').Process(target=tell, daemon=True).start()\n\
         def ask():\n    here.send(True)\n    return here.recv()\n\
         before, monotonic = ask(), time.monotonic()",
    );
    arm.advance(HOUR);
    let moved = "[3600 <= after - before < 3660 for before, after in zip(before, ask())]";
    assert_eq!(actor.read(moved), json!([true, true]));
    assert_eq!(actor.read("3600 <= time.time() - before[0] < 3660"), json!(true));
    assert_eq!(actor.read("3600 <= time.monotonic() - monotonic < 3660"), json!(true));
    actor.python("here.send(False)");
}

#[test]
fn readings_come_as_json_and_keep_their_type() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (_arm, mut actor) = controller.actor(&mut zygote, python(""));
    actor.step(&Request::Python { source: "seen = [*globals().get('seen', []), i]".into(), times: 3 });
    let readings = [
        ("seen", json!([0, 1, 2])),
        ("{'a': (1, None, True)}", json!({"mapping": {"a": [1, null, true]}})),
        ("float('nan'), float('-inf'), 1.5", json!([{"float": "nan"}, {"float": "-inf"}, 1.5])),
        ("2 ** 62, 2 ** 64", json!([4_611_686_018_427_387_904_u64, {"integer": "18446744073709551616"}])),
        ("timedelta(seconds=1)", json!(1.0)),
        ("Order.__name__, Conf.PREFIX", json!(["Order", "shop"])),
    ];
    for (expression, value) in readings {
        assert_eq!(actor.read(expression), value, "{expression}");
    }
    assert_eq!(actor.fails(&Request::Read(vec![("keys".into(), "{1: 2}".into())])).exception, "TypeError");
    let failed = actor.fails(&Request::Read(vec![("listed".into(), "nope".into())]));
    assert_eq!(failed.exception, "NameError");
    assert!(failed.traceback.contains("<read listed>"), "{}", failed.traceback);
}

#[test]
fn an_exit_inside_a_step_is_a_failure_of_the_step() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut actor) = controller.actor(&mut zygote, python(""));
    assert_eq!(actor.fails(&source_once("raise SystemExit(3)")).exception, "SystemExit");
    actor.python("print('still here')");
    assert!(arm.log().contains("still here\n"), "{}", arm.log());
}

#[test]
fn release_1_9_0_lists_every_identity_and_rewrites_the_list_at_every_beat() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut cluster) = controller.actor(&mut zygote, ActorKind::SimulatedCluster);
    assert_eq!(cluster.step(&Request::Start).beats, 1);
    for _ in 0..121 {
        arm.advance(Duration::from_secs(4));
        let restarted = cluster.step(&Request::Restart);
        assert_eq!((restarted.beats, restarted.restarts), (1, 1));
    }
    let before = arm.statements().len();
    let beats = cluster.step(&Request::Beat { count: 10 });
    assert_eq!(beats.beats, 10);
    let mut statements = arm.statements().split_off(before);
    statements.retain(|statement| statement.sql.contains("django_cache_table"));
    let updates = statements.iter().filter(|statement| statement.sql.starts_with("UPDATE"));
    assert_eq!((statements.len(), updates.count()), (70, 20));
    assert!(statements[0].site.starts_with("django_q/brokers/__init__.py:"), "{}", statements[0].site);
    assert_eq!(cluster.read("len(cache.get(Conf.Q_STAT))"), json!(122));
}

#[test]
fn a_beat_that_cannot_be_saved_fails_the_step() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (_arm, mut cluster) = controller.actor(&mut zygote, ActorKind::SimulatedCluster);
    cluster.step(&Request::Start);
    cluster.python("connection.cursor().execute('drop table django_cache_table')");
    let failed = cluster.fails(&Request::Beat { count: 1 });
    assert_eq!(failed.exception, "OperationalError");
    assert!(failed.message.contains("no such table"), "{}", failed.message);
}

#[test]
fn a_drain_runs_what_is_queued_up_to_its_bound() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut cluster) = controller.actor(&mut zygote, ActorKind::SimulatedCluster);
    cluster.step(&Request::Start);
    cluster.python("async_task('shop.tasks.place', 'order-1')\nasync_task('shop.tasks.charge', 'order-1')");
    cluster.python("async_task('shop.tasks.missing')\nkept = async_task('shop.tasks.double', 21)");
    assert_eq!(cluster.step(&Request::Drain { at_most: 10 }).tasks, 4);
    assert_eq!(cluster.read("Charge.objects.count(), result(kept)"), json!([1, 42]));
    assert!(arm.log().contains("shop.tasks.missing is not defined"), "{}", arm.log());
    let charged = arm.statements().into_iter().find(|statement| statement.site.ends_with(":charge"));
    assert!(charged.is_some_and(|statement| statement.site.starts_with("shop/tasks.py:")));

    cluster.python("for n in range(3): async_task('shop.tasks.double', n)");
    let failed = cluster.fails(&Request::Drain { at_most: 2 });
    assert_eq!(failed.message, "drain: 2 tasks were run and there are more (at most 2)");
    assert_eq!(cluster.step(&Request::Drain { at_most: 1 }).tasks, 1);
}
