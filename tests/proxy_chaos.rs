//! Faults in any order, and bytes that are no protocol: nothing hangs, nothing is lost that was not taken.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dj_regress::case::CutAt;
use dj_regress::proxy::{Endpoint, RedisClock, TimeAsked};
use dj_regress::proxy::{Faults, RedisProxy};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(30);

/// A proxy before a server that sends everything back, and ends when its client does.
struct Room {
    _folder: TempDir,
    proxy: RedisProxy,
    /// Connections that the server has.
    open: Arc<AtomicUsize>,
}

impl Room {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("upstream");
        let listener = UnixListener::bind(&socket).unwrap();
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let open = Arc::clone(&counted);
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let (mut reads, mut writes) = stream.split();
                    let _ = tokio::io::copy(&mut reads, &mut writes).await;
                    drop(stream);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        let proxy = RedisProxy::start(
            Endpoint::Unix(socket),
            Vec::new(),
            RedisClock::Machine(TimeAsked::default()),
            &folder.path().join("wire"),
        )
        .await
        .unwrap();
        Self { _folder: folder, proxy, open }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.proxy.socket()).await.unwrap()
    }

    /// Waits until the server has no connection any more.
    async fn is_left_by_all(&self) {
        let start = Instant::now();
        while self.open.load(Ordering::SeqCst) > 0 {
            assert!(start.elapsed() < DEADLINE, "a connection is left");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Sends bytes in pieces and reads what comes back, until the other side ends.
async fn talk(stream: UnixStream, bytes: Vec<u8>, piece: usize) -> (usize, Vec<u8>) {
    let (mut reads, mut writes) = stream.into_split();
    let writing = async {
        let mut written = 0;
        for piece in bytes.chunks(piece) {
            if writes.write_all(piece).await.is_err() {
                break;
            }
            written += piece.len();
            tokio::task::yield_now().await;
        }
        let _ = writes.shutdown().await;
        written
    };
    let mut answer = Vec::new();
    let (written, _) = tokio::join!(writing, reads.read_to_end(&mut answer));
    (written, answer)
}

fn bytes(random: &mut TestRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

/// Sets or undoes something that takes no byte away.
fn disturb(faults: &Faults, random: &mut TestRng) {
    let milliseconds = |random: &mut TestRng| Duration::from_millis(random.next_u64() % 4);
    match random.next_u32() % 7 {
        0 | 1 => faults.latency(Some((milliseconds(random), milliseconds(random)))),
        2 => faults.latency(None),
        3 => faults.bandwidth(Some(2_000_000 + random.next_u64() % 20_000_000)),
        4 => faults.bandwidth(None),
        5 => faults.partition(true),
        _ => faults.partition(false),
    }
}

/// Takes something away.
fn hurt(faults: &Faults, random: &mut TestRng) {
    match random.next_u32() % 8 {
        0 => drop(faults.reset()),
        1 => faults.black_hole(true),
        2 => faults.black_hole(false),
        3 => faults.refuse(random.next_u32().is_multiple_of(2)),
        4 => faults.cut(Some(CutAt::AfterBytes(random.next_u64() % 100_000))),
        5 => faults.cut(Some(CutAt::AfterStatements(random.next_u64() % 5))),
        6 => faults.cut(Some(CutAt::AfterCommit)),
        _ => faults.cut(Some(CutAt::BeforeCommit)),
    }
}

fn undo(faults: &Faults) {
    faults.latency(None);
    faults.bandwidth(None);
    faults.partition(false);
    faults.black_hole(false);
    faults.refuse(false);
    faults.cut(None);
}

async fn disturb_for_a_while(faults: &Faults, random: &mut TestRng, hurts: bool) {
    for _ in 0..40 {
        if hurts && random.next_u32().is_multiple_of(3) {
            hurt(faults, random);
        } else {
            disturb(faults, random);
        }
        sleep(Duration::from_millis(random.next_u64() % 4)).await;
    }
    undo(faults);
}

fn seeded(seed: u8) -> TestRng {
    TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &[seed; 32])
}

#[tokio::test]
async fn what_takes_no_byte_away_leaves_every_byte_in_its_place() {
    for seed in 0..8 {
        let (mut random, room) = (seeded(seed), Room::new().await);
        let mut talks = JoinSet::new();
        let mut sum = 0;
        for piece in [1, 100, 70_000] {
            let said = bytes(&mut random, (piece * 400).min(2_000_000));
            sum += said.len() as u64;
            let stream = room.connect().await;
            talks.spawn(async move {
                let (written, answer) = talk(stream, said.clone(), piece).await;
                (written == said.len(), answer == said)
            });
        }
        disturb_for_a_while(room.proxy.faults(), &mut random, false).await;
        while let Some(talked) = timeout(DEADLINE, talks.join_next()).await.expect("nothing hangs") {
            assert_eq!(talked.unwrap(), (true, true), "seed {seed}");
        }
        room.is_left_by_all().await;
        let counters = room.proxy.finish().await;
        assert_eq!((counters.bytes_up, counters.bytes_down), (sum, sum), "seed {seed}");
    }
}

#[tokio::test]
async fn behind_a_partition_and_a_black_hole_the_server_hears_of_nobody() {
    let room = Room::new().await;
    let faults = room.proxy.faults();
    for (set, comes_through) in [(Faults::partition as fn(&Faults, bool), 1), (Faults::black_hole, 0)] {
        set(faults, true);
        let mut stream = room.connect().await;
        stream.write_all(b"PING\r\n").await.unwrap();
        assert!(timeout(Duration::from_millis(50), stream.read_u8()).await.is_err());
        assert_eq!(room.open.load(Ordering::SeqCst), 0);
        set(faults, false);
        assert_eq!(timeout(DEADLINE, stream.read(&mut [0; 1])).await.unwrap().unwrap_or_default(), comes_through);
        drop(stream);
        room.is_left_by_all().await;
    }
}

#[tokio::test]
async fn whatever_is_taken_away_nothing_hangs_and_all_comes_back() {
    for seed in 0..16 {
        let (mut random, room) = (seeded(seed), Room::new().await);
        let faults = room.proxy.faults().clone();
        let mut talks = JoinSet::new();
        for number in 0..12 {
            let said = match number % 3 {
                0 => bytes(&mut random, 200_000),
                1 => b"MULTI\r\nSET k v\r\nEXEC\r\n".repeat(500),
                _ => b"+OK\r\n*1\r\n:1\r\n".repeat(3000),
            };
            let stream = room.connect().await;
            talks.spawn(async move {
                let (written, answer) = talk(stream, said.clone(), 1 + 997 * number).await;
                (written as u64, answer.len() as u64, said.starts_with(&answer))
            });
            if number % 3 == 2 {
                disturb_for_a_while(&faults, &mut random, true).await;
            }
        }
        let (mut written, mut read) = (0, 0);
        while let Some(talked) = timeout(DEADLINE, talks.join_next()).await.expect("nothing hangs") {
            let (up, down, is_a_beginning) = talked.unwrap();
            assert!(is_a_beginning, "seed {seed}");
            (written, read) = (written + up, read + down);
        }
        let counters = room.proxy.settled().await;
        // A piece that was broken off may have been read in part.
        assert!(counters.bytes_up <= written + 12 * 12_000, "seed {seed}: {counters:?}");
        assert!((read..=counters.bytes_up).contains(&counters.bytes_down), "seed {seed}: {counters:?}");
        // As if nothing had been.
        let said = b"PING\r\n".repeat(1000);
        let stream = room.connect().await;
        assert_eq!(timeout(DEADLINE, talk(stream, said.clone(), 100)).await.unwrap(), (said.len(), said));
        room.is_left_by_all().await;
        assert_eq!(faults.reset(), 0, "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_both_sides_say_is_passed_on(
        said in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"*$+:\r\n\r\n0123|%>-".to_vec())], 0..400),
        piece in 1_usize..100,
        cut in prop::option::of(prop::sample::select(vec![CutAt::AfterCommit, CutAt::AfterStatements(1 << 40)])),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let room = Room::new().await;
            room.proxy.faults().cut(cut);
            let stream = room.connect().await;
            let (written, answer) = timeout(DEADLINE, talk(stream, said.clone(), piece)).await.unwrap();
            assert_eq!((written, &answer), (said.len(), &said));
            let counters = room.proxy.finish().await;
            assert_eq!((counters.bytes_up, counters.bytes_down), (said.len() as u64, said.len() as u64));
        });
    }
}
