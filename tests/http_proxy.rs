//! What each kind of caching proxy does with what the origin says, by the virtual clock.
#![allow(clippy::unwrap_used, missing_docs)]

mod http;

use std::time::{Duration, SystemTime};

use dj_regress::case::CacheKind;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use http::{Asked, NEW_YEAR, Reply, Room, Says, soon};

const FRESH: &str = "Cache-Control: max-age=60";

/// An origin that counts in its bodies.
fn counting(fields: &'static [&'static str]) -> impl Fn(&Asked) -> Says + Send + Sync {
    move |asked| Says::ok(fields, &format!("body {}", asked.number))
}

async fn twice(room: &Room) -> Reply {
    room.get("/a").await;
    room.get("/a").await
}

#[rstest]
#[case::says_nothing(&[], "PASS", "MISS", "HIT", "HIT")]
#[case::max_age(&[FRESH], "PASS", "HIT", "HIT", "HIT")]
#[case::upper_case(&["CACHE-CONTROL: Max-Age=60"], "PASS", "HIT", "HIT", "HIT")]
#[case::no_store(&["Cache-Control: no-store"], "PASS", "MISS", "MISS", "MISS")]
#[case::private(&["Cache-Control: private, max-age=60"], "PASS", "MISS", "MISS", "MISS")]
#[case::no_cache(&["Cache-Control: no-cache"], "PASS", "MISS", "MISS", "HIT")]
#[case::max_age_zero(&["Cache-Control: max-age=0"], "PASS", "MISS", "MISS", "HIT")]
#[case::shared_max_age_zero(&["Cache-Control: s-maxage=0, max-age=60"], "PASS", "MISS", "MISS", "MISS")]
#[case::shared_max_age(&["Cache-Control: s-maxage=60, max-age=0"], "PASS", "HIT", "HIT", "HIT")]
#[case::expired(&["Expires: Thu, 01 Jan 1970 00:00:00 GMT"], "PASS", "MISS", "MISS", "MISS")]
#[case::expires_never_read(&["Expires: 0"], "PASS", "MISS", "MISS", "MISS")]
#[case::expires(&["Expires: Fri, 02 Jan 2026 00:00:00 GMT"], "PASS", "HIT", "HIT", "HIT")]
#[case::varies_with_all(&["Vary: *", FRESH], "PASS", "MISS", "MISS", "MISS")]
#[case::must_revalidate(&["Cache-Control: must-revalidate"], "PASS", "MISS", "HIT", "HIT")]
#[case::pragma(&["Pragma: no-cache"], "PASS", "MISS", "MISS", "HIT")]
#[case::cookie(&["Set-Cookie: a=b", FRESH], "PASS", "HIT", "HIT", "HIT")]
#[case::proxy_revalidate(&["Cache-Control: proxy-revalidate, max-age=60"], "PASS", "HIT", "HIT", "HIT")]
#[case::long_unmodified(&["Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT"], "PASS", "HIT", "HIT", "HIT")]
#[case::old_already(&["Age: 60", FRESH], "PASS", "MISS", "MISS", "MISS")]
#[case::dated_long_ago(&["Date: Wed, 31 Dec 2025 23:59:00 GMT", FRESH], "PASS", "MISS", "MISS", "MISS")]
#[case::no_sense(&["Cache-Control: max-age=soon"], "PASS", "MISS", "MISS", "HIT")]
#[case::age_without_limit(&["Age: 18446744073709551615", FRESH], "PASS", "MISS", "MISS", "MISS")]
#[tokio::test]
async fn the_second_of_two_requests_is_answered_as_the_kind_of_cache_would(
    #[case] fields: &'static [&'static str],
    #[case] none: &str,
    #[case] strict: &str,
    #[case] aggressive: &str,
    #[case] broken: &str,
) {
    let expected = [
        (CacheKind::None, none),
        (CacheKind::Strict, strict),
        (CacheKind::Aggressive, aggressive),
        (CacheKind::Broken, broken),
    ];
    for (kind, expected) in expected {
        let room = Room::new(kind, counting(fields));
        let reply = twice(&room).await;
        assert_eq!(reply.from(), expected, "{kind:?}");
        assert_eq!(reply.text(), if expected == "HIT" { "body 0" } else { "body 1" }, "{kind:?}");
    }
}

