//! The counting proxy before a real Postgres: what it counts is what happened, to the byte and to the statement.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::Room;
use dj_regress::proxy::{Counters, Counts, PostgresProxy};
use dj_regress::proxy::{ServerClock, TimeAsked, shape};
use dj_regress::service::postgres::{PORT, Postgres, PostgresWants, SUPERUSER};
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Supervisor;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

struct Stage {
    proxy: PostgresProxy,
    postgres: Postgres,
    supervisor: Supervisor,
    _run_directory: Arc<RunDirectory>,
    room: Room,
}

impl Stage {
    async fn new() -> Self {
        let room = Room::new();
        let (run_directory, supervisor) = room.supervisor().await;
        let services = room.services(&supervisor, &run_directory).await;
        let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
        let proxy = PostgresProxy::start(
            postgres.upstream(),
            ServerClock::Machine(TimeAsked::default()),
            &run_directory.path().join("pg-q"),
        )
        .await
        .unwrap();
        Self { proxy, postgres, supervisor, _run_directory: run_directory, room }
    }

    /// Of tokio-postgres, through the proxy.
    async fn client(&self) -> Client {
        let (client, connection) = self.config().connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.proxy.host()).port(PORT).user(SUPERUSER).dbname("postgres").application_name("actor");
        config
    }

    async fn raw(&self) -> Raw {
        let stream = UnixStream::connect(self.proxy.host().join(format!(".s.PGSQL.{PORT}"))).await.unwrap();
        let mut raw = Raw { stream, written: 0, read: 0, messages_written: 0, messages_read: 0 };
        let parameters = format!("user\0{SUPERUSER}\0database\0postgres\0application_name\0raw\0\0");
        let length = u32::try_from(parameters.len() + 8).unwrap();
        raw.write(&[&length.to_be_bytes()[..], &[0, 3, 0, 0], parameters.as_bytes()].concat(), 1).await;
        raw.read_to(b'Z').await;
        raw
    }

    async fn end(self) {
        self.supervisor.shutdown().await.unwrap();
        drop(self.room);
    }
}

/// Speaks the protocol by itself, and counts by itself.
struct Raw {
    stream: UnixStream,
    written: u64,
    read: u64,
    messages_written: u64,
    messages_read: u64,
}

impl Raw {
    async fn write(&mut self, bytes: &[u8], messages: u64) {
        self.stream.write_all(bytes).await.unwrap();
        self.written += bytes.len() as u64;
        self.messages_written += messages;
    }

    async fn ask(&mut self, messages: &[(u8, &[u8])]) {
        let mut bytes = Vec::new();
        for (kind, body) in messages {
            bytes.push(*kind);
            bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
            bytes.extend(*body);
        }
        self.write(&bytes, messages.len() as u64).await;
    }

    /// Reads messages up to one of a type; the types of all.
    async fn read_to(&mut self, last: u8) -> String {
        let mut kinds = String::new();
        loop {
            let mut header = [0; 5];
            self.stream.read_exact(&mut header).await.unwrap();
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            let mut body = vec![0; length - 4];
            self.stream.read_exact(&mut body).await.unwrap();
            self.read += length as u64 + 1;
            self.messages_read += 1;
            kinds.push(char::from(header[0]));
            if header[0] == last {
                return kinds;
            }
        }
    }

    fn assert_counted(&self, counters: &Counters) {
        assert_eq!((counters.bytes_up, counters.bytes_down), (self.written, self.read));
        assert_eq!((counters.messages_up, counters.messages_down), (self.messages_written, self.messages_read));
    }
}

fn statements(counters: &Counters, sql: &str) -> u64 {
    counts(counters, sql).statements
}

fn counts(counters: &Counters, sql: &str) -> Counts {
    let shape = shape(sql);
    counters.seen.get(&shape).or_else(|| counters.unseen.get(&shape)).copied().unwrap_or_default()
}

