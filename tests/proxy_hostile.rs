//! The counting proxy before clients and servers that do not keep to the protocol: nothing hangs, nothing panics.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use dj_regress::case::CutAt;
use dj_regress::proxy::{Counters, PostgresProxy};
use dj_regress::proxy::{Endpoint, ServerClock, TimeAsked};
use proptest::prelude::*;
use rstest::rstest;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

/// Start-up of user `a`.
const STARTUP: &[u8] = b"\0\0\0\x10\0\x03\0\0user\0a\0\0";

struct Room {
    folder: TempDir,
    proxy: PostgresProxy,
}

impl Room {
    /// A proxy before a server that says the same to everybody, and hangs up when its client does.
    async fn with_server(says: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("upstream");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let says = says.clone();
                tokio::spawn(async move {
                    let _ = stream.write_all(&says).await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                });
            }
        });
        Self::before(folder, &socket).await
    }

    async fn before(folder: TempDir, upstream: &Path) -> Self {
        let proxy = PostgresProxy::start(
            Endpoint::Unix(upstream.to_owned()),
            ServerClock::Machine(TimeAsked::default()),
            &folder.path().join("pg-q"),
        )
        .await
        .unwrap();
        Self { folder, proxy }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.proxy.host().join(".s.PGSQL.5432")).await.unwrap()
    }

    /// What a client gets for these bytes until the proxy hangs up.
    async fn ask(&self, bytes: &[u8], then_hangs_up: bool) -> Vec<u8> {
        let mut client = self.connect().await;
        // The proxy may have hung up already.
        let _ = client.write_all(bytes).await;
        if then_hangs_up {
            let _ = client.shutdown().await;
        }
        let mut answer = Vec::new();
        let _ = timeout(DEADLINE, client.read_to_end(&mut answer)).await.expect("the proxy hangs up");
        answer
    }

    async fn settled(&self) -> Counters {
        timeout(DEADLINE, self.proxy.settled()).await.unwrap()
    }
}

#[rstest]
#[case::http(b"GET / HTTP/1.1\r\n\r\n".to_vec())]
#[case::tls(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec())]
#[case::nothing_in_it(b"\0\0\0\0".to_vec())]
#[case::huge(b"\x7f\xff\xff\xff\0\x03\0\0".to_vec())]
#[case::protocol_two(b"\0\0\0\x08\0\x02\0\0".to_vec())]
#[case::length_zero([STARTUP, b"Q\0\0\0\0"].concat())]
#[case::length_three([STARTUP, b"Q\0\0\0\x03"].concat())]
#[case::beyond_a_gibibyte([STARTUP, b"Q\x40\0\0\x01"].concat())]
#[case::asks_for_encryption_for_ever(b"\0\0\0\x08\x04\xd2\x16\x2f".repeat(3))]
#[tokio::test]
async fn a_malformed_client_is_hung_up_on(#[case] bytes: Vec<u8>) {
    let room = Room::with_server(Vec::new()).await;
    room.ask(&bytes, false).await;
    assert_eq!(room.settled().await.malformed, 1);
}

#[tokio::test]
async fn a_malformed_server_is_hung_up_on() {
    let room = Room::with_server(b"Ecould not fork new process for connection\n\0".to_vec()).await;
    room.ask(STARTUP, false).await;
    assert_eq!(room.settled().await.malformed, 1);
}

#[tokio::test]
async fn encryption_is_refused_and_the_client_goes_on_without() {
    let room = Room::with_server(b"Z\0\0\0\x05I".to_vec()).await;
    let mut client = room.connect().await;
    for request in [b"\0\0\0\x08\x04\xd2\x16\x30", b"\0\0\0\x08\x04\xd2\x16\x2f"] {
        client.write_all(request).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'N');
    }
    client.write_all(STARTUP).await.unwrap();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).await.unwrap();
    let counters = room.proxy.counters();
    assert_eq!((counters.refused, counters.malformed, counters.connections), (2, 0, 1));
    assert_eq!((counters.bytes_up, counters.bytes_down), (32, 8));
    assert_eq!((counters.messages_up, counters.messages_down), (3, 3));
}

