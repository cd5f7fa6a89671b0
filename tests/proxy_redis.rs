//! The counting proxy before a real Redis: what it counts, and its faults as clients see them.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod proxy;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use dj_regress::case::CutAt;
use dj_regress::proxy::Shape;
use dj_regress::proxy::{Counters, Counts, RedisProxy};
use dj_regress::proxy::{Endpoint, RedisClock, TimeAsked};
use proxy::{RedisStage, not_now, shortest, soon};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd, pipe};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

const LATENCY: Duration = Duration::from_millis(30);

fn counts(counters: &Counters, verb: &str) -> Counts {
    counters.seen.get(&Shape::of_verb(verb)).copied().unwrap_or_default()
}

async fn increase(client: &mut MultiplexedConnection) -> RedisResult<i64> {
    soon(cmd("INCR").arg("n").query_async(client)).await
}

async fn transaction(client: &mut MultiplexedConnection) -> RedisResult<()> {
    soon(pipe().atomic().cmd("INCR").arg("n").ignore().query_async(client)).await
}

#[tokio::test]
async fn every_byte_and_command_is_counted() {
    let stage = RedisStage::new().await;
    let mode = std::fs::metadata(stage.proxy.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut raw = UnixStream::connect(stage.proxy.socket()).await.unwrap();
    let (mut sent, mut got) = (0, 0);
    for (request, reply) in [
        (&b"SET k v\r\n"[..], &b"+OK\r\n"[..]),
        (b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n", b"$1\r\nv\r\n+PONG\r\n"),
        (b"\r\n*0\r\nLPUSH k v\r\n", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        (b"MULTI\r\nINCR n\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"),
        (b"BLPOP list 0.01\r\n", b"*-1\r\n"),
        (b"HELLO 3\r\n", b"%"),
    ] {
        raw.write_all(request).await.unwrap();
        let mut answer = vec![0; reply.len()];
        soon(raw.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, reply, "{:?}", String::from_utf8_lossy(&answer));
        (sent, got) = (sent + request.len() as u64, got + reply.len() as u64);
        if reply != b"%" {
            let counters = stage.proxy.counters();
            assert_eq!((counters.bytes_up, counters.bytes_down), (sent, got));
        }
    }
    raw.write_all(b"*2\r\n$3\r\nGET").await.unwrap();
    drop(raw);
    let counters = stage.proxy.settled().await;
    assert_eq!((counters.statements, counters.failed, counters.messages_up), (9, 1, 9));
    assert_eq!((counters.malformed, counters.unmatched, counters.truncated), (0, 0, 1));
    assert_eq!(counts(&counters, "LPUSH"), Counts { statements: 1, failed: 1, ..Counts::default() });
    assert_eq!((counts(&counters, "GET").statements, counts(&counters, "INCR").statements), (1, 1));
    assert_eq!((counters.connections, stage.proxy.faults().statements()), (1, 9));
    stage.end().await;
}

#[tokio::test]
async fn a_subscriber_is_served() {
    let stage = RedisStage::new().await;
    let mut raw = UnixStream::connect(stage.proxy.socket()).await.unwrap();
    raw.write_all(b"SUBSCRIBE a b\r\n").await.unwrap();
    let mut answer = vec![0; b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n".len() * 2];
    soon(raw.read_exact(&mut answer)).await.unwrap();
    let mut client = stage.client().await;
    soon(cmd("PUBLISH").arg("a").arg("hello").query_async::<i64>(&mut client)).await.unwrap();
    let mut message = vec![0; b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n".len()];
    soon(raw.read_exact(&mut message)).await.unwrap();
    assert!(message.ends_with(b"hello\r\n"));
    let counters = stage.proxy.settled().await;
    assert_eq!((counts(&counters, "SUBSCRIBE").statements, counters.unmatched), (1, 0));
    stage.end().await;
}

#[tokio::test]
async fn the_preamble_is_said_and_its_replies_are_kept() {
    let stage = RedisStage::with_preamble(&[&["AUTH", "secret word"], &["SELECT", "3"]]).await;
    // The server has no password yet: an error.
    let mut raw = UnixStream::connect(stage.proxy.socket()).await.unwrap();
    assert_eq!(soon(raw.read(&mut [0; 1])).await.unwrap(), 0);
    let mut direct = stage.redis.connection().await.unwrap();
    let _: () = cmd("CONFIG").arg("SET").arg("requirepass").arg("secret word").query_async(&mut direct).await.unwrap();
    let mut raw = UnixStream::connect(stage.proxy.socket()).await.unwrap();
    raw.write_all(b"SET k v\r\n").await.unwrap();
    let mut answer = [0; 5];
    soon(raw.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    let _: () = cmd("SELECT").arg(3).query_async(&mut direct).await.unwrap();
    assert_eq!(cmd("GET").arg("k").query_async::<String>(&mut direct).await.unwrap(), "v");
    let counters = stage.proxy.counters();
    assert_eq!((counters.statements, counters.bytes_up, counters.bytes_down), (1, 9, 5));
    stage.end().await;
}

#[tokio::test]
async fn a_server_at_a_port_is_reached() {
    let stage = RedisStage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let Endpoint::Unix(socket) = stage.redis.endpoint().clone() else { panic!("a local Redis listens on a socket") };
    let port_to_socket = tokio::spawn(async move {
        loop {
            let (mut outer, _) = listener.accept().await.unwrap();
            let mut inner = UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut outer, &mut inner).await });
        }
    });
    let wire = stage.run_directory.path().join("tcp.sock");
    let upstream = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port };
    let proxy = RedisProxy::start(
        upstream,
        vec![vec!["SELECT".into(), "0".into()]],
        RedisClock::Machine(TimeAsked::default()),
        &wire,
    )
    .await
    .unwrap();
    let mut raw = UnixStream::connect(&wire).await.unwrap();
    raw.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    soon(raw.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    assert_eq!(proxy.faults().reset(), 1);
    assert!(matches!(soon(raw.read(&mut answer)).await, Ok(0) | Err(_)));
    assert_eq!(proxy.finish().await.statements, 1);
    port_to_socket.abort();
    stage.end().await;
}

#[rstest]
#[case(CutAt::AfterCommit, 1)]
#[case(CutAt::BeforeCommit, 0)]
#[tokio::test]
async fn a_transaction_is_cut_at_its_exec_once(#[case] cut: CutAt, #[case] executed: i64) {
    let stage = RedisStage::new().await;
    let (mut client, mut other) = (stage.client().await, stage.client().await);
    stage.proxy.faults().cut(Some(cut));
    assert_eq!(increase(&mut client).await.unwrap(), 1);
    assert!(transaction(&mut client).await.is_err());
    assert_eq!(stage.value().await, 1 + executed);
    transaction(&mut other).await.unwrap();
    assert_eq!(stage.value().await, 2 + executed);
    stage.end().await;
}

#[tokio::test]
async fn an_exec_that_does_nothing_is_no_commit() {
    let stage = RedisStage::new().await;
    let mut raw = UnixStream::connect(stage.proxy.socket()).await.unwrap();
    stage.proxy.faults().cut(Some(CutAt::AfterCommit));
    let mut ask = async |request: &[u8], reply: &[u8]| {
        raw.write_all(request).await.unwrap();
        let mut answer = vec![0; reply.len()];
        let length = soon(raw.read(&mut answer)).await.unwrap();
        assert_eq!(&answer[..length], reply);
    };
    ask(b"LRANGE list 0 -1\r\n", b"*0\r\n").await;
    ask(b"WATCH n\r\n", b"+OK\r\n").await;
    let mut direct = stage.redis.connection().await.unwrap();
    assert_eq!(increase(&mut direct).await.unwrap(), 1);
    ask(b"MULTI\r\n", b"+OK\r\n").await;
    ask(b"INCR n\r\n", b"+QUEUED\r\n").await;
    ask(b"EXEC\r\n", b"*-1\r\n").await;
    ask(b"MULTI\r\n", b"+OK\r\n").await;
    ask(b"INCR n\r\n", b"+QUEUED\r\n").await;
    ask(b"EXEC\r\n", b"").await;
    assert_eq!(stage.value().await, 2);
    stage.end().await;
}

#[tokio::test]
async fn the_nth_command_is_executed_and_its_answer_does_not_come() {
    let stage = RedisStage::new().await;
    let mut client = stage.client().await;
    stage.proxy.faults().cut(Some(CutAt::AfterStatements(3)));
    assert_eq!((increase(&mut client).await.unwrap(), increase(&mut client).await.unwrap()), (1, 2));
    assert!(increase(&mut client).await.is_err());
    assert_eq!(stage.value().await, 3);
    let mut client = stage.client().await;
    assert_eq!(increase(&mut client).await.unwrap(), 4);
    // The third byte of a command is the last to come through.
    stage.proxy.faults().cut(Some(CutAt::AfterBytes(3)));
    assert!(increase(&mut client).await.is_err());
    assert_eq!(stage.value().await, 4);
    stage.end().await;
}

#[tokio::test]
async fn refused_reset_and_swallowed_clients_come_back() {
    let stage = RedisStage::new().await;
    let faults = stage.proxy.faults();
    let mut client = stage.client().await;
    faults.refuse(true);
    assert!(soon(stage.connect()).await.is_err());
    assert_eq!(increase(&mut client).await.unwrap(), 1);
    faults.refuse(false);
    assert_eq!(faults.reset(), 1);
    assert!(increase(&mut client).await.is_err());
    let mut client = stage.client().await;
    faults.black_hole(true);
    let before = stage.proxy.counters();
    not_now(cmd("INCR").arg("n").query_async::<i64>(&mut client)).await;
    assert_eq!((stage.proxy.settled().await - before).messages_up, 1);
    faults.black_hole(false);
    assert!(increase(&mut client).await.is_err());
    let mut client = stage.client().await;
    assert_eq!(increase(&mut client).await.unwrap(), 2);
    stage.end().await;
}

#[tokio::test]
async fn a_partition_and_a_slow_link_lose_nothing() {
    let stage = RedisStage::new().await;
    let faults = stage.proxy.faults();
    let mut client = stage.client().await;
    faults.partition(true);
    {
        let mut command = cmd("INCR");
        command.arg("n");
        let mut asking = Box::pin(command.query_async::<i64>(&mut client));
        not_now(&mut asking).await;
        assert_eq!(stage.value().await, 0);
        faults.partition(false);
        assert_eq!(soon(asking).await.unwrap(), 1);
    }
    faults.latency(Some((LATENCY, Duration::ZERO)));
    assert!(shortest(async || increase(&mut client).await.unwrap()).await >= 2 * LATENCY);
    faults.latency(None);
    faults.bandwidth(Some(10_000));
    let long = "x".repeat(1000);
    let echo = async || soon(cmd("ECHO").arg(&long).query_async::<String>(&mut client.clone())).await.unwrap();
    assert!(shortest(echo).await >= Duration::from_millis(200));
    faults.bandwidth(None);
    assert!(shortest(async || increase(&mut client).await.unwrap()).await < LATENCY);
    assert_eq!(stage.value().await, 21);
    stage.end().await;
}