#[tokio::test]
async fn an_answered_client_finds_every_byte_counted() {
    let stage = Stage::new().await;
    let mut raw = stage.raw().await;
    raw.assert_counted(&stage.proxy.counters());
    for round in 1..=500 {
        raw.ask(&[(b'Q', b"SELECT 1\0")]).await;
        assert_eq!(raw.read_to(b'Z').await, "TDCZ");
        let counters = stage.proxy.counters();
        raw.assert_counted(&counters);
        assert_eq!(counters.statements, round);
    }
    raw.ask(&[(b'Q', b"BEGIN; SELECT count(*) FROM pg_class; SELECT 1/0; COMMIT\0")]).await;
    assert_eq!(raw.read_to(b'Z').await, "CTDCEZ");
    raw.ask(&[(b'Q', b"ROLLBACK\0")]).await;
    raw.read_to(b'Z').await;
    raw.ask(&[(b'P', b"s\0SELECT oid FROM pg_class\0\0\0"), (b'S', b"")]).await;
    assert_eq!(raw.read_to(b'Z').await, "1Z");
    raw.ask(&[
        (b'B', b"\0s\0\0\0\0\0\0\0"),
        (b'D', b"P\0"),
        (b'E', b"\0\0\0\0\x02"),
        (b'E', b"\0\0\0\0\x01"),
        (b'S', b""),
    ])
    .await;
    assert_eq!(raw.read_to(b'Z').await, "2TDDsDsZ");
    raw.ask(&[(b'C', b"Ss\0"), (b'S', b"")]).await;
    assert_eq!(raw.read_to(b'Z').await, "3Z");
    let counters = stage.proxy.counters();
    raw.assert_counted(&counters);
    assert_eq!(counters.unmatched, 0);
    assert_eq!(statements(&counters, "SELECT a FROM pg_class"), 3);
    assert_eq!((statements(&counters, "BEGIN"), statements(&counters, "ROLLBACK")), (1, 1));
    assert_eq!(counts(&counters, "COMMIT"), Counts { skipped: 1, ..Counts::default() });
    assert_eq!((counters.statements, counters.failed), (500 + 3 + 1 + 2, 1));
    stage.end().await;
}

#[tokio::test]
async fn a_quiet_actor_has_even_its_good_byes_counted() {
    let stage = Stage::new().await;
    let mut sum = (0, 0);
    for round in 1..=50 {
        let mut raw = stage.raw().await;
        raw.ask(&[(b'X', b"")]).await;
        sum = (sum.0 + raw.written, sum.1 + raw.read);
        drop(raw);
        let counters = stage.proxy.settled().await;
        assert_eq!((counters.bytes_up, counters.bytes_down, counters.connections), (sum.0, sum.1, round));
        assert_eq!((counters.truncated, counters.malformed), (0, 0));
    }
    let counters = stage.proxy.settled().await;
    let (who, connections) = counters.clients.iter().next().unwrap();
    assert_eq!(
        (who.user.as_str(), who.database.as_str(), who.application_name.as_str()),
        (SUPERUSER, "postgres", "raw")
    );
    assert_eq!(*connections, 50);
    stage.end().await;
}

