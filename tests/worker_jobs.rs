//! Tasks and schedules: how they get into a queue, what becomes of them in a simulated cluster.

mod worker;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dj_regress::clock::START;
use dj_regress_protocol::{ActorKind, Due, Enqueue, Entry, Reply, Request, Schedule};
use serde_json::{Value, json};
use worker::{Arm, Controller, Peer, eventually, no_settings, python, task, text};

const DAY_NS: i64 = 86_400_000_000_000;

/// A client and a simulated cluster that is started.
fn scene(settings: Value) -> (Controller, Arm, Peer, Peer) {
    let (controller, mut zygote) = Controller::zygote(settings);
    let (arm, _probe) = controller.arm(&mut zygote);
    arm.stand_still();
    let client = controller.enter(&mut zygote, &arm, "client", python("shop.tasks"));
    let mut cluster = controller.enter(&mut zygote, &arm, "q", ActorKind::SimulatedCluster);
    cluster.step(&Request::Start);
    (controller, arm, client, cluster)
}

fn drain(cluster: &mut Peer) -> u64 {
    cluster.step(&Request::Drain { at_most: 100 }).tasks
}

fn schedule(client: &mut Peer, schedule: Schedule) {
    assert_eq!(client.ask(&Request::Schedule(schedule)), Reply::Done);
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[test]
fn each_call_is_accepted_under_the_id_that_is_queued_and_executed() {
    let (_controller, arm, mut client, mut cluster) = scene(no_settings());
    let enqueue = Enqueue {
        kwargs: [("amount".to_owned(), json!("$i.50"))].into(),
        group: Some("day-$i".into()),
        options: [("task_name".to_owned(), json!("placing"))].into(),
        times: 3,
        ..task("place", &[json!("order-$i")])
    };
    assert_eq!(client.enqueue(enqueue), 3);
    let accepted = arm.accepted();
    assert_eq!(accepted.len(), 3);
    let tasks = client.tasks();
    assert_eq!((&tasks.queued, tasks.succeeded.len()), (&sorted(accepted.clone()), 0));

    assert_eq!(drain(&mut cluster), 3);
    assert_eq!(sorted(arm.executed()), sorted(accepted.clone()));
    let executions = arm.journal().into_iter().filter_map(|entry| match entry {
        Entry::Execution { name, pid, actor, time, .. } => Some((name, pid, actor, time)),
        _ => None,
    });
    for (name, pid, actor, time) in executions {
        assert_eq!((name.as_str(), pid, actor.as_str()), ("shop.tasks.place", cluster.hello.pid, "q"));
        let start = START.as_secs_f64();
        assert!((start..start + 60.0).contains(&time), "virtual seconds, not {time}");
    }
    let tasks = client.tasks();
    assert_eq!((tasks.queued.len(), &tasks.succeeded), (0, &sorted(accepted)));
    let orders = "sorted((order.number, str(order.amount)) for order in Order.objects.all())";
    assert_eq!(client.read(orders), json!([["order-0", "0.50"], ["order-1", "1.50"], ["order-2", "2.50"]]));
    let Value::Array(groups) =
        client.read("list(__import__('django_q').models.Success.objects.values_list('group', 'name'))")
    else {
        panic!("no list");
    };
    assert!(groups.contains(&json!(["day-2", "placing"])), "{groups:?}");
}

#[test]
fn an_index_alone_is_a_number_wherever_it_stands() {
    let (_controller, arm, mut client, mut cluster) = scene(no_settings());
    client.enqueue(Enqueue { times: 2, cached: Some(json!(true)), ..task("double", &[json!("$i")]) });
    client.enqueue(Enqueue { cached: Some(json!(60)), ..task("remember", &[json!([{"n": "$i"}, "<$i>"])]) });
    assert_eq!(drain(&mut cluster), 3);
    let results: Vec<Value> =
        arm.accepted().iter().map(|id| client.read(&format!("result('{id}', cached=True)"))).collect();
    assert_eq!(results, [json!(0), json!(2), json!([{"mapping": {"n": 0}}, "<0>"])]);
    assert_eq!(client.tasks().succeeded.len(), 0, "a cached result has no row");
}

#[test]
fn what_is_refused_ends_the_calls_or_fails_the_step() {
    let (_controller, arm, mut client, _cluster) = scene(no_settings());
    client.python(
        "connection.cursor().execute(\"CREATE TRIGGER full BEFORE INSERT ON django_q_ormq \
         WHEN (SELECT count(*) FROM django_q_ormq) >= 2 BEGIN SELECT RAISE(ABORT, 'the queue is full'); END\")",
    );
    let five = Enqueue { times: 5, until_refused: true, ..task("double", &[json!(1)]) };
    let Reply::Enqueued { accepted: 2, refused: Some(refused) } = client.ask(&Request::Enqueue(five.clone())) else {
        panic!("not refused");
    };
    assert_eq!((refused.exception.as_str(), refused.message.as_str()), ("IntegrityError", "the queue is full"));
    assert!(refused.traceback.contains("async_task"), "{}", refused.traceback);
    assert_eq!(sorted(arm.accepted()), client.tasks().queued);
    let failed = client.fails(&Request::Enqueue(Enqueue { until_refused: false, ..five }));
    assert_eq!(failed.message, "the queue is full");
    assert_eq!(arm.accepted().len(), 2);
}

#[test]
fn chains_and_iters_run_to_their_end() {
    let (_controller, arm, mut client, mut cluster) = scene(no_settings());
    let chain = Enqueue {
        chain: vec![
            ("shop.tasks.place".into(), vec![json!("order-$i")]),
            ("shop.tasks.charge".into(), vec![json!("order-$i")]),
        ],
        times: 2,
        group: Some("chain-$i".into()),
        ..Enqueue::default()
    };
    assert_eq!(client.enqueue(chain), 2);
    assert_eq!(client.tasks().queued, sorted(arm.accepted()), "of a chain only the first task is there yet");
    assert_eq!(drain(&mut cluster), 4);
    assert_eq!(arm.effects(), ["order-0", "order-1"]);
    assert_eq!(client.read("len(__import__('django_q').tasks.result_group('chain-1'))"), json!(2));

    let before = arm.accepted().len();
    assert_eq!(client.enqueue(Enqueue { iter: true, ..task("double", &[json!(1), json!([2]), json!(3)]) }), 1);
    assert_eq!(arm.accepted().len() - before, 3, "each task of an iter has its id");
    assert_eq!(drain(&mut cluster), 3);
    let collected =
        "[list(row.result) for row in __import__('django_q').models.Success.objects.filter(func='shop.tasks.double')]";
    assert_eq!(client.read(collected), json!([[2, 4, 6]]));
}

#[test]
fn failures_are_kept_in_the_queue_until_they_are_acknowledged() {
    let (_controller, arm, mut client, mut cluster) = scene(json!({"Q_CLUSTER": {"max_attempts": 2}}));
    client.enqueue(task("fail", &[]));
    client.enqueue(Enqueue { options: [("ack_failure".to_owned(), json!(true))].into(), ..task("fail", &[]) });
    assert_eq!(drain(&mut cluster), 2);
    let ids = arm.accepted();
    let tasks = client.tasks();
    assert_eq!((tasks.queued, tasks.failed), (vec![ids[0].clone()], sorted(ids.clone())));
    arm.advance(Duration::from_secs(61));
    assert_eq!(drain(&mut cluster), 1, "its lock has expired");
    assert_eq!(client.tasks().queued.len(), 0, "that was the last attempt");
    arm.advance(Duration::from_secs(61));
    assert_eq!(drain(&mut cluster), 0);
}

#[test]
fn a_task_that_takes_too_long_is_ended() {
    let (_controller, arm, mut client, mut cluster) = scene(no_settings());
    client.enqueue(Enqueue {
        task: "signal.pause".into(),
        times: 1,
        options: [("timeout".to_owned(), json!(1))].into(),
        ..Enqueue::default()
    });
    client.enqueue(task("double", &[json!(21)]));
    assert_eq!(drain(&mut cluster), 2);
    let (ids, tasks) = (arm.accepted(), client.tasks());
    assert_eq!((&tasks.failed[..], &tasks.succeeded[..]), (&ids[..1], &ids[1..]));
}

#[test]
fn a_tick_queues_what_is_due() {
    let (_controller, _arm, mut client, mut cluster) = scene(no_settings());
    schedule(
        &mut client,
        Schedule {
            task: "shop.tasks.remember".into(),
            args: vec![json!("it's \"due\"")],
            kind: "daily".into(),
            fields: [("name".to_owned(), json!("nightly")), ("repeats".to_owned(), json!(-1))].into(),
            due: Due::In(-4 * DAY_NS + 1_000_000_000),
            ..Schedule::default()
        },
    );
    schedule(
        &mut client,
        Schedule {
            task: "shop.tasks.place".into(),
            args: vec![json!("order-1")],
            kwargs: [("amount".to_owned(), json!("2.50"))].into(),
            kind: "once".into(),
            due: Due::In(DAY_NS / 2),
            ..Schedule::default()
        },
    );
    let mut counts = Vec::new();
    for _ in 0..6 {
        cluster.step(&Request::Tick { count: 1 });
        counts.push(client.tasks().queued.len());
    }
    assert_eq!(counts, [1, 2, 3, 4, 4, 4], "four days are caught up with, one at each tick");
    assert_eq!(drain(&mut cluster), 4);
    let remembered = "sorted(set(__import__('django_q').models.Success.objects.values_list('result', 'group')))";
    assert_eq!(client.read(remembered), json!([["it's \"due\"", "nightly"]]));
}

#[test]
fn a_schedule_that_is_none_is_refused() {
    let (_controller, _arm, mut client, _cluster) = scene(no_settings());
    let daily = Schedule { task: "shop.tasks.total".into(), kind: "daily".into(), ..Schedule::default() };
    schedule(&mut client, daily.clone());
    let kind = Request::Schedule(Schedule { kind: "fortnightly".into(), ..daily.clone() });
    assert!(client.fails(&kind).message.contains("FORTNIGHTLY"));
    let field = Schedule { fields: [("repeat".to_owned(), json!(1))].into(), ..daily.clone() };
    assert!(client.fails(&Request::Schedule(field)).message.contains("'repeat'"));
    let value = Schedule { fields: [("minutes".to_owned(), json!("few"))].into(), ..daily };
    assert_eq!(client.fails(&Request::Schedule(value)).exception, "ValidationError");
    assert_eq!(client.read("__import__('django_q').models.Schedule.objects.count()"), json!(1));
}

#[test]
fn a_tick_that_goes_wrong_fails_the_step() {
    let (_controller, _arm, _client, mut cluster) = scene(no_settings());
    cluster.python("connection.cursor().execute('drop table django_q_schedule')");
    let failed = cluster.fails(&Request::Tick { count: 1 });
    assert_eq!(failed.exception, "OperationalError");
    assert!(failed.message.contains("no such table"), "{}", failed.message);
}

#[test]
fn an_effect_happens_again_unless_something_prevents_it() {
    let (_controller, arm, mut client, mut cluster) = scene(no_settings());
    for name in ["remember", "once", "guarded"] {
        client.enqueue(Enqueue { times: 2, ..task(name, &[json!(name)]) });
    }
    client
        .python("from shop import outbox\noutbox.place('order-1')\nassert (outbox.relay(), outbox.relay()) == (1, 0)");
    client.python("from django_q.tasks import async_task\nasync_task('shop.tasks.once', 'order-1')");
    assert_eq!(drain(&mut cluster), 8);
    assert_eq!(arm.effects(), ["guarded", "guarded", "once", "order-1", "remember", "remember"]);
}

#[test]
fn the_queue_of_redis_is_read_as_that_of_the_database() {
    let broker = json!({"Q_CLUSTER": {"orm": null, "redis": "unix:///proc/self/cwd/redis.sock"}});
    let (controller, mut zygote) = Controller::zygote(broker);
    let (arm, _probe) = controller.arm(&mut zygote);
    arm.stand_still();
    let _redis = Redis::start(&arm);
    let mut client = controller.enter(&mut zygote, &arm, "client", python(""));
    let mut cluster = controller.enter(&mut zygote, &arm, "q", ActorKind::SimulatedCluster);
    cluster.step(&Request::Start);
    assert_eq!(client.enqueue(Enqueue { times: 2, ..task("remember", &[json!("$i-th")]) }), 2);
    client.enqueue(task("fail", &[]));
    client.python("get_broker().connection.rpush('django_q:shop:q', 'no package')");
    let accepted = arm.accepted();
    let mut queued = vec!["*BadSignature".to_owned()];
    queued.extend(sorted(accepted.clone()));
    assert_eq!(client.tasks().queued, queued);
    client.python("get_broker().connection.rpop('django_q:shop:q')");
    assert_eq!(drain(&mut cluster), 3);
    let tasks = client.tasks();
    assert_eq!((tasks.queued.len(), &tasks.failed[..]), (0, &accepted[2..]));
    assert_eq!(tasks.succeeded, sorted(accepted[..2].to_vec()));
    assert_eq!(arm.effects(), ["0-th", "1-th"]);
}

/// A server in the arm's folder, killed when it is not needed any more.
struct Redis(Child);

impl Redis {
    fn start(arm: &Arm) -> Self {
        let socket = arm.folder.join("redis.sock");
        let program = ["redis-server", "valkey-server"]
            .into_iter()
            .find(|name| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok());
        let mut command = Command::new(program.expect("redis-server or valkey-server: install one"));
        command.args(["--port", "0", "--save", "", "--unixsocket", &text(&socket)]).current_dir(&arm.folder);
        let server = Self(command.stdout(Stdio::null()).spawn().expect("a server"));
        eventually("it listens", || socket.exists());
        server
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
