//! What each kind of cache stores, gives and asks about, row by row of RFC 9111; and where a real nginx does otherwise.
#![allow(clippy::unwrap_used, missing_docs)]

mod cacheability;
mod common;
mod origin;
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cacheability::{Nginx, Outcome, Row, TIME, rows};
use common::Room;
use dj_regress::case::{CacheKind, word};
use dj_regress::proxy::{HttpProxy, HttpProxySpec};
use dj_regress::service::nginx::NginxSpec;
use rstest::rstest;
use support::skip;

/// When the virtual clocks begin: no other clock shows that.
const BEGIN: Duration = Duration::from_secs(1_600_000_000);

/// Fails with all rows that came to something else.
fn compare(who: &str, found: &[(Row, Outcome, Outcome)]) {
    let differ = found.iter().filter(|(_, expected, found)| expected != found);
    let lines: Vec<String> = differ
        .map(|(row, expected, found)| {
            format!("{}, {}: {expected:?} is expected, it is {found:?}", row.section, row.says)
        })
        .collect();
    assert!(lines.is_empty(), "{who}, {} of {} rows:\n{}", lines.len(), found.len(), lines.join("\n"));
}

#[rstest]
#[case::nothing_stored(CacheKind::None)]
#[case::by_the_rfc(CacheKind::Strict)]
#[case::with_a_choice_of_its_own(CacheKind::Aggressive)]
#[case::without_knowing_no_cache(CacheKind::Broken)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cache_of_ours_does_what_the_table_says_of_its_kind(#[case] kind: CacheKind) {
    let room = Room::new();
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&seconds);
    let now = move || SystemTime::UNIX_EPOCH + BEGIN + Duration::from_secs(clock.load(Ordering::Relaxed));
    let (web, socket) = (room.base().join("web.sock"), room.base().join("cache.sock"));
    let origin = cacheability::origin(&web, now.clone());
    let spec = HttpProxySpec { kind, origin: web, timeout: None };
    let proxy = HttpProxy::start(spec, &socket, Arc::new(now)).unwrap();
    let mut found = Vec::new();
    for row in rows() {
        let expected = match kind {
            CacheKind::Strict => row.strict,
            CacheKind::Aggressive => row.aggressive,
            CacheKind::Broken => row.broken,
            CacheKind::None | CacheKind::Nginx => Outcome::Passed,
        };
        let pass = |time| {
            seconds.fetch_add(time, Ordering::Relaxed);
        };
        let outcome = row.play(proxy.socket(), &origin, &pass);
        found.push((row, expected, outcome));
    }
    compare(&word(kind), &found);
}

#[tokio::test]
async fn nginx_does_the_same_as_the_strict_one_but_for_what_is_listed() {
    let room = Room::new();
    let (run_directory, supervisor) = room.supervisor().await;
    let services = room.services(&supervisor, &run_directory).await;
    if let Some(why) = services.nginx_refusal().await {
        skip(&format!("the column of nginx: {why}"));
        return supervisor.shutdown().await.unwrap();
    }
    let below = |name: &str| run_directory.path().join(name);
    let origin = cacheability::origin(&below("web.sock"), SystemTime::now);
    let (origin_socket, socket, folder) = (below("web.sock"), below("cache.sock"), below("nginx"));
    let spec = NginxSpec { origin: origin_socket, socket, folder, timeout: None, clock: None };
    let nginx = services.nginx(&spec).await.unwrap();
    let mut found = Vec::new();
    for row in rows() {
        let expected = match row.nginx {
            Nginx::Same => row.strict,
            Nginx::Differs(outcome, _) => outcome,
            Nginx::LeftOut(_) => continue,
        };
        let outcome = row.play(nginx.socket(), &origin, &|_| panic!("its clock is the machine's"));
        found.push((row, expected, outcome));
    }
    compare(&services.nginx_version().await.unwrap(), &found);
    nginx.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
}

#[test]
fn the_table_is_whole_and_no_difference_is_listed_that_is_none() {
    let rows = rows();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    let sentences: BTreeSet<&str> = rows.iter().map(|row| row.says).collect();
    assert_eq!(sentences.len(), rows.len(), "each row says something else");
    for row in rows {
        let known = ["9110 ", "9111 "].iter().any(|rfc| row.section.starts_with(rfc));
        assert!(known, "{}: `{}` is no section", row.says, row.section);
        match row.nginx {
            Nginx::Differs(outcome, why) => {
                assert!(outcome != row.strict && !why.is_empty(), "{}: it is the same", row.says);
            }
            Nginx::LeftOut(why) => assert_eq!(why, TIME, "{}", row.says),
            Nginx::Same => {}
        }
        assert_eq!(matches!(row.nginx, Nginx::LeftOut(_)), row.takes_time(), "{}", row.says);
    }
}
