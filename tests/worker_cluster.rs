//! Real clusters: what their processes tell of themselves, and where they can be held.

mod worker;

use std::fs;
use std::thread;

use dj_regress_protocol::{ActorKind, Entry, Hold, Holder, Reply};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use serde_json::{Value, json};
use worker::{Arm, Cluster, Controller, Peer, eventually, no_settings, python, release, source_once, state, task};

/// An arm in which a real cluster runs, and a client.
struct Scene {
    controller: Controller,
    zygote: Peer,
    arm: Arm,
    client: Peer,
}

impl Scene {
    /// With this release of django-q2, and so many workers.
    fn new(version: Option<&str>, workers: u64) -> Self {
        Self::with(version, settings(workers))
    }

    /// With this release of django-q2, and these settings.
    fn with(version: Option<&str>, settings: Value) -> Self {
        let (controller, mut zygote) = Controller::start();
        let mut prepare = controller.prepare(settings);
        if let Some(version) = version {
            prepare.sys_path.insert(0, release(version));
        }
        zygote.prepare(prepare).expect("a zygote");
        let (arm, _probe) = controller.arm(&mut zygote);
        let client = controller.enter(&mut zygote, &arm, "client", python(""));
        Self { controller, zygote, arm, client }
    }

    fn cluster(&mut self, holds: Vec<Hold>) -> Cluster {
        self.controller.cluster(&mut self.zygote, &self.arm, holds)
    }

    /// Id, parent and role of each process, in the order of their records.
    fn processes(&self) -> Vec<(u32, u32, String)> {
        let entries = self.arm.journal().into_iter();
        let processes = entries.filter_map(|entry| match entry {
            Entry::Process { pid, parent, role, .. } => Some((pid, parent, role)),
            _ => None,
        });
        processes.collect()
    }

    fn role(&self, pid: u32) -> String {
        let found = self.processes().into_iter().find(|process| process.0 == pid);
        found.expect("every process has its record").2
    }

    /// Executed, effects, queued, succeeded.
    fn counts(&mut self) -> (usize, usize, usize, usize) {
        let tasks = self.client.tasks();
        (self.arm.executed().len(), self.arm.effects().len(), tasks.queued.len(), tasks.succeeded.len())
    }
}

/// SQLite, one writer at a time: a cluster's processes wait for each other.
fn settings(workers: u64) -> Value {
    json!({
        "DATABASES": {"default": {"OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"}}},
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        "Q_CLUSTER": {"workers": workers, "poll": 0.02},
    })
}

fn hold(id: u32, moment: &str) -> Hold {
    Hold { id, moment: moment.into(), at_return: false, call: 1, holder: Holder::Process, role: None }
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("a process");
}

#[rstest]
#[case::oldest(Some("1.6.2"))]
#[case::of_the_environment(None)]
#[case::newest(Some("1.11.1"))]
fn every_process_of_a_cluster_says_what_it_is(#[case] version: Option<&str>) {
    let mut scene = Scene::new(version, 2);
    let cluster = scene.cluster(Vec::new());
    eventually("all processes have said it", || scene.processes().len() == 6);
    let processes = scene.processes();
    let mut roles: Vec<&str> = processes.iter().map(|process| process.2.as_str()).collect();
    assert_eq!(&roles[..2], ["parent", "sentinel"]);
    roles.sort_unstable();
    assert_eq!(roles, ["monitor", "parent", "pusher", "sentinel", "worker", "worker"]);
    let (parent, sentinel) = (processes[0].0, processes[1].0);
    assert_eq!(parent, cluster.pid);
    assert!(processes[1..].iter().all(|process| process.1 == if process.0 == sentinel { parent } else { sentinel }));
    assert!(processes.iter().all(|process| state(process.0).is_some()));

    let worker = processes.iter().find(|process| process.2 == "worker").expect("a worker").0;
    signal(worker, Signal::SIGKILL);
    eventually("a worker takes its place", || scene.processes().len() == 7);
    assert_eq!(scene.processes()[6].2, "worker");
}

#[test]
fn ledger_and_journal_call_a_process_by_the_same_name() {
    let mut settings = settings(1);
    let heartbeats =
        json!({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "django_cache_table"});
    settings["CACHES"]["default"] = heartbeats;
    let mut scene = Scene::with(None, settings);
    let _cluster = scene.cluster(Vec::new());
    eventually("all processes have said what they are", || scene.processes().len() == 5);
    let processes = scene.processes();
    let sentinel = processes.iter().find(|process| process.2 == "sentinel").expect("a sentinel").0;
    eventually("its heartbeat is written", || scene.arm.statements().iter().any(|sent| sent.key.0 == sentinel));
    for sent in scene.arm.statements() {
        let journal = processes.iter().find(|process| process.0 == sent.key.0).map(|process| process.2.as_str());
        // The parent has no function that it was started with.
        assert!(journal == Some("parent") || journal == Some(sent.role.as_str()), "{journal:?} {sent:?}");
    }
}