#[rstest]
#[case::strict(CacheKind::Strict, &[FRESH], 60)]
#[case::of_its_own_choice(CacheKind::Aggressive, &[], 600)]
#[case::of_its_own_choice_though_forbidden(CacheKind::Broken, &["Cache-Control: no-cache"], 600)]
#[case::a_tenth(CacheKind::Strict, &["Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT"], 8640)]
#[case::came_old(CacheKind::Strict, &["Age: 20", FRESH], 40)]
#[case::longest(CacheKind::Strict, &["Cache-Control: max-age=9999999999999999999999"], 1 << 31)]
#[tokio::test]
async fn an_answer_is_fresh_for_so_long_by_the_clock_that_is_given(
    #[case] kind: CacheKind,
    #[case] fields: &'static [&'static str],
    #[case] seconds: u64,
) {
    let room = Room::new(kind, counting(fields));
    room.get("/a").await;
    room.advance(seconds - 1);
    assert_eq!(room.get("/a").await.from(), "HIT");
    room.advance(1);
    assert_eq!(room.get("/a").await.text(), "body 1");
}

#[tokio::test]
async fn a_clock_that_stands_keeps_answers_fresh_and_one_that_goes_back_does_no_harm() {
    let room = Room::new(CacheKind::Strict, counting(&[FRESH]));
    room.get("/a").await;
    room.go_back(3600);
    let reply = room.get("/a").await;
    assert_eq!((reply.from(), reply.field("age")), ("HIT", Some("0")));
}

#[rstest]
#[case(SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 35))]
#[case(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40))]
#[tokio::test]
async fn a_clock_beyond_all_dates_does_no_harm(#[case] now: SystemTime) {
    let room = Room::new(CacheKind::Strict, counting(&[FRESH]));
    room.set_clock(now);
    assert_eq!(twice(&room).await.from(), "HIT");
    assert_eq!(room.get_with("/a", &["Cache-Control: max-age=9"]).await.from(), "HIT");
}

#[tokio::test]
async fn a_stored_answer_says_how_old_it_is_and_keeps_its_date() {
    let room = Room::new(CacheKind::Strict, counting(&["Age: 3", FRESH, "Set-Cookie: a=1", "Set-Cookie: b=2"]));
    let date = room.date();
    let miss = room.get("/a").await;
    assert_eq!((miss.field("age"), miss.field("date")), (Some("3"), Some(date.as_str())));
    room.advance(7);
    let hit = room.get("/a").await;
    assert_eq!((hit.field("age"), hit.field("date")), (Some("10"), Some(date.as_str())));
    assert_eq!(hit.head.matches("set-cookie").count(), 2);
    assert_eq!(hit.field("content-length"), Some("6"));
}

#[rstest]
#[case::no_cache(&["Cache-Control: no-cache"], "MISS", "HIT")]
#[case::pragma(&["Pragma: no-cache"], "MISS", "HIT")]
#[case::max_age(&["Cache-Control: max-age=5"], "MISS", "HIT")]
#[case::max_age_is_enough(&["Cache-Control: max-age=10"], "HIT", "HIT")]
#[case::min_fresh(&["Cache-Control: min-fresh=51"], "MISS", "HIT")]
#[case::min_fresh_is_given(&["Cache-Control: min-fresh=50"], "HIT", "HIT")]
#[case::no_store(&["Cache-Control: no-store"], "HIT", "HIT")]
#[case::only_if_cached(&["Cache-Control: only-if-cached"], "HIT", "HIT")]
#[tokio::test]
async fn what_a_request_says_is_heard_by_the_strict_cache_alone(
    #[case] fields: &[&str],
    #[case] strict: &str,
    #[case] others: &str,
) {
    let expected = [(CacheKind::Strict, strict), (CacheKind::Aggressive, others), (CacheKind::Broken, others)];
    for (kind, expected) in expected {
        let room = Room::new(kind, counting(&[FRESH]));
        room.get("/a").await;
        room.advance(10);
        assert_eq!(room.get_with("/a", fields).await.from(), expected, "{kind:?}");
    }
}

