//! The caching proxy before clients and origins that do not keep to the protocol: nothing hangs, nothing grows, nothing
//! gets through that could be read in two ways.
#![allow(clippy::unwrap_used, missing_docs)]

mod http;

use std::sync::Arc;
use std::time::Duration;

use dj_regress::case::CacheKind;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use http::{Asked, MIB, Room, Says, all_are_closed, assert_is_clear, connections, parse, resident, soon};

const FRESH: &str = "Cache-Control: max-age=60";

fn room() -> Room {
    Room::new(CacheKind::Strict, |_: &Asked| Says::ok(&[FRESH], "body"))
}

fn request(fields: &str) -> Vec<u8> {
    format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

#[rstest]
#[case::no_http(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400)]
#[case::another_version(b"GET / HTTP/3.0\r\n\r\n".to_vec(), 400)]
#[case::no_host(b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400)]
#[case::two_hosts(request("Host: b\r\n"), 400)]
#[case::host_with_a_path(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_vec(), 400)]
#[case::host_with_a_user(b"GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400)]
#[case::asterisk(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400)]
#[case::space_in_target(b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400)]
#[case::tunnel(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 501)]
#[case::space_before_colon(request("X-A : 1\r\n"), 400)]
#[case::folded(request("X-A: 1\r\n 2\r\n"), 400)]
#[case::nul(request("X-A: a\0b\r\n"), 400)]
#[case::carriage_return(request("X-A: a\rX-B: c\r\n"), 400)]
#[case::no_name(request(": a\r\n"), 400)]
#[case::two_lengths(request("Content-Length: 3\r\nContent-Length: 4\r\n"), 400)]
#[case::two_lengths_in_one(request("Content-Length: 3, 4\r\n"), 400)]
#[case::length_below_zero(request("Content-Length: -1\r\n"), 400)]
#[case::length_with_a_sign(request("Content-Length: +1\r\n"), 400)]
#[case::length_beyond_all(request("Content-Length: 99999999999999999999\r\n"), 400)]
#[case::coding_unknown(request("Transfer-Encoding: xchunked\r\n"), 400)]
#[case::coding_beside_chunks(request("Transfer-Encoding: gzip, chunked\r\n"), 501)]
#[case::coding_twice(request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501)]
#[case::coding_after_chunks(request("Transfer-Encoding: chunked, identity\r\n"), 400)]
#[case::coding_of_old(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), 400)]
#[case::huge_field(request(&format!("X-A: {}\r\n", "x".repeat(MIB))), 431)]
#[case::many_fields(request(&"X-A: 1\r\n".repeat(200)), 431)]
#[case::huge_target(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(MIB)).into_bytes(), 431)]
#[case::bad_chunk(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(), 400)]
#[case::chunk_beyond_all(
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n".to_vec(),
    400
)]
#[tokio::test]
async fn a_malformed_request_is_refused_and_its_connection_closed(#[case] bytes: Vec<u8>, #[case] status: u16) {
    let room = room();
    let answer = room.raw(&bytes, false).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}");
    assert_eq!((room.counters().malformed, room.counters().entries), (1, 0));
    assert!(room.asked().is_empty(), "the origin hears nothing of it");
    assert_eq!(room.get("/a").await.status, 200);
}

