//! The caching proxy before an origin that is gone, slow, large or breaks off.
#![allow(clippy::unwrap_used, missing_docs)]

mod http;

use std::time::Duration;

use dj_regress::case::CacheKind;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use http::{Asked, Reply, Room, Says, soon};

const FRESH: &str = "Cache-Control: max-age=60";

async fn twice(room: &Room) -> Reply {
    room.get("/a").await;
    room.get("/a").await
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_502() {
    for kind in [CacheKind::None, CacheKind::Strict] {
        let room = Room::before_nothing(kind);
        let reply = room.get("/a").await;
        assert_eq!((reply.status, reply.from(), reply.field("date")), (502, "", Some(room.date().as_str())));
        assert_eq!((room.counters().errors, room.counters().origin_requests), (1, 0));
    }
}

#[tokio::test]
async fn an_origin_that_hangs_up_is_502_and_what_is_stored_is_kept() {
    let room = Room::new(CacheKind::Strict, |asked| match asked.number {
        0 => Says::ok(&[FRESH], "body"),
        _ => Says::bytes(""),
    });
    room.get("/a").await;
    assert_eq!(room.get_with("/a", &["Cache-Control: no-cache"]).await.status, 502);
    assert_eq!(room.get("/a").await.from(), "HIT");
}

#[rstest]
#[case::silent("")]
#[case::in_the_middle_of_its_head("HTTP/1.1 200 OK\r\nContent-")]
#[case::informs_for_ever("HTTP/1.1 100 Continue\r\n\r\n")]
#[tokio::test]
async fn an_origin_that_takes_too_long_is_504_and_let_go(#[case] says: &'static str) {
    let room = Room::with_timeout(CacheKind::Strict, Some(Duration::from_millis(50)), move |_: &Asked| {
        Says::bytes(says).and_hangs()
    });
    assert_eq!(room.get("/a").await.status, 504);
    let counters = room.counters();
    assert_eq!((counters.errors, counters.timeouts, counters.origin_requests, counters.misses), (1, 1, 1, 0));
}

#[tokio::test]
async fn a_client_that_does_not_send_its_body_in_time_is_told_so_and_not_the_origin_blamed() {
    let room = Room::with_timeout(CacheKind::Strict, Some(Duration::from_millis(50)), |_: &Asked| Says::nothing());
    let answer = room.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", false).await;
    assert_eq!(http::parse(&answer, false).unwrap().status, 408);
    assert_eq!((room.counters().timeouts, room.counters().errors, room.counters().malformed), (0, 0, 1));
}

#[tokio::test]
async fn a_large_answer_is_streamed_while_it_comes_and_not_stored() {
    const PIECE: usize = 64 << 10;
    let length = 9 << 20;
    let room = Room::new(CacheKind::Strict, move |_: &Asked| {
        // Half of it, then silence: what was sent must arrive all the same.
        let head = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\nContent-Length: {length}\r\n\r\n");
        Says::bytes([head.as_bytes(), &vec![b'x'; length / 2]].concat()).and_hangs()
    });
    let mut client = room.connect().await;
    client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let (mut got, mut buffer) = (0, vec![0; PIECE]);
    while got < length / 2 {
        got += soon(client.read(&mut buffer)).await.unwrap();
    }
    assert_eq!((room.counters().entries, room.counters().bytes), (0, 0));
}

#[rstest]
#[case::of_known_length(true)]
#[case::until_the_end(false)]
#[tokio::test]
async fn a_large_answer_arrives_whole(#[case] has_length: bool) {
    let length = (8 << 20) + 1;
    let room = Room::new(CacheKind::Strict, move |_: &Asked| {
        let field = if has_length { format!("Content-Length: {length}\r\n") } else { String::new() };
        let head = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\n{field}\r\n");
        Says::bytes([head.as_bytes(), &vec![b'x'; length]].concat())
    });
    for _ in 0..2 {
        let reply = room.get("/a").await;
        assert_eq!((reply.from(), reply.body.len()), ("MISS", length));
    }
    assert_eq!(room.counters().entries, 0);
    assert!(room.counters().bytes_down > 2 * length as u64);
}

#[rstest]
#[case::length("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\nabc")]
#[case::chunks("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")]
#[case::bad_chunks("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\nfoo\r\n")]
#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_and_not_stored(#[case] says: &'static str) {
    let room = Room::new(CacheKind::Strict, move |_: &Asked| Says::bytes(says));
    let answer = room.raw(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", false).await;
    assert!(http::parse(&answer, false).is_none());
    assert_eq!((room.counters().entries, room.counters().bytes), (0, 0));
}

#[rstest]
#[case::chunks("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n", "abc")]
#[case::until_the_end("\r\nabc", "abc")]
#[case::nothing("Content-Length: 0\r\n\r\n", "")]
#[tokio::test]
async fn a_complete_answer_is_stored_however_it_ends(#[case] rest: &'static str, #[case] body: &str) {
    let room =
        Room::new(CacheKind::Strict, move |_: &Asked| Says::bytes(format!("HTTP/1.1 200 OK\r\n{FRESH}\r\n{rest}")));
    let reply = twice(&room).await;
    assert_eq!((reply.from(), reply.text().as_str()), ("HIT", body));
    assert_eq!(reply.field("content-length"), Some(body.len().to_string().as_str()));
}