#[rstest]
#[case::any_age("max-stale", &[FRESH, "ETag: \"a\""], "HIT")]
#[case::so_old("max-stale=41", &[FRESH, "ETag: \"a\""], "HIT")]
#[case::older("max-stale=39", &[FRESH, "ETag: \"a\""], "MISS")]
#[case::forbidden("max-stale", &["Cache-Control: max-age=60, must-revalidate", "ETag: \"a\""], "MISS")]
#[case::forbidden_to_the_shared("max-stale", &["Cache-Control: s-maxage=60", "ETag: \"a\""], "MISS")]
#[case::never_unasked("max-stale", &["Cache-Control: no-cache", "ETag: \"a\""], "MISS")]
#[tokio::test]
async fn a_stale_answer_is_given_to_who_takes_it_if_it_may_be(
    #[case] says: &str,
    #[case] fields: &'static [&'static str],
    #[case] expected: &str,
) {
    let room = Room::new(CacheKind::Strict, counting(fields));
    room.get("/a").await;
    room.advance(100);
    assert_eq!(room.get_with("/a", &[&format!("Cache-Control: {says}")]).await.from(), expected);
}

#[tokio::test]
async fn only_if_cached_is_504_without_asking_the_origin() {
    let room = Room::new(CacheKind::Strict, counting(&[FRESH]));
    assert_eq!(room.get_with("/a", &["Cache-Control: only-if-cached"]).await.status, 504);
    let counters = room.counters();
    assert_eq!((counters.errors, counters.timeouts, counters.origin_requests), (1, 0, 0));
}

#[tokio::test]
async fn a_request_may_forbid_storing() {
    let room = Room::new(CacheKind::Strict, counting(&[FRESH]));
    room.get_with("/a", &["Cache-Control: no-store"]).await;
    assert_eq!(room.counters().entries, 0);
    assert_eq!(room.get("/a").await.from(), "MISS");
}

#[rstest]
#[case::alone(FRESH, "MISS")]
#[case::public("Cache-Control: public, max-age=60", "HIT")]
#[case::shared("Cache-Control: s-maxage=60", "HIT")]
#[case::must_revalidate("Cache-Control: max-age=60, must-revalidate", "HIT")]
#[case::proxy_revalidate("Cache-Control: max-age=60, proxy-revalidate", "MISS")]
#[tokio::test]
async fn the_answer_to_one_user_is_stored_if_it_is_for_all(#[case] field: &'static str, #[case] expected: &str) {
    let room = Room::new(CacheKind::Strict, move |_: &Asked| Says::ok(&[field], "mine"));
    room.get_with("/a", &["Authorization: Basic YTpi"]).await;
    assert_eq!(room.get("/a").await.from(), expected);
}

#[rstest]
#[case::ok("200 OK", "HIT")]
#[case::not_found("404 Not Found", "HIT")]
#[case::moved("302 Found", "HIT")]
#[case::error("500 Internal Server Error", "HIT")]
#[case::teapot("418 I'm a teapot", "HIT")]
#[case::part("206 Partial Content", "MISS")]
#[tokio::test]
async fn any_final_answer_that_says_for_how_long_is_stored(#[case] status: &'static str, #[case] expected: &str) {
    let room = Room::new(CacheKind::Strict, move |_: &Asked| Says::answer(status, &[FRESH], "body"));
    let reply = twice(&room).await;
    assert_eq!(reply.from(), expected);
    assert!(status.starts_with(&reply.status.to_string()));
}

#[tokio::test]
async fn only_200_is_fresh_for_a_while_of_the_caches_own_choice() {
    for status in ["404 Not Found", "302 Found", "500 Internal Server Error"] {
        let room = Room::new(CacheKind::Aggressive, move |_: &Asked| Says::answer(status, &[], "body"));
        assert_eq!(twice(&room).await.from(), "MISS");
    }
}