#[test]
fn a_held_worker_is_stopped_and_goes_on_when_it_is_released() {
    let mut scene = Scene::new(None, 1);
    let _cluster = scene.cluster(vec![hold(0, "working")]);
    scene.client.enqueue(task("work", &[json!("before")]));
    eventually("a hold that is not armed holds nobody", || scene.arm.effects() == ["before"]);

    scene.arm.arm_hold(0);
    scene.client.enqueue(task("work", &[json!("held")]));
    let held = scene.arm.held(1);
    assert_eq!(scene.role(held), "worker");
    assert_eq!(state(held), Some('T'));
    assert_eq!(scene.arm.effects(), ["before"]);

    signal(held, Signal::SIGCONT);
    eventually("it goes on", || scene.arm.effects() == ["before", "held"]);
    scene.client.enqueue(task("work", &[json!("later")]));
    eventually("the hold is used up", || scene.arm.effects() == ["before", "held", "later"]);
}

#[test]
fn of_all_processes_only_the_one_with_the_call_that_counts_is_held() {
    let mut scene = Scene::new(None, 3);
    let third = Hold { call: 3, ..hold(0, "shop.tasks:remember") };
    let _cluster = scene.cluster(vec![third]);
    scene.arm.arm_hold(0);
    let mut five = task("remember", &[json!("$i")]);
    five.times = 5;
    assert_eq!(scene.client.enqueue(five), 5);
    let held = scene.arm.held(1);
    eventually("the others are not", || scene.arm.effects().len() == 4);
    assert_eq!(scene.arm.takers(), [held]);
    signal(held, Signal::SIGCONT);
    eventually("none is lost", || scene.arm.effects() == ["0", "1", "2", "3", "4"]);
    assert_eq!(scene.arm.takers(), [held]);
}

#[test]
fn only_a_process_of_the_role_takes_a_hold_and_only_its_calls_count() {
    let mut scene = Scene::new(None, 1);
    // Its sentinel saves a stat all the time, its parent never does; a worker does not look at what is queued.
    let of = |id, moment, role: &str| Hold { role: Some(role.into()), ..hold(id, moment) };
    let second = Hold { call: 2, ..of(1, "shop.tasks:remember", "worker") };
    let holds = vec![of(0, "django_q.status:Stat.save", "parent"), second, of(2, "shop.tasks:remember", "monitor")];
    let _cluster = scene.cluster(holds);
    (0..3).for_each(|id| scene.arm.arm_hold(id));
    let mut two = task("remember", &[json!("$i")]);
    two.times = 2;
    scene.client.enqueue(two);
    let held = scene.arm.held(1);
    assert_eq!(scene.role(held), "worker");
    eventually("the first call passed", || scene.arm.effects() == ["0"]);
    assert_eq!(scene.arm.takers(), [held]);
}

#[rstest]
#[case::oldest(Some("1.6.2"))]
#[case::of_the_environment(None)]
#[case::newest(Some("1.11.1"))]
fn a_cluster_is_up_when_its_parent_ends_in_order(#[case] version: Option<&str>) {
    let mut scene = Scene::new(version, 1);
    let cluster = scene.cluster(Vec::new());
    let is_up = |entry: &Entry| matches!(entry, Entry::Up { pid, .. } if *pid == cluster.pid);
    eventually("it says that it is up", || scene.arm.journal().iter().any(is_up));
    signal(cluster.pid, Signal::SIGTERM);
    eventually("its processes are gone", || {
        scene.processes().iter().all(|process| state(process.0).is_none_or(|state| state == 'Z'))
    });
    let log = fs::read_to_string(scene.arm.folder.join("log")).expect("the log");
    assert!(!log.contains("Traceback"), "{log}");
}

#[rstest]
#[case::oldest(Some("1.6.2"))]
#[case::of_the_environment(None)]
#[case::newest(Some("1.11.1"))]
fn the_named_moments_are_the_same_in_every_release(#[case] version: Option<&str>) {
    let mut scene = Scene::new(version, 1);
    let moments = ["before_task", "after_task", "before_ack", "after_ack"];
    let _cluster = scene.cluster((0..).zip(moments).map(|(id, moment)| hold(id, moment)).collect());
    (0..4).for_each(|id| scene.arm.arm_hold(id));
    scene.client.enqueue(task("remember", &[json!("a")]));
    // Executed, effects, queued, succeeded.
    let expected =
        [("worker", (0, 0, 1, 0)), ("worker", (1, 1, 1, 0)), ("monitor", (1, 1, 1, 1)), ("monitor", (1, 1, 0, 1))];
    for (nth, (role, counts)) in (1..).zip(expected) {
        let held = scene.arm.held(nth);
        assert_eq!((scene.role(held).as_str(), scene.counts()), (role, counts), "{}", moments[nth - 1]);
        signal(held, Signal::SIGCONT);
    }
}