#[tokio::test]
async fn statements_are_counted_however_they_are_sent() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    client.batch_execute("CREATE TABLE fruit (id int PRIMARY KEY, name text); SET TIME ZONE 'UTC';").await.unwrap();
    let begin = stage.proxy.settled().await;
    assert_eq!((statements(&begin, "CREATE TABLE fruit"), statements(&begin, "SET")), (1, 1));

    let insert = client.prepare("INSERT INTO fruit VALUES ($1, $2)").await.unwrap();
    for id in 0..10 {
        client.execute(&insert, &[&id, &"apple"]).await.unwrap();
    }
    assert!(client.execute(&insert, &[&1, &"again"]).await.is_err());
    assert!(client.prepare("SELECT nothing FROM fruit").await.is_err());
    assert_eq!(client.query("SELECT * FROM fruit WHERE id < $1", &[&5]).await.unwrap().len(), 5);
    client.simple_query("UPDATE fruit SET name = ';'; DELETE FROM fruit WHERE id = 0").await.unwrap();
    client
        .batch_execute(
            "BEGIN; DECLARE c CURSOR FOR SELECT * FROM fruit; FETCH 3 FROM c; FETCH 3 FROM c; CLOSE c; COMMIT",
        )
        .await
        .unwrap();
    let window = stage.proxy.settled().await - begin;
    assert_eq!(
        counts(&window, "INSERT INTO fruit"),
        Counts { statements: 11, failed: 1, rows: 10, ..Counts::default() }
    );
    // One prepared in vain, one query, one cursor, whose rows are those of its FETCHes.
    assert_eq!(
        counts(&window, "SELECT a FROM fruit"),
        Counts { statements: 3, failed: 1, rows: 5, ..Counts::default() }
    );
    assert_eq!(counts(&window, "FETCH 1 FROM c"), Counts { statements: 2, rows: 6, ..Counts::default() });
    assert_eq!((counts(&window, "UPDATE fruit").rows, counts(&window, "DELETE FROM fruit").rows), (10, 1));
    assert_eq!((statements(&window, "UPDATE fruit"), statements(&window, "DELETE FROM fruit")), (1, 1));
    for (sql, times) in [("BEGIN", 1), ("FETCH 1 FROM c", 2), ("CLOSE c", 1), ("COMMIT", 1)] {
        assert_eq!(window.unseen[&shape(sql)].statements, times, "{sql}");
    }
    assert_eq!((window.statements, window.failed, window.unmatched, window.connections), (21, 2, 0, 0));
    stage.end().await;
}

#[tokio::test]
async fn copy_is_one_statement_and_its_data_counted() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    client.batch_execute("CREATE TABLE fruit (name text)").await.unwrap();
    let begin = stage.proxy.settled().await;
    let row = Bytes::from("apple\n".repeat(10_000));
    {
        let mut sink = pin!(client.copy_in("COPY fruit FROM STDIN").await.unwrap());
        for _ in 0..10 {
            sink.send(row.clone()).await.unwrap();
        }
        sink.close().await.unwrap();
    }
    let mut rows = pin!(client.copy_out("COPY fruit TO STDOUT").await.unwrap());
    let mut length = 0;
    while let Some(row) = rows.next().await {
        length += row.unwrap().len();
    }
    // A COPY that the server breaks off, and one that the client gives up.
    {
        let mut sink = pin!(client.copy_in("COPY fruit FROM STDIN (FORMAT csv, HEADER match)").await.unwrap());
        let _ = sink.send(Bytes::from("wrong\nx\n")).await;
        assert!(sink.close().await.is_err());
        drop(client.copy_in::<_, Bytes>("COPY fruit FROM STDIN").await.unwrap());
    }
    client.batch_execute("UPDATE fruit SET name = 'pear' WHERE false").await.unwrap();
    let window = stage.proxy.settled().await - begin;
    assert_eq!(length, 600_000);
    assert_eq!((window.copied_up, window.copied_down), (600_008, 600_000));
    assert_eq!(
        counts(&window, "COPY fruit FROM STDIN"),
        Counts { statements: 3, failed: 2, rows: 100_000, ..Counts::default() }
    );
    let out = counts(&window, "COPY fruit TO STDOUT");
    assert_eq!(out, Counts { statements: 1, rows: 100_000, ..Counts::default() });
    assert_eq!((window.statements, window.unmatched), (5, 0));
    stage.end().await;
}

