//! Postgres, shared by arms: each backend has the clock of the arm that it works for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dj_regress::cache::Cache;
use dj_regress::clock::{Clock, START, ServerClocks};
use dj_regress::service::locate::{self, Programs};
use dj_regress::service::supervisor::{Ending, Exit, Spawn, Supervisor};
use dj_regress_protocol::clock::Pace;
use nix::unistd::{Uid, User, chown};
use rstest::rstest;
use tokio_postgres::{Client, NoTls};

use crate::common::DEADLINE;
use crate::stage::{HOUR, Stage, environment, is_real};
use crate::support::{copy, skip};

/// A server whose backends are told what clock they have.
struct Server {
    stage: Stage,
    supervisor: Supervisor,
    folder: PathBuf,
    clocks: ServerClocks,
}

impl Server {
    /// None, loudly, where there is none that could run here.
    async fn start(programs: Programs) -> Option<Self> {
        let stage = Stage::new();
        let found = locate::postgres(programs, &Cache::open().unwrap());
        let found = found.map_err(|error| skip(&format!("Postgres: {error}"))).ok()?;
        // Postgres does not run as root.
        let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap());
        let user = user.filter(|_| Uid::effective().is_root());
        let programs = match &found.movable {
            // It may not enter the folder of root's cache.
            Some(movable) if user.is_some() => {
                let packages = stage.room.base().join("packages");
                copy(movable, &packages);
                packages.join(found.folder.strip_prefix(movable).unwrap())
            }
            _ => found.folder,
        };
        let (_, supervisor) = stage.room.supervisor().await;
        let folder = stage.room.base().join("postgres");
        fs::create_dir(&folder).unwrap();
        if let Some(user) = &user {
            chown(&folder, Some(user.uid), Some(user.gid)).unwrap();
        }
        let clocks = stage.clocks.server("backends").unwrap();
        let server = Self { stage, supervisor, folder, clocks };
        let user = user.map(|user| (user.uid.as_raw(), user.gid.as_raw()));
        server.launch(&programs, user).await;
        Some(server)
    }

    async fn launch(&self, programs: &Path, user: Option<(u32, u32)>) {
        let (data, log) = (self.folder.join("data").display().to_string(), self.folder.join("log"));
        let program = |name: &str| programs.join(name).display().to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let initdb = [vec![program("initdb")], words(&["-U", "postgres", "-A", "trust", "-N", "-D", &data])].concat();
        let mut spawn = Spawn::new("initdb", initdb, &self.folder, &log).variable("LC_ALL", "C");
        spawn.user = user;
        let pid = self.supervisor.spawn(spawn.clone()).await.unwrap();
        assert_eq!(self.supervisor.exited(pid).await.unwrap(), Exit::Code(0), "{}", fs::read_to_string(&log).unwrap());
        let socket = self.folder.display().to_string();
        let settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "deadlock_timeout=100ms", "-k", &socket];
        spawn.command = [vec![program("postgres")], words(&["-D", &data]), words(&settings)].concat();
        spawn.environment.extend(environment(self.stage.clocks.of_server(&self.clocks)));
        spawn.ending = Ending::Quit;
        self.supervisor.spawn(spawn).await.unwrap();
        let deadline = Instant::now() + DEADLINE;
        while self.connect().await.is_err() {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(&log).unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.folder).user("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A connection of this clock's arm.
    async fn connect_of(&self, clock: &Clock) -> Client {
        let client = self.connect().await.unwrap();
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        self.clocks.give(pid.unsigned_abs(), clock);
        client
    }

    async fn end(self) {
        self.supervisor.shutdown().await.unwrap();
    }
}

/// `now()` and `clock_timestamp()`, in seconds since the epoch.
async fn times(client: &Client) -> [f64; 2] {
    let sql = "SELECT extract(epoch FROM now())::float8, extract(epoch FROM clock_timestamp())::float8";
    let row = client.query_one(sql, &[]).await.unwrap();
    [row.get(0), row.get(1)]
}

/// Plays a statement; the seconds that it really took, and whether it went well.
async fn timed(client: &Client, sql: &str) -> (f64, Result<(), String>) {
    let start = Instant::now();
    let result = tokio::time::timeout(DEADLINE, client.batch_execute(sql)).await.expect("it takes for ever");
    let result = result.map_err(|error| format!("{:?}", error.code()));
    (start.elapsed().as_secs_f64(), result)
}

#[rstest]
#[tokio::test]
async fn backends_of_one_server_have_the_clocks_of_their_arms_at_the_same_time(
    #[values(Programs::Installed, Programs::Wheels)] programs: Programs,
) {
    let Some(server) = Server::start(programs).await else { return };
    let (one, two) = (server.stage.clock(Pace::Stands), server.stage.clock(Pace::Stands));
    let going = server.stage.clock(Pace::Goes);
    let (a, b, c) = tokio::join!(server.connect_of(&one), server.connect_of(&two), server.connect_of(&going));
    let own = server.connect().await.unwrap();
    let start = START.as_secs_f64();
    let (mut last_a, mut last_b) = (0.0, 0.0);
    for number in 1..=1000_u32 {
        one.advance(Duration::from_secs(1));
        two.advance(HOUR);
        let (a, b) = tokio::join!(times(&a), times(&b));
        let (expected_a, expected_b) = (start + f64::from(number), start + f64::from(number) * 3600.0);
        for (times, expected, last) in [(a, expected_a, &mut last_a), (b, expected_b, &mut last_b)] {
            for time in times {
                // A microsecond for every time that anyone of the arm has looked.
                assert!((expected..expected + 0.1).contains(&time), "{time} for {expected}");
                assert!(time > *last, "{time} after {last}");
                *last = time;
            }
        }
    }
    going.advance(HOUR);
    let ([now, clock], [machine, _]) = tokio::join!(times(&c), times(&own));
    assert!((start + 3600.0..start + 3660.0).contains(&now) && clock >= now, "{now} {clock}");
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((machine - real).abs() < 30.0, "a process of no arm has {machine}, the machine {real}");
    server.end().await;
}