#[tokio::test]
async fn the_key_is_the_host_and_the_whole_target() {
    let room = Room::new(CacheKind::Strict, counting(&[FRESH]));
    for path in ["/a", "/a?b", "/a?c", "/A", "/"] {
        assert_eq!(room.get(path).await.from(), "MISS", "{path}");
    }
    assert_eq!(room.get("http://SHOP/a").await.from(), "HIT");
    assert_eq!(room.get("http://other/a").await.from(), "MISS");
    assert!(room.asked().last().unwrap().has("host: other\r\n"));
    assert_eq!(room.asked().last().unwrap().line(), "GET /a HTTP/1.1");
}

#[tokio::test]
async fn answers_that_vary_are_stored_side_by_side() {
    let room = Room::new(CacheKind::Strict, |asked| {
        let language = if asked.has("accept-language: de") { "deutsch" } else { "english" };
        Says::ok(&[FRESH, "Vary: Accept-Language, Cookie"], language)
    });
    let german = ["Accept-Language: de"];
    assert_eq!(room.get_with("/a", &german).await.text(), "deutsch");
    assert_eq!(room.get("/a").await.text(), "english");
    assert_eq!(room.get_with("/a", &german).await.from(), "HIT");
    assert_eq!(room.get_with("/a", &german).await.text(), "deutsch");
    assert_eq!(room.get_with("/a", &["Accept-Language:   de  ", "X-Other: 1"]).await.from(), "HIT");
    assert_eq!(room.get_with("/a", &["Accept-Language: de", "Cookie: a=b"]).await.from(), "MISS");
    assert_eq!(room.counters().entries, 3);
}

#[tokio::test]
async fn a_request_with_a_body_is_passed_on_as_it_is() {
    let room = Room::new(CacheKind::Strict, |asked| Says::ok(&[FRESH], &String::from_utf8_lossy(&asked.body)));
    for (method, body) in [("POST", "one"), ("POST", "two"), ("GET", "three")] {
        let reply = room.send(method, "/a", &[], body).await;
        assert_eq!((reply.from(), reply.text().as_str()), ("PASS", body));
    }
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
    let reply = http::parse(&room.raw(chunked, false).await, false).unwrap();
    assert_eq!(reply.text(), "abcd");
}

