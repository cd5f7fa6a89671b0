//! What the caching proxy asks about what it has, what it tells who has it already, and what it forgets.
#![allow(clippy::unwrap_used, missing_docs)]

mod http;

use dj_regress::case::CacheKind;
use rstest::rstest;

use http::{Asked, Room, Says};

const FRESH: &str = "Cache-Control: max-age=60";

/// An origin that counts in its bodies.
fn counting(fields: &'static [&'static str]) -> impl Fn(&Asked) -> Says + Send + Sync {
    move |asked| Says::ok(fields, &format!("body {}", asked.number))
}

/// An origin with a validator; with `is_kept`, nothing ever changes.
fn validating(field: &'static str, is_kept: bool) -> impl Fn(&Asked) -> Says + Send + Sync {
    move |asked| {
        let is_asked = asked.has("if-none-match") || asked.has("if-modified-since");
        let tag = if is_kept { "ETag: \"a\"".to_owned() } else { format!("ETag: \"{}\"", asked.number) };
        if is_asked && is_kept {
            Says::not_modified(&[&tag, field, "X-New: yes"])
        } else {
            Says::ok(&[&tag, field], &format!("body {}", asked.number))
        }
    }
}

#[tokio::test]
async fn an_unchanged_answer_is_validated_and_its_fields_are_updated() {
    let room = Room::new(CacheKind::Strict, validating(FRESH, true));
    room.get("/a").await;
    room.advance(61);
    let reply = room.get("/a").await;
    assert_eq!((reply.status, reply.from(), reply.text().as_str()), (200, "REVALIDATED", "body 0"));
    assert_eq!(
        (reply.field("x-new"), reply.field("age"), reply.field("date")),
        (Some("yes"), Some("0"), Some(room.date().as_str()))
    );
    assert!(room.asked()[1].has("if-none-match: \"a\""));
    room.advance(59);
    let hit = room.get("/a").await;
    assert_eq!((hit.from(), hit.field("x-new"), hit.field("age")), ("HIT", Some("yes"), Some("59")));
    let counters = room.counters();
    assert_eq!((counters.misses, counters.revalidations, counters.hits, counters.origin_requests), (1, 1, 1, 2));
}

#[tokio::test]
async fn a_changed_answer_replaces_what_is_stored() {
    let room = Room::new(CacheKind::Strict, validating(FRESH, false));
    room.get("/a").await;
    room.advance(61);
    assert_eq!(room.get("/a").await.text(), "body 1");
    assert_eq!((room.get("/a").await.text(), room.counters().entries), ("body 1".to_owned(), 1));
}

#[tokio::test]
async fn no_cache_with_a_validator_is_asked_about_each_time() {
    let room = Room::new(CacheKind::Strict, validating("Cache-Control: no-cache", true));
    room.get("/a").await;
    for _ in 0..3 {
        assert_eq!(room.get("/a").await.from(), "REVALIDATED");
    }
    assert_eq!(room.counters().origin_requests, 4);
}

#[tokio::test]
async fn a_date_is_a_validator_too() {
    const MODIFIED: &str = "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT";
    let room = Room::new(CacheKind::Strict, |asked| {
        let is_asked = asked.has("if-modified-since: Wed, 31 Dec 2025 00:00:00 GMT");
        if is_asked { Says::not_modified(&[]) } else { Says::ok(&[MODIFIED, FRESH], "body") }
    });
    room.get("/a").await;
    room.advance(61);
    assert_eq!(room.get("/a").await.from(), "REVALIDATED");
}

#[rstest]
#[case::its_tag(&["If-None-Match: \"a\""], 304)]
#[case::among_others(&["If-None-Match: \"b,c\", W/\"a\""], 304)]
#[case::any(&["If-None-Match: *"], 304)]
#[case::another(&["If-None-Match: \"b\""], 200)]
#[case::since_then(&["If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"], 304)]
#[case::since_earlier(&["If-Modified-Since: Tue, 30 Dec 2025 00:00:00 GMT"], 200)]
#[case::tags_go_first(&["If-None-Match: \"b\"", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"], 200)]
#[tokio::test]
async fn who_has_the_stored_answer_is_told_so_by_the_cache(#[case] fields: &[&str], #[case] status: u16) {
    let room = Room::new(
        CacheKind::Strict,
        counting(&[FRESH, "ETag: \"a\"", "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT", "Content-Type: text/html"]),
    );
    room.get("/a").await;
    let reply = room.get_with("/a", fields).await;
    assert_eq!((reply.status, reply.from()), (status, "HIT"));
    assert_eq!(reply.field("content-type").is_some(), status == 200);
    assert_eq!(reply.field("etag"), Some("\"a\""));
    assert_eq!(room.counters().origin_requests, 1);
}