#[tokio::test]
async fn a_backend_that_is_taken_away_or_given_another_clock_has_that_one() {
    let Some(server) = Server::start(Programs::Auto).await else { return };
    let (one, two) = (server.stage.clock(Pace::Stands), server.stage.clock(Pace::Stands));
    two.advance(HOUR);
    let client = server.connect_of(&one).await;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let start = START.as_secs_f64();
    assert!((start..start + 1.0).contains(&times(&client).await[0]));
    server.clocks.give(pid.unsigned_abs(), &two);
    assert!((start + 3600.0..start + 3601.0).contains(&times(&client).await[0]));
    server.clocks.take(pid.unsigned_abs(), &two);
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((times(&client).await[0] - real).abs() < 30.0);
    server.end().await;
}

#[rstest]
#[tokio::test]
async fn timeouts_and_sleeps_of_postgres_are_real(
    #[values(Programs::Installed, Programs::Wheels)] programs: Programs,
    #[values(Pace::Stands, Pace::Goes)] pace: Pace,
) {
    let Some(server) = Server::start(programs).await else { return };
    let clock = server.stage.clock(pace);
    let clients: Vec<Client> = {
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(server.connect_of(&clock).await);
        }
        clients
    };
    clock.advance(HOUR);
    let holder = &clients[0];
    holder.batch_execute("CREATE TABLE held ()").await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE held").await.unwrap();
    let cancelled = format!("{:?}", Some(tokio_postgres::error::SqlState::QUERY_CANCELED));
    let lock = format!("{:?}", Some(tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE));
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000)";
    let limit = "SET statement_timeout = '400ms'";
    for client in [&clients[2], &clients[3]] {
        client.batch_execute(limit).await.unwrap();
    }
    clients[4].batch_execute("SET lock_timeout = '400ms'").await.unwrap();
    let idle = async {
        clients[5].batch_execute("SET idle_in_transaction_session_timeout = '400ms'; BEGIN").await.unwrap();
        let start = Instant::now();
        while !clients[5].is_closed() {
            assert!(start.elapsed() < DEADLINE, "the idle transaction is left alone");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        start.elapsed().as_secs_f64()
    };
    let (sleep, waiting, working, locking, idle) = tokio::join!(
        timed(&clients[1], "SELECT pg_sleep(0.4)"),
        timed(&clients[2], "SELECT pg_sleep(60)"),
        timed(&clients[3], endless),
        timed(&clients[4], "SELECT FROM held"),
        idle,
    );
    for (name, (took, result), expected) in [
        ("pg_sleep", sleep, Ok(())),
        ("a statement that sleeps", waiting, Err(cancelled.clone())),
        ("a statement that works", working, Err(cancelled)),
        ("a statement that waits for a lock", locking, Err(lock)),
    ] {
        assert_eq!(result, expected, "{name}");
        assert!(is_real(took, 0.4), "{name}: {took} s");
    }
    assert!(is_real(idle, 0.39), "an idle transaction: {idle} s");
    server.end().await;
}

#[tokio::test]
async fn the_time_of_a_standing_arm_passes_only_where_a_statement_waits_for_it() {
    let Some(server) = Server::start(Programs::Auto).await else { return };
    let clock = server.stage.clock(Pace::Stands);
    let client = server.connect_of(&clock).await;
    let elapsed = async |from: &str| -> f64 {
        let sql = format!("SELECT extract(epoch FROM clock_timestamp() - now())::float8 FROM {from}");
        client.query_one(&sql, &[]).await.unwrap().get(0)
    };
    let start = Instant::now();
    let work = elapsed("(SELECT count(*) FROM generate_series(1, 500000)) AS work").await;
    assert!(work < 0.001, "{work} s have passed in {:?} of work", start.elapsed());
    let sleep = elapsed("pg_sleep(0.2)").await;
    assert!(is_real(sleep, 0.2), "{sleep}");
    // What was waited for is over: it is the arm's time again.
    let now = times(&client).await[0] - START.as_secs_f64();
    assert!((0.0..0.1).contains(&now), "{now}");
    server.end().await;
}

#[tokio::test]
async fn a_timer_of_the_statement_before_cancels_nothing() {
    let Some(server) = Server::start(Programs::Auto).await else { return };
    let clock = server.stage.clock(Pace::Stands);
    let (client, holder) = tokio::join!(server.connect_of(&clock), server.connect_of(&clock));
    holder.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    // Or its timer for deadlocks would be the next.
    client.batch_execute("SET statement_timeout = '400ms'; SET deadlock_timeout = '10s'").await.unwrap();
    let wait = || tokio::time::sleep(Duration::from_millis(300));
    // Postgres sets a timer for this one, leaves it running, and does not set it anew for the next.
    client.batch_execute("SELECT 1").await.unwrap();
    wait().await;
    let release = async {
        wait().await;
        holder.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    };
    let ((took, result), ()) = tokio::join!(timed(&client, "SELECT pg_advisory_lock(1)"), release);
    assert_eq!(result, Ok(()), "{took}");
    // Its own is as long as ever.
    holder.batch_execute("SELECT pg_advisory_lock(2)").await.unwrap();
    let (took, result) = timed(&client, "SELECT pg_advisory_lock(2)").await;
    assert!(result.is_err() && is_real(took, 0.4), "{took}");
    server.end().await;
}
