//! Holds of a web actor: threads wait where the controller wants them to, and their process goes on.

mod worker;

use std::fs;
use std::time::{Duration, Instant};

use dj_regress_protocol::{Hold, Holder};
use rstest::rstest;
use serde_json::json;
use worker::{Site, eventually, state};

fn hold(moment: &str, holder: Holder) -> Hold {
    Hold { id: 0, moment: moment.into(), at_return: false, call: 1, holder, role: None }
}

/// The states of all threads of a process.
fn threads(pid: u32) -> Vec<char> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a live process");
    tasks.filter_map(|task| state(task.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

/// Whether a server has so many threads (its main one, waitress's loop, and those that handle requests), and none runs.
fn all_sleep(site: &Site, count: usize) -> bool {
    let threads = threads(site.web.hello.pid);
    threads.len() == count && threads.iter().all(|state| *state == 'S')
}

#[test]
fn a_held_thread_sleeps_and_lets_others_pass_until_it_is_released() {
    let second = Hold { call: 2, ..hold("waiting", Holder::Thread) };
    let mut site = Site::serving(4, vec![second]);
    let mut browser = site.browser();
    assert_eq!(browser.get("/wait").status, 200, "it is not armed");
    site.arm.arm_hold(0);
    assert_eq!(browser.get("/wait").status, 200, "the second call counts");
    let mut held = site.browser();
    held.send("/wait");
    eventually("it is held", || site.arm.takers() == [site.web.hello.pid]);
    eventually("it sleeps", || all_sleep(&site, 6));
    assert_eq!(browser.get("/wait").status, 200, "others pass");
    assert_eq!(site.web.read("1 + 1"), json!(2));
    assert_eq!(site.requests().iter().filter(|line| *line == "200 /wait").count(), 3);

    site.arm.release_hold(0);
    assert_eq!(held.page().body, "waited");
    assert_eq!(browser.get("/wait").status, 200, "it holds nobody any more");
    assert_eq!(site.arm.takers().len(), 1);
}

#[test]
fn every_thread_that_comes_is_held_until_all_are_released() {
    let mut site = Site::serving(8, vec![hold("poll.views:wait", Holder::EveryThread)]);
    for round in 1..=2 {
        site.arm.arm_hold(0);
        let mut held = site.browsers(5, "/wait");
        eventually("all are held", || site.arm.takers().len() == 5 * round);
        eventually("they sleep", || all_sleep(&site, 10));
        assert_eq!(site.browser().get("/hello").status, 200, "another page");
        assert_eq!(site.web.read("1 + 1"), json!(2));
        site.arm.release_hold(0);
        for browser in &mut held {
            assert_eq!(browser.page().body, "waited");
        }
        assert_eq!(site.browser().get("/wait").status, 200, "it holds nobody any more");
    }
    assert_eq!(site.arm.takers().len(), 10, "each says so once");
}

#[test]
fn a_request_that_finds_no_free_thread_waits_for_one_without_noise() {
    let mut site = Site::serving(1, vec![hold("waiting", Holder::Thread)]);
    site.arm.arm_hold(0);
    let mut held = site.browser();
    held.send("/wait");
    eventually("it is held", || site.arm.takers().len() == 1);
    let mut waiting = site.browsers(3, "/hello");
    assert_eq!(site.web.read("1 + 1"), json!(2));
    assert_eq!(site.requests(), ["GET /wait"]);
    site.arm.release_hold(0);
    assert_eq!(held.page().body, "waited");
    for browser in &mut waiting {
        assert_eq!(browser.page().status, 200);
    }
    assert_eq!(site.arm.log(), "");
}

#[test]
fn a_streamed_answer_is_answered_when_its_last_part_is_given() {
    let site = Site::serving(2, vec![hold("streaming", Holder::Thread)]);
    site.arm.arm_hold(0);
    let mut browser = site.browser();
    browser.send("/stream");
    assert_eq!(browser.head().status, 200);
    assert_eq!(browser.part(), "one ", "parts are not kept back");
    eventually("the rest is held", || site.arm.takers().len() == 1);
    assert_eq!(site.requests(), ["GET /stream"]);
    site.arm.release_hold(0);
    assert_eq!((browser.part().as_str(), browser.part().as_str()), ("two", ""));
    assert_eq!(site.requests(), ["GET /stream", "200 /stream"]);
}

#[test]
fn a_request_under_way_outlives_a_jump_of_the_clock() {
    let site = Site::serving(2, vec![hold("waiting", Holder::Thread)]);
    site.arm.arm_hold(0);
    let mut held = site.browser();
    held.send("/wait");
    eventually("it is held", || site.arm.takers().len() == 1);
    site.arm.advance(Duration::from_hours(24));
    assert_eq!(site.browser().get("/hello").status, 200);
    site.arm.release_hold(0);
    assert_eq!(held.page().body, "waited");
    assert_eq!(held.get("/hello").status, 200, "the connection is kept");
}

#[test]
fn statements_of_two_threads_are_in_the_ledger_each_with_its_end_and_its_site() {
    let site = Site::serving(2, vec![hold("counting", Holder::EveryThread)]);
    site.arm.arm_hold(0);
    let mut both = site.browsers(2, "/count");
    eventually("each has executed its first", || site.arm.takers().len() == 2);
    site.arm.release_hold(0);
    for browser in &mut both {
        assert_eq!(browser.page().body, "0 0");
    }
    let statements = site.arm.statements();
    let sites: Vec<&str> = statements.iter().map(|statement| statement.site.as_str()).collect();
    let [one, other] = ["poll/views.py:26:count", "poll/views.py:28:count"];
    assert_eq!(sites, [one, one, other, other], "{statements:#?}");
    let keys: Vec<(u32, u64)> = statements.iter().map(|statement| statement.key).collect();
    let pid = site.web.hello.pid;
    assert_eq!(keys, [(pid, 1), (pid, 2), (pid, 3), (pid, 4)]);
    assert!(statements.iter().all(|statement| statement.end.is_some() && statement.sql.contains("COUNT(*)")));
}

#[rstest]
#[case::one(Holder::Thread)]
#[case::all(Holder::EveryThread)]
fn an_actor_with_held_threads_ends_at_once_when_the_controller_hangs_up(#[case] holder: Holder) {
    let site = Site::serving(4, vec![hold("waiting", holder)]);
    site.arm.arm_hold(0);
    let held = site.browsers(4, "/wait");
    eventually("they are held", || site.arm.takers().len() == if holder == Holder::Thread { 1 } else { 4 });
    let pid = site.web.hello.pid;
    let begun = Instant::now();
    drop(site.web);
    eventually("it is gone", || state(pid).is_none_or(|state| state == 'Z'));
    // Python's own exit would wait for nobody of them either, but run `atexit`; a machine under load needs a while.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(held);
}