#[tokio::test]
async fn a_message_that_does_not_end_is_truncated() {
    let room = Room::with_server(b"Z\0\0\0\x05ID\0".to_vec()).await;
    room.ask(&[STARTUP, b"Q\0\0\0\x20SELECT"].concat(), true).await;
    let counters = room.settled().await;
    // The client's; the server's too, if it was read before the proxy hung up.
    assert!((1..=2).contains(&counters.truncated), "{counters:?}");
    assert_eq!((counters.malformed, counters.statements), (0, 0));
    room.ask(b"\0\0", true).await;
    assert_eq!(room.settled().await.truncated, counters.truncated + 1);
}

#[tokio::test]
async fn without_a_server_clients_are_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let room = Room::before(folder, &nowhere).await;
    assert_eq!(room.ask(STARTUP, false).await, b"");
    assert_eq!(room.settled().await.connections, 1);
}

#[rstest]
#[case::committed(b"C\0\0\0\x0bCOMMIT\0", b"")]
#[case::not_committed(b"C\0\0\0\x0dSELECT 1\0", b"C\0\0\0\x0dSELECT 1\0")]
#[case::long(b"C\0\x01\0\0COMMIT\0", b"C\0\x01\0\0COMMIT\0")]
#[tokio::test]
async fn an_answer_in_pieces_is_cut_off_whole_or_passed_on_whole(#[case] answer: &[u8], #[case] expected: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("upstream");
    let listener = UnixListener::bind(&socket).unwrap();
    let room = Room::before(folder, &socket).await;
    for latency in [None, Some((Duration::from_millis(5), Duration::ZERO))] {
        room.proxy.faults().latency(latency);
        room.proxy.faults().cut(Some(CutAt::AfterCommit));
        let mut client = room.connect().await;
        client.write_all(STARTUP).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"Z\0\0\0\x05I").await.unwrap();
        client.read_exact(&mut [0; 6]).await.unwrap();
        for byte in answer {
            server.write_all(&[*byte]).await.unwrap();
            room.settled().await;
        }
        drop(server);
        let mut rest = Vec::new();
        let _ = timeout(DEADLINE, client.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, expected);
    }
}

#[tokio::test]
async fn silent_clients_keep_nobody_waiting() {
    let room = Room::with_server(b"Z\0\0\0\x05I".to_vec()).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(room.connect().await);
    }
    assert_eq!(room.ask(STARTUP, true).await, b"Z\0\0\0\x05I");
    assert_eq!(room.settled().await.connections, 1);
}

#[tokio::test]
async fn a_dropped_proxy_has_closed_everything() {
    let room = Room::with_server(b"Z\0\0\0\x05I".to_vec()).await;
    let mut client = room.connect().await;
    client.write_all(STARTUP).await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    let socket = room.proxy.host().join(".s.PGSQL.5432");
    drop(room.proxy);
    assert!(!socket.exists());
    assert_eq!(timeout(DEADLINE, client.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert!(UnixStream::connect(&socket).await.is_err());
    drop(room.folder);
}

#[tokio::test]
async fn a_finished_proxy_has_counted_everything() {
    let room = Room::with_server(b"Z\0\0\0\x05I".to_vec()).await;
    let mut client = room.connect().await;
    client.write_all(STARTUP).await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    client.write_all(b"Q\0\0\0\x0dUPDATE t\0").await.unwrap();
    let counters = room.proxy.finish().await;
    let shape = dj_regress::proxy::shape("UPDATE t");
    assert_eq!((counters.bytes_up, counters.statements, counters.seen[&shape].unanswered), (30, 0, 1));
}

#[tokio::test]
async fn an_address_too_long_for_a_socket_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap().path().join("x".repeat(100));
    let error =
        PostgresProxy::start(Endpoint::Unix("/nowhere".into()), ServerClock::Machine(TimeAsked::default()), &folder)
            .await
            .unwrap_err();
    assert!(error.message.contains("bytes, at most 107"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_both_sides_say_the_connection_ends_with_them(
        starts in any::<bool>(),
        client in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), prop::sample::select(b"QPBDESXdcf\x04\x05".to_vec())], 0..300),
        server in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), prop::sample::select(b"CZEG12T\x04\x05".to_vec())], 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let room = Room::with_server(server).await;
            let start = if starts { STARTUP } else { b"" };
            room.ask(&[start, &client].concat(), true).await;
            let _ = room.settled().await;
        });
    }
}