#[test]
fn a_worker_killed_after_its_task_is_replaced() {
    let mut scene = Scene::new(None, 1);
    let _cluster = scene.cluster(vec![hold(0, "after_task")]);
    scene.arm.arm_hold(0);
    scene.client.enqueue(task("remember", &[json!("killed")]));
    let held = scene.arm.held(1);
    signal(held, Signal::SIGKILL);
    scene.client.enqueue(task("remember", &[json!("next")]));
    eventually("the guard is not stuck", || scene.arm.effects() == ["killed", "next"]);
    eventually("its result is saved", || scene.client.tasks().succeeded.len() == 1);
    // It is saved before it is acknowledged.
    eventually("the lost one waits", || scene.client.tasks().queued == scene.arm.accepted()[..1]);
}

#[test]
fn a_killed_process_spoils_no_record_of_others() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, mut actor) = controller.actor(&mut zygote, python("shop.tasks"));
    let pid = actor.hello.pid;
    let endless = source_once(
        "from multiprocessing import Process\n\
         def forever():\n    while True: remember('k' * 900)\n\
         Process(target=forever, daemon=True).start()\n\
         while True: async_task('shop.tasks.double', 1, sync=True)",
    );
    let asking = thread::spawn(move || actor.try_ask(&endless));
    eventually("both write", || arm.effects().len() > 100 && arm.executed().len() > 100);
    let child = arm.journal().into_iter().find_map(|entry| match entry {
        Entry::Effect { pid, .. } => Some(pid),
        _ => None,
    });
    signal(child.expect("an effect"), Signal::SIGKILL);
    signal(pid, Signal::SIGKILL);
    assert_eq!(asking.join().expect("a thread"), None);
    assert!(arm.journal().len() > 200);
}

#[test]
fn a_hold_that_cannot_be_hung_is_refused_at_once() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (arm, _probe) = controller.arm(&mut zygote);
    for (moment, why) in [
        ("shop.tasks:chrage", "there is no chrage in shop.tasks"),
        ("shop.taks:charge", "No module named 'shop.taks'"),
        ("shop.models:Order", "Order is no function, but a class (name a method of it)"),
        ("shop.models:Order.savee", "there is no savee in Order"),
    ] {
        let mut peer = controller.fork(&mut zygote, "q");
        let Reply::Failed(failed) = peer.ask(&arm.enter("q", ActorKind::RealCluster, vec![hold(0, moment)])) else {
            panic!("{moment} was hung");
        };
        assert_eq!(failed.exception, "ValueError");
        assert_eq!(failed.message, format!("cannot hold at '{moment}': {why}"));
    }
}

#[test]
fn a_function_is_watched_whoever_has_imported_it() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (_arm, mut actor) = controller.actor(&mut zygote, python(""));
    controller.module(
        "borrower",
        "from shop.tasks import double as twice\nfrom shop.models import Order\n\
         class Own(Order):\n    class Meta:\n        app_label, proxy = 'shop', True\n\
         class Holder:\n    twice = staticmethod(twice)\n    \
             @classmethod\n    def make(cls, value): return cls, value\n    \
             async def later(self): return 3\n",
    );
    actor.python(
        "import asyncio, inspect, borrower\nfrom dj_regress.holds import hang_one\nseen = []\n\
         hang = lambda moment, at_return=False: hang_one(moment, at_return, lambda: seen.append(moment))\n\
         for moment in ('shop.tasks:double', 'borrower:Holder.make', 'borrower:Holder.later', 'borrower:Own.save'): \
             hang(moment)\n\
         holder = borrower.Holder()\n\
         given = [borrower.twice(1), holder.twice(2), holder.make(3)[1], asyncio.run(holder.later())]",
    );
    let double = "shop.tasks:double";
    assert_eq!(actor.read("given"), json!([2, 4, 3, 3]));
    assert_eq!(actor.read("seen"), json!([double, double, "borrower:Holder.make", "borrower:Holder.later"]));
    assert_eq!(actor.read("borrower.twice.__name__, borrower.twice.__module__"), json!(["double", "shop.tasks"]));
    assert_eq!(actor.read("inspect.iscoroutinefunction(holder.later)"), json!(true));
    actor.python("seen.clear()\nOrder(number='1', amount=1).save()\nborrower.Own(number='2', amount=1).save()");
    assert_eq!(actor.read("seen"), json!(["borrower:Own.save"]), "an inherited method is watched in its heir only");
}

#[test]
fn at_return_is_after_a_call_that_did_not_raise_and_a_moment_is_one_of_its_name() {
    let (controller, mut zygote) = Controller::zygote(no_settings());
    let (_arm, mut actor) = controller.actor(&mut zygote, python("shop.tasks"));
    actor.python(
        "from dj_regress.holds import hang_one\nseen = []\n\
         hang_one('shop.effects:happened', True, lambda: seen.append('done'))\n\
         hang_one('shop.tasks:fail', True, lambda: seen.append('never'))\n\
         hang_one('after_effect', False, lambda: seen.append('after'))\n\
         hang_one('before_effect', False, lambda: seen.append('before'))\n\
         place('order-1'); charge('order-1')\n\
         try:\n    __import__('shop.tasks').tasks.fail()\n\
         except RuntimeError as error:\n    seen.append(str(error))",
    );
    assert_eq!(actor.read("seen"), json!(["before", "done", "after", "as asked"]));
    assert_eq!(actor.read("Charge.objects.count()"), json!(1));
}