#[tokio::test]
async fn a_cancel_request_cancels_and_is_no_connection() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    let token = client.cancel_token();
    let sleeping = tokio::spawn(async move { client.batch_execute("SELECT pg_sleep(60)").await });
    let watcher = stage.postgres.client("postgres").await.unwrap();
    let asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while watcher.query(asleep, &[]).await.unwrap().is_empty() {}
    token.cancel_query(NoTls).await.unwrap();
    let error = timeout(common::DEADLINE, sleeping).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014");
    let counters = stage.proxy.settled().await;
    assert_eq!((counters.cancels, counters.connections, counters.statements, counters.failed), (1, 1, 1, 1));
    stage.end().await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_server_and_the_proxy_buffers_nothing() {
    let stage = Stage::new().await;
    let mut raw = stage.raw().await;
    let before = resident();
    raw.ask(&[(b'Q', b"SELECT repeat('x', 1000000) FROM generate_series(1, 100)\0")]).await;
    let mut taken = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = stage.proxy.counters().bytes_down;
        if now == taken {
            break;
        }
        taken = now;
    }
    // One buffer of ours, and the kernel's of two sockets at most.
    assert!((1..2_000_000).contains(&taken), "{taken} bytes taken from the server for a client that reads nothing");
    raw.read_to(b'Z').await;
    raw.assert_counted(&stage.proxy.counters());
    assert!(raw.read > 100_000_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more for a result of 100 MB");
    stage.end().await;
}

#[tokio::test]
async fn a_large_text_is_passed_on_whole() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    let text = format!("SELECT length('{}') FROM pg_class LIMIT 1", "x".repeat(4_000_000));
    let messages = client.simple_query(&text).await.unwrap();
    let tokio_postgres::SimpleQueryMessage::Row(row) = &messages[1] else { panic!("{messages:?}") };
    assert_eq!(row.get(0), Some("4000000"));
    assert_eq!(stage.proxy.counters().statements, 1);
    stage.end().await;
}

#[tokio::test]
async fn a_client_killed_within_a_message_is_gone_from_the_server() {
    let stage = Stage::new().await;
    let mut raw = stage.raw().await;
    raw.ask(&[(b'Q', b"BEGIN\0")]).await;
    raw.read_to(b'Z').await;
    raw.write(b"Q\0\0\x01\0UPDATE", 0).await;
    let written = raw.written;
    drop(raw);
    let counters = stage.proxy.settled().await;
    assert_eq!((counters.truncated, counters.malformed, counters.bytes_up), (1, 0, written));
    let watcher = stage.postgres.client("postgres").await.unwrap();
    let there = "SELECT FROM pg_stat_activity WHERE application_name = 'raw'";
    timeout(common::DEADLINE, async { while !watcher.query(there, &[]).await.unwrap().is_empty() {} }).await.unwrap();
    stage.end().await;
}

#[tokio::test]
async fn a_terminated_backend_says_so_and_hangs_up() {
    let stage = Stage::new().await;
    let mut raw = stage.raw().await;
    let watcher = stage.postgres.client("postgres").await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'raw'";
    watcher.execute(end, &[]).await.unwrap();
    assert_eq!(raw.read_to(b'E').await, "E");
    assert_eq!(timeout(common::DEADLINE, raw.stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    let counters = stage.proxy.settled().await;
    raw.assert_counted(&counters);
    assert_eq!((counters.statements, counters.failed, counters.truncated), (0, 0, 0));
    stage.end().await;
}

#[tokio::test]
async fn a_killed_server_hangs_up_and_what_ran_is_unanswered() {
    let stage = Stage::new().await;
    let mut raw = stage.raw().await;
    raw.ask(&[(b'Q', b"SELECT pg_sleep(60) FROM pg_class\0")]).await;
    stage.supervisor.signal(stage.postgres.pid().unwrap(), nix::sys::signal::Signal::SIGQUIT).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(common::DEADLINE, raw.stream.read_to_end(&mut rest)).await.unwrap();
    let counters = stage.proxy.settled().await;
    let counts = counts(&counters, "SELECT a FROM pg_class");
    // The dying server may still say so.
    assert_eq!((counts.failed + counts.unanswered, counts.skipped), (1, 0), "{counters:?}");
    stage.end().await;
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