#[rstest]
#[case::length_first("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n")]
#[case::coding_first("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n")]
#[case::in_another_case("Content-Length: 6\r\ntRANSFER-eNCODING: Chunked\r\n")]
#[tokio::test]
async fn of_two_ways_to_read_a_request_the_origin_gets_one_and_nothing_after_it_is_heard(#[case] fields: &str) {
    let room = room();
    let first = format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n");
    let answer = room.raw(format!("{first}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), false).await;
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1").count(), 1);
    let asked = room.asked();
    assert_eq!((asked.len(), asked[0].line()), (1, "POST /a HTTP/1.1"));
    assert_is_clear(&asked[0].head);
}

#[rstest]
#[case::no_http("hello\r\n\r\n")]
#[case::nothing("")]
#[case::half_a_head("HTTP/1.1 200 OK\r\nContent-Le")]
#[case::no_status("HTTP/1.1 abc\r\n\r\n")]
#[case::two_lengths("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")]
#[case::length_below_zero("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")]
#[case::nul("HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n")]
#[case::carriage_return("HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: b\r\n\r\n")]
#[case::folded("HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n")]
#[case::coding_unknown("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc")]
#[case::coding_of_old("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
#[case::switches_protocols("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")]
#[case::informs_and_hangs_up("HTTP/1.1 100 Continue\r\n\r\n")]
#[tokio::test]
async fn a_malformed_answer_is_502(#[case] says: &'static str) {
    let room = Room::new(CacheKind::Broken, move |_: &Asked| Says::bytes(says));
    assert_eq!(room.get("/a").await.status, 502);
    assert_eq!((room.counters().errors, room.counters().entries), (1, 0));
}

#[rstest]
#[case::huge_field(format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "x".repeat(MIB)))]
#[case::many_fields(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: 1\r\n".repeat(200)))]
#[case::head_without_end(format!("HTTP/1.1 200 OK\r\n{}", "X-A: 1\r\n".repeat(200_000)))]
#[tokio::test]
async fn a_huge_head_of_an_answer_is_502(#[case] says: String) {
    let room = Room::new(CacheKind::Broken, move |_: &Asked| Says::bytes(says.as_str()));
    assert_eq!(room.get("/a").await.status, 502);
    assert_eq!((room.counters().malformed, room.counters().entries), (1, 0));
}

#[tokio::test]
async fn what_comes_after_an_answer_is_no_answer() {
    let says = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\nevil";
    let room = Room::new(CacheKind::Strict, move |_: &Asked| Says::bytes(says));
    for _ in 0..2 {
        assert_eq!(room.get("/a").await.text(), "a");
    }
    assert_eq!(room.counters().hits, 1);
}

#[tokio::test]
async fn a_client_that_is_done_sending_gets_its_answer() {
    let room = room();
    let answer = room.raw(&request(""), true).await;
    assert_eq!(parse(&answer, false).unwrap().text(), "body");
}

#[tokio::test]
async fn a_field_with_many_parts_and_many_values_that_vary_are_bounded() {
    let room = Room::new(CacheKind::Strict, |_: &Asked| Says::ok(&[FRESH, "Vary: Cookie"], "body"));
    for number in 0..200 {
        room.get_with("/a", &[&format!("Cookie: {number}")]).await;
    }
    assert_eq!((room.counters().entries, room.counters().evictions), (64, 136));
    let commas = format!("Cache-Control: {}", ",".repeat(30_000));
    assert_eq!(room.get_with("/b", &[&commas, &format!("If-None-Match: {}", "\"".repeat(9_999))]).await.status, 200);
}

/// Twelve seconds of real time: the deadlines are the proxy's own.
#[tokio::test]
async fn a_client_that_says_too_little_is_hung_up_on_and_keeps_nobody_else_waiting() {
    let script = |asked: &Asked| match asked.line() {
        "GET /stalls HTTP/1.1" => Says::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").and_hangs(),
        "GET /endless HTTP/1.1" => Says::ok(&[], &"x".repeat(16 * MIB)),
        _ => Says::ok(&[FRESH], "body"),
    };
    let room = Arc::new(Room::with_timeout(CacheKind::Strict, Some(Duration::from_secs(2)), script));
    let mut clients = JoinSet::new();
    for number in 0..300 {
        let room = Arc::clone(&room);
        clients.spawn(async move {
            let says: &[u8] =
                [b"".as_slice(), b"GET / HTTP/1.1\r\nHost", b"GET /stalls HTTP/1.1\r\nHost: a\r\n\r\n"][number % 3];
            (number % 3, room.raw(says, false).await)
        });
    }
    // Who reads nothing is no better than who says nothing.
    let mut deaf = room.connect().await;
    deaf.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    soon(async {
        while connections(room.proxy.socket()) < 301 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(room.get("/a").await.status, 200, "others are served meanwhile");
    while let Some(ended) = clients.join_next().await {
        let (kind, answer) = ended.unwrap();
        let text = String::from_utf8_lossy(&answer);
        match kind {
            0 => assert_eq!(text, "", "an idle client is not told anything"),
            1 => assert!(text.starts_with("HTTP/1.1 408 "), "{text:?}"),
            _ => assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("abc"), "{text:?}"),
        }
    }
    all_are_closed(room.proxy.socket()).await;
    assert_eq!(room.counters().malformed, 100);
}

/// What an origin does with a connection.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Speaks,
    Listens,
    Ignores,
}

#[rstest]
#[case::of_an_answer(Origin::Speaks)]
#[case::of_a_request(Origin::Listens)]
#[case::of_a_request_that_nobody_reads(Origin::Ignores)]
#[tokio::test]
async fn a_body_without_end_takes_no_memory_and_ends_with_its_client(#[case] origin: Origin) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("origin");
    let listener = UnixListener::bind(&socket).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut buffer, chunk) = (vec![0; 64 << 10], [b"8000\r\n", vec![b'x'; 0x8000].as_slice(), b"\r\n"].concat());
        match origin {
            Origin::Listens => while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {},
            Origin::Ignores => stream.peer_gone().await,
            Origin::Speaks => {
                let head = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(&chunk).await.is_ok() {}
            }
        }
    });
    let spec = dj_regress::proxy::HttpProxySpec {
        kind: CacheKind::Strict,
        origin: socket,
        timeout: (origin == Origin::Ignores).then_some(Duration::from_millis(100)),
    };
    let now = Arc::new(std::time::SystemTime::now);
    let proxy = dj_regress::proxy::HttpProxy::start(spec, &folder.path().join("web"), now).unwrap();
    let mut client = tokio::net::UnixStream::connect(proxy.socket()).await.unwrap();
    let before = resident();
    let (mut passed, mut buffer) = (0, vec![b'x'; 64 << 10]);
    if origin == Origin::Speaks {
        client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        while passed < 64 * MIB {
            passed += soon(client.read(&mut buffer)).await.unwrap();
        }
    } else {
        client.write_all(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n").await.unwrap();
        while passed < 64 * MIB {
            // Where nobody reads, the proxy answers and hangs up.
            match soon(client.write(&buffer)).await {
                Ok(length) => passed += length,
                Err(_) => break,
            }
        }
        assert_eq!(passed < 64 * MIB, origin == Origin::Ignores);
    }
    assert!(resident().saturating_sub(before) < 40 * MIB, "{} MiB more", (resident() - before) / MIB);
    if origin == Origin::Ignores {
        let mut answer = Vec::new();
        let _ = soon(client.read_to_end(&mut answer)).await;
        assert!(answer.starts_with(b"HTTP/1.1 504 "), "{}", String::from_utf8_lossy(&answer));
    }
    drop(client);
    soon(serving).await.unwrap();
    assert_eq!((proxy.counters().entries, proxy.counters().bytes), (0, 0));
}

trait PeerGone {
    async fn peer_gone(&self);
}

impl PeerGone for tokio::net::UnixStream {
    /// Waits without reading anything.
    async fn peer_gone(&self) {
        while !self.ready(tokio::io::Interest::READABLE).await.unwrap().is_read_closed() {
            tokio::task::yield_now().await;
        }
    }
}
