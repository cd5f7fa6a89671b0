//! Faults before a real Postgres: each is seen by its clients, and gone once it is undone.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod proxy;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress::case::CutAt;
use dj_regress::service::postgres::SUPERUSER;
use proxy::{PostgresStage, not_now, shortest, soon};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

const INSERT: &str = "INSERT INTO fruit VALUES (1)";
const LATENCY: Duration = Duration::from_millis(30);

#[tokio::test]
async fn refused_clients_get_no_byte_and_the_others_go_on() {
    let stage = PostgresStage::new().await;
    let early = stage.client().await;
    stage.proxy.faults().refuse(true);
    assert!(soon(stage.connect()).await.is_err());
    let mut raw = UnixStream::connect(stage.proxy.socket()).await.unwrap();
    assert!(matches!(soon(raw.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    early.batch_execute(INSERT).await.unwrap();
    stage.proxy.faults().refuse(false);
    stage.client().await.batch_execute(INSERT).await.unwrap();
    assert_eq!((stage.rows().await, stage.proxy.counters().connections), (2, 2));
    stage.end().await;
}

#[tokio::test]
async fn latency_delays_each_way_and_limits_nothing() {
    let stage = PostgresStage::new().await;
    let client = Arc::new(stage.client().await);
    stage.proxy.faults().latency(Some((LATENCY, Duration::ZERO)));
    assert!(shortest(async || client.simple_query("SELECT 1").await.unwrap()).await >= 2 * LATENCY);
    let start = Instant::now();
    let mut pipeline = JoinSet::new();
    for number in 0..100 {
        let client = Arc::clone(&client);
        pipeline.spawn(async move { client.simple_query(&format!("SELECT {number}")).await.unwrap() });
    }
    assert_eq!(soon(pipeline.join_all()).await.len(), 100);
    assert!(start.elapsed() < 100 * LATENCY, "a hundred statements wait for each other");
    // A text in many pieces comes whole, and in order.
    let text: String = (0..100_000).map(|number| number.to_string()).collect();
    stage.proxy.faults().latency(Some((LATENCY / 10, LATENCY / 10)));
    let row = soon(client.query_one("SELECT $1::text", &[&text])).await.unwrap();
    assert!(row.get::<_, &str>(0) == text);
    stage.proxy.faults().latency(None);
    assert!(shortest(async || client.simple_query("SELECT 1").await.unwrap()).await < LATENCY);
    stage.end().await;
}

#[tokio::test]
async fn bandwidth_is_shared_by_the_connections_and_adds_to_latency() {
    let stage = PostgresStage::new().await;
    let clients = [stage.client().await, stage.client().await];
    let ask = async |client: &tokio_postgres::Client| {
        client.simple_query("SELECT repeat('x', 20000)").await.unwrap();
    };
    let faults = stage.proxy.faults();
    faults.bandwidth(Some(200_000));
    let alone = shortest(async || ask(&clients[0]).await).await;
    assert!(alone >= Duration::from_millis(100), "{alone:?} for 20 kB at 200 kB/s");
    let both = shortest(async || tokio::join!(ask(&clients[0]), ask(&clients[1]))).await;
    assert!(both >= Duration::from_millis(200), "{both:?} for 40 kB at 200 kB/s");
    faults.latency(Some((LATENCY, Duration::ZERO)));
    let slow = shortest(async || ask(&clients[0]).await).await;
    assert!(slow >= Duration::from_millis(100) + 2 * LATENCY, "{slow:?}");
    faults.latency(None);
    faults.bandwidth(None);
    assert!(shortest(async || ask(&clients[0]).await).await < LATENCY);
    stage.end().await;
}

#[rstest]
#[case::text(false, None)]
#[case::prepared(true, None)]
#[case::late(false, Some((LATENCY, Duration::ZERO)))]
#[tokio::test]
async fn a_commit_cut_off_after_it_has_happened(
    #[case] prepared: bool,
    #[case] latency: Option<(Duration, Duration)>,
    #[values(CutAt::AfterCommit, CutAt::BeforeCommit)] cut: CutAt,
) {
    let stage = PostgresStage::new().await;
    let (client, other) = (stage.client().await, stage.client().await);
    stage.proxy.faults().latency(latency);
    stage.proxy.faults().cut(Some(cut));
    client.batch_execute("BEGIN").await.unwrap();
    client.batch_execute(INSERT).await.unwrap();
    let error = if prepared {
        soon(client.execute("COMMIT", &[])).await.map(|_| ())
    } else {
        soon(client.batch_execute("COMMIT")).await
    };
    assert!(error.unwrap_err().is_closed());
    let rows = i64::from(cut == CutAt::AfterCommit);
    soon(async { while stage.rows().await != rows {} }).await;
    // Once: the next commit is none of its business.
    let begun = format!("BEGIN; {INSERT}; COMMIT");
    other.batch_execute(&begun).await.unwrap();
    assert_eq!(stage.rows().await, rows + 1);
    let counters = stage.proxy.settled().await;
    assert_eq!((counters.connections, counters.unmatched, counters.malformed), (2, 0, 0));
    drop(other);
    stage.nobody_is_connected().await;
    stage.end().await;
}

#[tokio::test]
async fn what_was_answered_before_the_commit_is_passed_on() {
    let stage = PostgresStage::new().await;
    let mut raw = raw(&stage).await;
    stage.proxy.faults().cut(Some(CutAt::AfterCommit));
    // A COMMIT of a failed transaction commits nothing.
    raw.write_all(&query("BEGIN; SELECT 1/0")).await.unwrap();
    assert_eq!(read_to(&mut raw, b'Z').await, "CEZ");
    raw.write_all(&query("COMMIT")).await.unwrap();
    assert_eq!(read_to(&mut raw, b'Z').await, "CZ");
    raw.write_all(&query(&format!("BEGIN; {INSERT}; COMMIT; {INSERT}"))).await.unwrap();
    assert_eq!(read_to(&mut raw, b'Z').await, "CC");
    assert!(stage.rows().await >= 1);
    stage.end().await;
}

#[tokio::test]
async fn a_cut_that_is_undone_does_not_come() {
    let stage = PostgresStage::new().await;
    let client = stage.client().await;
    for cut in [CutAt::AfterCommit, CutAt::BeforeCommit, CutAt::AfterStatements(9), CutAt::AfterBytes(2000)] {
        stage.proxy.faults().cut(Some(cut));
        client.batch_execute(INSERT).await.unwrap();
        stage.proxy.faults().cut(None);
        client.batch_execute(&format!("BEGIN; {INSERT}; COMMIT")).await.unwrap();
    }
    assert_eq!(stage.rows().await, 8);
    stage.end().await;
}

#[tokio::test]
async fn the_nth_statement_is_executed_and_nothing_of_its_answer_comes() {
    let stage = PostgresStage::new().await;
    let faults = stage.proxy.faults();
    let (mut first, mut other) = (raw(&stage).await, raw(&stage).await);
    // What another connection sends counts as well.
    for long in ["SELECT repeat('x', 1000) FROM generate_series(1, 5000), fruit", INSERT] {
        faults.cut(Some(CutAt::AfterStatements(3)));
        let before = stage.rows().await;
        first.write_all(&query(INSERT)).await.unwrap();
        assert_eq!(read_to(&mut first, b'Z').await, "CZ");
        other.write_all(&query("SELECT 1")).await.unwrap();
        assert_eq!(read_to(&mut other, b'Z').await, "TDCZ");
        let counted = stage.proxy.counters().statements;
        first.write_all(&query(long)).await.unwrap();
        assert_eq!(read_to(&mut first, b'Z').await, "", "{long}");
        assert_eq!(stage.proxy.settled().await.statements, counted + 1);
        assert_eq!(stage.rows().await, before + 1 + i64::from(long == INSERT));
        first = raw(&stage).await;
    }
    // In a pipeline, with those before it answered.
    faults.cut(Some(CutAt::AfterStatements(2)));
    first.write_all(&[query("SELECT 1"), query("SELECT 2"), query("SELECT 3")].concat()).await.unwrap();
    assert_eq!(read_to(&mut first, b'?').await, "TDCZ");
    // As Django sends them, one by one.
    let client = stage.client().await;
    faults.cut(Some(CutAt::AfterStatements(1)));
    assert!(soon(client.execute(INSERT, &[])).await.unwrap_err().is_closed());
    soon(async { while stage.rows().await != 4 {} }).await;
    stage.end().await;
}

#[tokio::test]
async fn after_so_many_bytes_nothing_is_passed_to_the_server() {
    let stage = PostgresStage::new().await;
    let mut raw = raw(&stage).await;
    let insert = query(INSERT);
    stage.proxy.faults().cut(Some(CutAt::AfterBytes(insert.len() as u64 * 2 - 1)));
    raw.write_all(&insert).await.unwrap();
    assert_eq!(read_to(&mut raw, b'Z').await, "CZ");
    raw.write_all(&insert).await.unwrap();
    assert_eq!(read_to(&mut raw, b'Z').await, "");
    stage.nobody_is_connected().await;
    assert_eq!(stage.rows().await, 1);
    // Of start-up, too.
    stage.proxy.faults().cut(Some(CutAt::AfterBytes(20)));
    assert!(soon(stage.connect()).await.is_err());
    stage.client().await;
    stage.end().await;
}

#[tokio::test]
async fn a_reset_closes_what_is_open_even_if_it_is_idle() {
    let stage = PostgresStage::new().await;
    let clients = [stage.client().await, stage.client().await];
    assert_eq!(stage.proxy.faults().reset(), 2);
    stage.nobody_is_connected().await;
    for client in &clients {
        assert!(soon(client.batch_execute(INSERT)).await.unwrap_err().is_closed());
    }
    stage.client().await.batch_execute(INSERT).await.unwrap();
    assert_eq!(stage.rows().await, 1);
    stage.end().await;
}

#[tokio::test]
async fn a_black_hole_takes_everything_and_is_closed_when_undone() {
    let stage = PostgresStage::new().await;
    let client = stage.client().await;
    let before = stage.proxy.counters();
    stage.proxy.faults().black_hole(true);
    not_now(client.batch_execute(INSERT)).await;
    let mut connecting = Box::pin(stage.connect());
    not_now(&mut connecting).await;
    let window = stage.proxy.settled().await - before;
    assert_eq!(window.messages_up, 1);
    assert!(window.bytes_up > 2 * INSERT.len() as u64, "{window:?}");
    stage.proxy.faults().black_hole(false);
    assert!(soon(connecting).await.is_err());
    assert!(soon(client.batch_execute(INSERT)).await.unwrap_err().is_closed());
    stage.nobody_is_connected().await;
    assert_eq!(stage.rows().await, 0);
    stage.client().await.batch_execute(INSERT).await.unwrap();
    stage.end().await;
}

#[tokio::test]
async fn a_partition_holds_everything_and_lets_it_go_on() {
    let stage = PostgresStage::new().await;
    let client = stage.client().await;
    stage.proxy.faults().partition(true);
    {
        let mut insert = Box::pin(client.batch_execute(INSERT));
        not_now(&mut insert).await;
        let mut connecting = Box::pin(stage.connect());
        not_now(&mut connecting).await;
        assert_eq!(stage.rows().await, 0);
        stage.proxy.faults().partition(false);
        soon(insert).await.unwrap();
        soon(connecting).await.unwrap().batch_execute(INSERT).await.unwrap();
    }
    client.batch_execute(INSERT).await.unwrap();
    assert_eq!(stage.rows().await, 3);
    stage.end().await;
}

#[tokio::test]
async fn statements_are_counted_when_they_are_sent() {
    let stage = PostgresStage::new().await;
    let client = stage.client().await;
    let faults = stage.proxy.faults().clone();
    client.batch_execute(&format!("BEGIN; {INSERT}; COMMIT")).await.unwrap();
    client.execute(INSERT, &[]).await.unwrap();
    assert_eq!((faults.statements(), stage.proxy.counters().statements), (4, 4));
    let sleeping = tokio::spawn(async move { client.batch_execute("SELECT pg_sleep(60)").await });
    soon(async {
        while faults.statements() < 5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(faults.reset(), 1);
    assert!(soon(sleeping).await.unwrap().is_err());
    stage.end().await;
}

async fn raw(stage: &PostgresStage) -> UnixStream {
    let mut stream = UnixStream::connect(stage.proxy.socket()).await.unwrap();
    let parameters = format!("\0\x03\0\0user\0{SUPERUSER}\0database\0postgres\0application_name\0actor\0\0");
    let length = u32::try_from(parameters.len() + 4).unwrap();
    stream.write_all(&[&length.to_be_bytes()[..], parameters.as_bytes()].concat()).await.unwrap();
    read_to(&mut stream, b'Z').await;
    stream
}

fn query(sql: &str) -> Vec<u8> {
    let length = u32::try_from(sql.len() + 5).unwrap();
    [b"Q", &length.to_be_bytes()[..], sql.as_bytes(), b"\0"].concat()
}

/// The types of the messages up to one of a type, or to the end.
async fn read_to(stream: &mut UnixStream, last: u8) -> String {
    let mut kinds = String::new();
    let mut header = [0; 5];
    while !kinds.ends_with(char::from(last)) {
        match soon(stream.read(&mut header[..1])).await {
            Ok(1) => {}
            _ => break,
        }
        soon(stream.read_exact(&mut header[1..])).await.unwrap();
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        soon(stream.read_exact(&mut vec![0; length - 4])).await.unwrap();
        kinds.push(char::from(header[0]));
    }
    kinds
}