#[tokio::test]
async fn a_304_for_what_the_client_has_is_passed_on() {
    let room = Room::new(CacheKind::Strict, |asked| match asked.number {
        0 => Says::ok(&["ETag: \"old\"", FRESH], "old"),
        _ => Says::not_modified(&["ETag: \"new\"", FRESH]),
    });
    room.get("/a").await;
    room.advance(61);
    let reply = room.get_with("/a", &["If-None-Match: \"new\""]).await;
    assert_eq!((reply.status, reply.from()), (304, "MISS"));
    let asked = room.asked().pop().unwrap();
    assert!(asked.has("\"old\"") && asked.has("\"new\""), "{}", asked.head);
    assert_eq!(room.counters().entries, 0);
}

#[tokio::test]
async fn a_304_that_is_about_nothing_known_is_asked_again_without_conditions() {
    let room = Room::new(CacheKind::Strict, |asked| match asked.number {
        0 => Says::ok(&["ETag: \"old\"", FRESH], "old"),
        1 => Says::not_modified(&["ETag: \"unheard of\""]),
        _ => Says::ok(&["ETag: \"new\"", FRESH], "new"),
    });
    room.get("/a").await;
    room.advance(61);
    assert_eq!(room.get("/a").await.text(), "new");
    assert!(!room.asked()[2].has("if-none-match"));
}

#[tokio::test]
async fn a_client_that_has_what_was_just_validated_is_told_so() {
    let room = Room::new(CacheKind::Strict, validating(FRESH, true));
    room.get("/a").await;
    room.advance(61);
    let reply = room.get_with("/a", &["If-None-Match: \"a\""]).await;
    assert_eq!((reply.status, reply.from()), (304, "REVALIDATED"));
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get_and_not_stored_itself() {
    let room = Room::new(CacheKind::Strict, counting(&[FRESH]));
    let reply = room.ask("HEAD", "/a", &[]).await;
    assert_eq!((reply.from(), reply.field("content-length")), ("MISS", Some("6")));
    assert_eq!(room.get("/a").await.from(), "MISS");
    let reply = room.ask("HEAD", "/a", &[]).await;
    assert_eq!((reply.from(), reply.field("content-length"), reply.body.len()), ("HIT", Some("6"), 0));
}

#[rstest]
#[case::the_same("ETag: \"a\"", "HIT")]
#[case::another("ETag: \"b\"", "MISS")]
#[tokio::test]
async fn head_says_whether_a_stale_answer_is_still_good(#[case] tag: &'static str, #[case] expected: &str) {
    let room = Room::new(CacheKind::Strict, move |asked| match asked.line() {
        "HEAD /a HTTP/1.1" => Says::bytes(format!("HTTP/1.1 200 OK\r\n{tag}\r\n{FRESH}\r\nContent-Length: 1\r\n\r\n")),
        _ => Says::ok(&["ETag: \"a\"", FRESH], "1"),
    });
    room.get("/a").await;
    room.advance(61);
    assert_eq!(room.ask("HEAD", "/a", &[]).await.from(), "MISS");
    assert_eq!(room.get("/a").await.from(), expected);
}

#[rstest]
#[case::done("POST", "200 OK", "MISS")]
#[case::unknown_method("FROB", "204 No Content", "MISS")]
#[case::redirected("DELETE", "303 See Other", "MISS")]
#[case::refused("POST", "403 Forbidden", "HIT")]
#[case::failed("PUT", "500 Internal Server Error", "HIT")]
#[case::safe("OPTIONS", "200 OK", "HIT")]
#[tokio::test]
async fn what_may_have_changed_is_forgotten(
    #[case] method: &str,
    #[case] status: &'static str,
    #[case] expected: &str,
) {
    let room = Room::new(CacheKind::Strict, move |asked| match asked.line() {
        line if line.starts_with("GET") => Says::ok(&[FRESH, "Vary: Cookie"], "body"),
        _ => Says::bytes(format!("HTTP/1.1 {status}\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")),
    });
    for path in ["/a", "/b", "/c"] {
        room.get(path).await;
        room.get_with(path, &["Cookie: a=b"]).await;
    }
    assert_eq!(room.send(method, "/a", &[], "x=y").await.from(), "PASS");
    assert_eq!(room.get("/a").await.from(), expected);
    assert_eq!(room.get_with("/a", &["Cookie: a=b"]).await.from(), expected);
    assert_eq!(room.get("/b").await.from(), expected);
    assert_eq!(room.get("/c").await.from(), "HIT");
}
