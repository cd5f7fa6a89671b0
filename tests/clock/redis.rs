//! Redis and Valkey: keys end by themselves when the clock has moved, and only then.

use std::path::PathBuf;
use std::time::{Duration, Instant, UNIX_EPOCH};

use dj_regress::cache::Cache;
use dj_regress::clock::Clock;
use dj_regress::service::locate::{self, Programs};
use dj_regress::service::supervisor::{Spawn, Supervisor};
use dj_regress_protocol::clock::Pace;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use rstest::rstest;

use crate::common::{DEADLINE, eventually};
use crate::stage::{HOUR, Stage, environment, is_real};
use crate::support::skip;

struct Server {
    stage: Stage,
    supervisor: Supervisor,
    clock: Clock,
    socket: PathBuf,
}

impl Server {
    /// None, loudly, where there is no such server.
    async fn start(programs: Programs, pace: Pace) -> Option<Self> {
        let stage = Stage::new();
        let found = locate::redis(programs, &Cache::open().unwrap());
        let program = found.map_err(|error| skip(&format!("Redis: {error}"))).ok()?.program;
        let (_, supervisor) = stage.room.supervisor().await;
        let (clock, socket) = (stage.clock(pace), stage.room.base().join("redis.sock"));
        let path = socket.display().to_string();
        let options = ["--port", "0", "--save", "", "--unixsocket", &path].map(str::to_owned);
        let command = [vec![program.display().to_string()], options.to_vec()].concat();
        let mut spawn = Spawn::new("redis", command, stage.room.base(), &stage.room.base().join("redis.log"));
        spawn.environment.extend(environment(stage.clocks.quiet(&clock)));
        supervisor.spawn(spawn).await.unwrap();
        eventually("Redis listens", || socket.exists());
        Some(Self { stage, supervisor, clock, socket })
    }

    async fn connect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis+unix://{}", self.socket.display())).unwrap();
        let deadline = Instant::now() + DEADLINE;
        // The library's own limit for an answer is shorter than what is waited for here.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(DEADLINE));
        loop {
            match client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until Redis has seen where the clock is. Valkey reads it once in a millisecond, and goes on from there by the
    /// processor's own counter.
    async fn sees(&self, redis: &mut MultiplexedConnection) {
        let deadline = Instant::now() + DEADLINE;
        while self.behind(redis).await.abs() > 0.05 {
            assert!(Instant::now() < deadline, "Redis does not have the arm's time");
        }
    }

    /// How far Redis' time is behind the arm's, in seconds: of a clock that goes, as long as it took to ask.
    async fn behind(&self, redis: &mut MultiplexedConnection) -> f64 {
        let time: (i64, i64) = cmd("TIME").query_async(redis).await.unwrap();
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap();
        now.as_secs_f64() - (time.0 as f64 + time.1 as f64 / 1e6)
    }

    async fn end(self) {
        self.supervisor.shutdown().await.unwrap();
        drop(self.stage);
    }
}

async fn say(connection: &mut MultiplexedConnection, words: &str) -> Value {
    let mut words = words.split(' ');
    let mut command = cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command.query_async(connection).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn keys_end_by_themselves_when_the_clock_was_moved_and_time_says_so(
    #[values(Programs::Installed, Programs::Wheels)] programs: Programs,
    #[values(Pace::Stands, Pace::Goes)] pace: Pace,
) {
    let Some(server) = Server::start(programs, pace).await else { return };
    let mut redis = server.connect().await;
    say(&mut redis, "SET short v EX 60").await;
    say(&mut redis, "SET long v EX 120").await;
    assert_eq!(say(&mut redis, "DBSIZE").await, Value::Int(2));
    server.clock.advance(Duration::from_secs(61));
    // Nobody asks for a key: Redis looks for what has expired ten times a second.
    let deadline = Instant::now() + DEADLINE;
    while say(&mut redis, "DBSIZE").await != Value::Int(1) {
        assert!(Instant::now() < deadline, "the key is not gone");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(say(&mut redis, "EXISTS short long").await, Value::Int(1));
    let behind = server.behind(&mut redis).await;
    match pace {
        Pace::Stands => assert!(behind.abs() < 0.001, "{behind}"),
        Pace::Goes => assert!((-0.001..20.0).contains(&behind), "{behind}"),
    }
    server.end().await;
}

#[rstest]
#[tokio::test]
async fn blocked_clients_of_an_arm_that_goes_wait_their_real_time(
    #[values(Programs::Installed, Programs::Wheels)] programs: Programs,
) {
    let Some(server) = Server::start(programs, Pace::Goes).await else { return };
    let mut redis = server.connect().await;
    server.clock.advance(HOUR);
    server.sees(&mut redis).await;
    let start = Instant::now();
    assert_eq!(say(&mut redis, "BLPOP nothing 0.3").await, Value::Nil);
    let took = start.elapsed().as_secs_f64();
    assert!(is_real(took, 0.3), "{took}");
    server.end().await;
}

/// Redis measures a blocked client's timeout by the wall clock, and that stands: whoever carries the client's words
/// carries its timeout, too, and tells Redis when it is over.
#[rstest]
#[tokio::test]
async fn a_blocked_client_of_an_arm_that_stands_is_let_go_by_who_measures_its_time_and_no_key_has_aged(
    #[values(Programs::Installed, Programs::Wheels)] programs: Programs,
) {
    let Some(server) = Server::start(programs, Pace::Stands).await else { return };
    let (mut redis, mut other) = tokio::join!(server.connect(), server.connect());
    say(&mut redis, "SET k v PX 100").await;
    let Value::Int(id) = say(&mut redis, "CLIENT ID").await else { panic!("no number") };
    let start = Instant::now();
    let unblock = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        say(&mut other, &format!("CLIENT UNBLOCK {id} TIMEOUT")).await
    };
    let (popped, unblocked) = tokio::join!(say(&mut redis, "BLPOP nothing 0.4"), unblock);
    assert_eq!((popped, unblocked), (Value::Nil, Value::Int(1)));
    assert!(is_real(start.elapsed().as_secs_f64(), 0.4));
    let Value::Int(left) = say(&mut redis, "PTTL k").await else { panic!("no number") };
    assert!((99..=101).contains(&left), "a slow machine ages nothing, yet {left} ms are left");
    server.clock.advance(Duration::from_millis(102));
    server.sees(&mut redis).await;
    assert_eq!(say(&mut redis, "EXISTS k").await, Value::Int(0));
    server.end().await;
}