#[tokio::test]
async fn fields_for_one_hop_go_no_further() {
    let fields = ["Connection: X-Mine", "X-Mine: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "X-Kept: 1"];
    let room = Room::new(CacheKind::Strict, move |_: &Asked| Says::ok(&[&fields[..], &[FRESH]].concat(), "body"));
    let sent = ["TE: trailers", "Upgrade: websocket", "Proxy-Connection: x", "Expect: 100-continue", "X-Kept: 1"];
    for _ in 0..2 {
        let reply = room.get_with("/a", &sent).await;
        for name in ["connection", "x-mine", "keep-alive", "proxy-authenticate"] {
            assert!(reply.field(name).is_none_or(|value| value == "close"), "{name}: {}", reply.head);
        }
        assert_eq!(reply.field("x-kept"), Some("1"));
    }
    let asked = &room.asked()[0];
    assert!(asked.has("x-kept: 1") && asked.has("connection: close"));
    for name in ["te:", "upgrade:", "proxy-connection:", "expect:"] {
        assert!(!asked.has(&format!("\n{name}")), "{name} in {}", asked.head);
    }
}

#[tokio::test]
async fn what_was_not_used_for_longest_makes_room() {
    let body = "x".repeat(7 << 20);
    let room = Room::new(CacheKind::Strict, move |_: &Asked| Says::ok(&[FRESH], &body));
    for number in 0..9 {
        room.get(&format!("/{number}")).await;
    }
    assert_eq!((room.counters().entries, room.counters().evictions), (9, 0));
    assert_eq!(room.get("/0").await.from(), "HIT");
    room.get("/9").await;
    let counters = room.counters();
    assert_eq!((counters.entries, counters.evictions), (9, 1));
    assert!(counters.bytes <= 64 << 20);
    assert_eq!(room.get("/0").await.from(), "HIT");
    assert_eq!(room.get("/1").await.from(), "MISS");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let room = Room::new(CacheKind::Strict, counting(&[FRESH]));
    let mut client = room.connect().await;
    client.write_all("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100).as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answers = String::new();
    soon(client.read_to_string(&mut answers)).await.unwrap();
    assert_eq!((answers.matches("MISS").count(), answers.matches("HIT").count()), (1, 99));
    let counters = room.counters();
    assert_eq!((counters.requests, counters.hits, counters.misses), (100, 99, 1));
    assert_eq!((counters.bytes_up, counters.bytes_down), (2800, answers.len() as u64));
}

#[tokio::test]
async fn the_version_of_one_side_is_not_that_of_the_other() {
    let room = Room::new(CacheKind::Strict, |_: &Asked| Says::bytes(format!("HTTP/1.0 200 OK\r\n{FRESH}\r\n\r\nbody")));
    for expected in ["MISS", "HIT"] {
        let reply = room.get("/a").await;
        assert_eq!((reply.from(), &reply.head[..9], reply.text().as_str()), (expected, "HTTP/1.1 ", "body"));
    }
    // Who speaks the old one gets no chunks.
    let answer = room.raw(b"GET /b HTTP/1.0\r\nHost: shop\r\n\r\n", false).await;
    let reply = http::parse(&answer, false).unwrap();
    assert_eq!((reply.field("transfer-encoding"), reply.text().as_str()), (None, "body"));
    assert!(room.asked().iter().all(|asked| asked.line().ends_with(" HTTP/1.1")));
}

#[tokio::test]
async fn one_proxy_may_stand_before_another() {
    let far = Room::new(CacheKind::Strict, counting(&["Cache-Control: s-maxage=100, max-age=100"]));
    let folder = tempfile::tempdir().unwrap();
    let spec = dj_regress::proxy::HttpProxySpec {
        kind: CacheKind::Aggressive,
        origin: far.proxy.socket().to_owned(),
        timeout: None,
    };
    let now = std::sync::Arc::new(|| SystemTime::UNIX_EPOCH + NEW_YEAR + Duration::from_secs(10));
    far.get("/a").await;
    far.advance(10);
    let near = dj_regress::proxy::HttpProxy::start(spec, &folder.path().join("near"), now).unwrap();
    let mut client = tokio::net::UnixStream::connect(near.socket()).await.unwrap();
    client.write_all(b"GET /a HTTP/1.0\r\nHost: shop\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(client.read_to_end(&mut answer)).await.unwrap();
    let reply = http::parse(&answer, false).unwrap();
    assert_eq!((reply.from(), reply.field("age"), reply.text().as_str()), ("MISS", Some("10"), "body 0"));
    assert_eq!((far.counters().hits, near.counters().entries), (1, 1));
}

#[tokio::test]
async fn a_dropped_proxy_closes_its_connections_and_removes_its_socket() {
    let Room { proxy, folder, .. } = Room::new(CacheKind::Strict, |_| Says::nothing());
    let socket = proxy.socket().to_owned();
    let mut client = tokio::net::UnixStream::connect(&socket).await.unwrap();
    client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    while proxy.counters().origin_requests == 0 {
        tokio::task::yield_now().await;
    }
    drop(proxy);
    let _ = soon(client.read_to_end(&mut Vec::new())).await;
    assert!(!socket.exists());
    drop(folder);
}

#[tokio::test]
async fn a_socket_whose_address_is_too_long_is_refused_with_a_hint() {
    let spec = dj_regress::proxy::HttpProxySpec { kind: CacheKind::None, origin: "/nowhere".into(), timeout: None };
    let socket = std::path::PathBuf::from(format!("/tmp/{}", "x".repeat(108)));
    let now = std::sync::Arc::new(SystemTime::now);
    let error = dj_regress::proxy::HttpProxy::start(spec, &socket, now).unwrap_err();
    assert!(error.message.contains("at most 107") && error.hint.is_some());
}
