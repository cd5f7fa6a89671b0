//! Thousands of hostile requests and answers at once: the caching proxy hangs up, counts, and stays small.
#![allow(clippy::unwrap_used, missing_docs)]

mod http;

use std::sync::{Arc, Mutex};

use dj_regress::case::CacheKind;
use rstest::rstest;
use tokio::task::JoinSet;

use http::{Asked, MIB, Reply, Room, Says, all_are_closed, assert_is_clear, connections, resident};

/// Every second one a spoilt request, the others good ones whose answers mostly are spoilt.
const STORM: usize = 10_000;

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    /// A message with a few things wrong.
    fn spoil(&mut self, message: &[u8]) -> Vec<u8> {
        const HOSTILE: [&[u8]; 22] = [
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
            b"\r\n\r\n",
            b": ",
            b"\xff\xfe",
            b"Content-Length: 5\r\n",
            b"Content-Length: 0\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding : chunked\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Host: evil\r\n",
            b"Connection: Host, Content-Length, Cache-Control\r\n",
            b"Vary: a b, *, \x7f\r\n",
            b"Cache-Control: max-age=\"99999999999999999999999\", =, ,\r\n",
            b"Age: 18446744073709551616\r\n",
            b"Date: Thu, 99 Foo 99999 99:99:99 GMT\r\n",
            b"ETag: \"\x80\r\n",
            b"If-None-Match: \"\\\r\n",
            b"ffffffffffffffff\r\n",
            b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        let mut message = message.to_vec();
        for _ in 0..=self.roll(3) {
            let at = self.roll(message.len().max(1));
            match self.roll(6) {
                0 => message.truncate(at),
                1 if at < message.len() => message[at] = self.roll(256) as u8,
                2 if at < message.len() => drop(message.remove(at)),
                3 => drop(message.splice(at..at, vec![b'x'; 1 << self.roll(18)])),
                _ => {
                    let starts: Vec<usize> =
                        (0..message.len()).filter(|&at| at > 0 && message[at - 1] == b'\n').collect();
                    // Most do harm at the start of a line.
                    let at = if self.roll(3) == 0 || starts.is_empty() { at } else { starts[self.roll(starts.len())] };
                    drop(message.splice(at..at, HOSTILE[self.roll(HOSTILE.len())].iter().copied()));
                }
            }
        }
        message
    }
}

const REQUESTS: [&str; 5] = [
    "GET /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    "GET /a?b=c HTTP/1.1\r\nHost: a\r\nCache-Control: max-age=5\r\nIf-None-Match: \"a\"\r\nCookie: a=b\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HEAD http://a/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
];

const ANSWERS: [&str; 5] = [
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\nETag: \"a\"\r\nVary: Cookie\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nExpires: 0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n",
    "HTTP/1.0 200 OK\r\nServer: x\r\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT\r\n\r\nhello",
    "HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
];

/// What a client got: any number of complete answers, then perhaps one that breaks off.
fn assert_are_answers(bytes: &[u8]) {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return };
    let reply = Reply { status: 0, head: String::from_utf8_lossy(&bytes[..end + 4]).into_owned(), body: Vec::new() };
    assert!(reply.head.starts_with("HTTP/1.1 ") || reply.head.starts_with("HTTP/1.0 "), "{:?}", reply.head);
    assert_is_clear(&reply.head);
}

/// Many at a time; what the origin is asked and what clients get is looked at as it comes, and not kept.
async fn storm(room: Arc<Room>, requests: impl Iterator<Item = Vec<u8>>) {
    let look = |answer: Vec<u8>| {
        assert_are_answers(&answer);
        room.forget_asked().iter().for_each(|asked| assert_is_clear(&asked.head));
    };
    let mut clients = JoinSet::new();
    for (number, request) in requests.enumerate() {
        if clients.len() >= 32 {
            look(clients.join_next().await.unwrap().unwrap());
        }
        if number.is_multiple_of(100) {
            let open = connections(room.proxy.socket());
            assert!(open <= 64, "{open} connections of 32 clients");
        }
        room.advance(1);
        let room = Arc::clone(&room);
        clients.spawn(async move { room.raw(&request, true).await });
    }
    while let Some(answer) = clients.join_next().await {
        look(answer.unwrap());
    }
    all_are_closed(room.proxy.socket()).await;
}

#[rstest]
#[case::strict(CacheKind::Strict)]
#[case::broken(CacheKind::Broken)]
#[tokio::test]
async fn ten_thousand_hostile_messages_do_no_harm(#[case] kind: CacheKind) {
    let dice = Mutex::new(Dice(20_260_101));
    let room = Arc::new(Room::new(kind, move |asked: &Asked| {
        let mut dice = dice.lock().unwrap();
        let answer = ANSWERS[dice.roll(ANSWERS.len())].as_bytes();
        let is_spoilt = asked.has("x-good") && dice.roll(5) > 0;
        Says::bytes(if is_spoilt { dice.spoil(answer) } else { answer.to_vec() })
    }));
    let mut dice = Dice(7 + kind as u64);
    let mut next = move |number: usize| {
        if number.is_multiple_of(2) {
            let template = REQUESTS[dice.roll(REQUESTS.len())].as_bytes();
            return dice.spoil(template);
        }
        let path = dice.roll(400);
        format!("GET /{path} HTTP/1.1\r\nHost: a\r\nX-Good: 1\r\n\r\n").into_bytes()
    };
    // What the allocator keeps comes with the first ones.
    storm(Arc::clone(&room), (0..STORM / 10).map(&mut next)).await;
    let before = resident();
    storm(Arc::clone(&room), (0..STORM).map(&mut next)).await;
    let grown = resident().saturating_sub(before);
    // Other tests of this process take some, too.
    assert!(grown < 64 * MIB, "{} MiB more", grown / MIB);
    let counters = room.counters();
    assert!(counters.malformed > 3_000 && counters.errors > 1_000 && counters.hits > 100, "{counters:?}");
    assert!(counters.bytes <= 64 << 20 && counters.timeouts == 0, "{counters:?}");
    assert!(room.get("/good").await.head.starts_with("HTTP/1.1 "));
}
