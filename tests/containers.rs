//! Containers: their life, what they can reach, what they leave, and what their images promise.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dj_regress::service::docker::postgres::{self, Postgres};
use dj_regress::service::docker::redis::{self, Redis};
use dj_regress::service::docker::{Container, Daemon, Labelled, Owner, Spec, socket_folder};
use dj_regress::service::postgres::SUPERUSER;
use support::{DEADLINE, skip};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// A daemon with our images, and an owner and a folder of this test alone.
struct Room {
    daemon: Daemon,
    owner: Owner,
    folder: TempDir,
    postgres: String,
    redis: String,
}

impl Room {
    /// None, loudly, where there is no daemon or no image.
    async fn find() -> Option<Self> {
        static ROOMS: AtomicU32 = AtomicU32::new(0);
        let daemon = match Daemon::connect().await {
            Ok(daemon) => daemon,
            Err(error) => {
                skip(&format!("containers: {error}"));
                return None;
            }
        };
        let (postgres, redis) = (newest(&daemon, "postgres").await?, newest(&daemon, "redis").await?);
        let run = format!("test-{}-{}", std::process::id(), ROOMS.fetch_add(1, Ordering::Relaxed));
        let owner = Owner { token: format!("token of {run}"), run };
        let folder = tempfile::Builder::new().prefix("djt-").tempdir_in("/tmp").unwrap();
        Some(Self { daemon, owner, folder, postgres, redis })
    }

    async fn start_postgres(&self, settings: &[(&str, &str)]) -> dj_regress::error::Result<Postgres> {
        self.start_postgres_of(&self.postgres, settings).await
    }

    async fn start_postgres_of(&self, image: &str, settings: &[(&str, &str)]) -> dj_regress::error::Result<Postgres> {
        let folder = socket_folder(self.folder.path(), "postgres").unwrap();
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let wanted =
            postgres::Wanted { owner: &self.owner, image, folder: &folder, superuser: SUPERUSER, settings: &settings };
        Postgres::start(&self.daemon, wanted).await
    }

    async fn start_redis(&self) -> Redis {
        let folder = socket_folder(self.folder.path(), "redis").unwrap();
        let wanted = redis::Wanted {
            owner: &self.owner,
            image: &self.redis,
            folder: &folder,
            maxmemory: Some(5_000_000),
            policy: Some("allkeys-lru"),
        };
        Redis::start(&self.daemon, wanted).await.unwrap()
    }

    /// Runs a shell command in a container.
    async fn shell(&self, owner: &Owner, script: &str) -> Container {
        let arguments = ["sh", "-c", script].map(str::to_owned).into();
        self.daemon.run(Spec { arguments, ..Spec::new("shell", owner, &self.redis) }).await.unwrap()
    }

    async fn containers(&self) -> Vec<String> {
        let ours = self.daemon.labelled().await.unwrap().into_iter().filter(|found| found.owner.run == self.owner.run);
        ours.map(|found: Labelled| found.name).collect()
    }
}

impl Drop for Room {
    /// What a test that failed has left.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let label = format!("label=dj-regress.run={}", self.owner.run);
            for container in docker(&["ps", "-a", "-q", "--filter", &label]).split_whitespace() {
                docker(&["rm", "-f", "-v", container]);
            }
        }
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn connect(folder: &Path, user: &str, database: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    let (client, connection) = config.host_path(folder).user(user).dbname(database).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn client(postgres: &Postgres) -> Client {
    connect(postgres.socket_directory(), SUPERUSER, "postgres").await
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

async fn ask(redis: &Redis, words: &[&str]) -> Vec<String> {
    let url = format!("redis+unix://{}", redis.socket().display());
    let mut connection = ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = ::redis::cmd(words[0]);
    let value: ::redis::Value = command.arg(&words[1..]).query_async(&mut connection).await.unwrap();
    match value {
        ::redis::Value::Array(values) => {
            values.into_iter().map(|value| ::redis::from_redis_value(value).unwrap()).collect()
        }
        value => vec![::redis::from_redis_value(value).unwrap()],
    }
}

/// Waits until a container has ended; its exit code.
async fn ended(container: &Container) -> i64 {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(code) = container.exited().await.unwrap() {
            return code;
        }
        assert!(Instant::now() < deadline, "{} goes on", container.name());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_killed_postgres_recovers_on_the_same_socket() {
    let Some(room) = Room::find().await else { return };
    let postgres = room.start_postgres(&[("synchronous_commit", "on")]).await.unwrap();
    let socket = postgres.socket_directory().join(".s.PGSQL.5432");
    assert!(socket.exists());
    let before = client(&postgres).await;
    before.batch_execute("CREATE TABLE fruit (name text); INSERT INTO fruit VALUES ('apple')").await.unwrap();
    let pid = postgres.container().pid().await.unwrap().unwrap();

    postgres.container().kill().await.unwrap();
    assert_eq!(postgres.container().exited().await.unwrap(), Some(137));
    assert_eq!(postgres.container().pid().await.unwrap(), None);
    assert!(before.simple_query("SELECT 1").await.is_err());
    assert!(tokio::net::UnixStream::connect(&socket).await.is_err());

    postgres.container().start().await.unwrap();
    postgres.wait_until_ready().await.unwrap();
    assert_eq!(text(&client(&postgres).await, "SELECT name FROM fruit").await, "apple");
    assert_ne!(postgres.container().pid().await.unwrap().unwrap(), pid);
    let log = postgres.container().logs(100).await.unwrap();
    assert!(log.contains("database system was not properly shut down; automatic recovery in progress"), "{log}");

    postgres.container().stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(postgres.container().exited().await.unwrap(), Some(0), "an ordered shutdown");
    postgres.remove().await.unwrap();
    assert!(room.containers().await.is_empty());
}

#[tokio::test]
async fn settings_of_the_case_reach_postgres_and_where_it_listens_is_not_theirs() {
    let Some(room) = Room::find().await else { return };
    let settings = [
        ("shared_preload_libraries", "pg_stat_statements"),
        ("wal_writer_delay", "7s"),
        ("unix_socket_directories", "/nowhere"),
        ("unix_socket_permissions", "0700"),
        ("listen_addresses", ""),
    ];
    let postgres = room.start_postgres(&settings).await.unwrap();
    let client = client(&postgres).await;
    assert_eq!(text(&client, "SHOW wal_writer_delay").await, "7s");
    assert_eq!(text(&client, "SHOW unix_socket_permissions").await, "0777", "or only root could connect");
    client.batch_execute("CREATE EXTENSION pg_stat_statements; SELECT * FROM pg_stat_statements").await.unwrap();
    assert_eq!(text(&client, "SHOW lc_collate").await, "C");
    assert_eq!(text(&client, "SHOW timezone").await, "UTC");
    postgres.remove().await.unwrap();
}

#[tokio::test]
async fn a_postgres_that_does_not_come_up_says_why_and_leaves_nothing() {
    let Some(room) = Room::find().await else { return };
    let error = room.start_postgres(&[("wal_level", "strange")]).await.unwrap_err().to_string();
    assert!(error.contains("ended at its start with exit code 1"), "{error}");
    assert!(error.contains("invalid value for parameter \"wal_level\": \"strange\""), "{error}");
    assert!(room.containers().await.is_empty());
}

#[tokio::test]
async fn a_paused_postgres_answers_only_when_it_goes_on() {
    let Some(room) = Room::find().await else { return };
    let postgres = room.start_postgres(&[]).await.unwrap();
    let client = client(&postgres).await;
    postgres.container().pause().await.unwrap();
    assert_eq!(postgres.container().exited().await.unwrap(), None);
    let query = client.simple_query("SELECT 1");
    tokio::pin!(query);
    assert!(timeout(Duration::from_millis(200), &mut query).await.is_err());
    postgres.container().unpause().await.unwrap();
    timeout(DEADLINE, query).await.unwrap().unwrap();

    postgres.container().pause().await.unwrap();
    postgres.remove().await.unwrap();
    assert!(room.containers().await.is_empty(), "a paused one can be removed, too");
}

#[tokio::test]
async fn a_killed_redis_comes_back_empty_with_its_limits() {
    let Some(room) = Room::find().await else { return };
    let redis = room.start_redis().await;
    assert_eq!(ask(&redis, &["CONFIG", "GET", "maxmemory"]).await, ["maxmemory", "5000000"]);
    assert_eq!(ask(&redis, &["SET", "fruit", "apple"]).await, ["OK"]);
    redis.container().kill().await.unwrap();
    redis.container().start().await.unwrap();
    redis.wait_until_ready().await.unwrap();
    assert_eq!(ask(&redis, &["EXISTS", "fruit"]).await, ["0"]);
    assert_eq!(ask(&redis, &["CONFIG", "GET", "maxmemory-policy"]).await, ["maxmemory-policy", "allkeys-lru"]);
    redis.remove().await.unwrap();
    assert!(room.containers().await.is_empty());
}

#[tokio::test]
async fn only_containers_with_both_labels_are_removed() {
    let Some(room) = Room::find().await else { return };
    let other_token = Owner { token: "another".to_owned(), ..room.owner.clone() };
    let other_run = Owner { run: format!("{}-other", room.owner.run), ..room.owner.clone() };
    let [_ours, theirs, elsewhere] = [
        room.shell(&room.owner, "sleep 60").await,
        room.shell(&other_token, "sleep 60").await,
        room.shell(&other_run, "true").await,
    ];
    let label = format!("dj-regress.run={}", room.owner.run);
    let stranger = docker(&["run", "-d", "--network", "none", "--label", &label, &room.redis, "sleep", "60"]);

    let removed = room.daemon.remove_labelled(&room.owner).await.unwrap();
    assert_eq!(removed, [format!("dj-regress-{}-shell-0", room.owner.run)]);
    assert_eq!(room.containers().await, [theirs.name()]);
    for container in [theirs.id(), elsewhere.id(), &stranger] {
        docker(&["container", "inspect", container]);
    }
    assert!(room.daemon.remove_labelled(&room.owner).await.unwrap().is_empty());

    docker(&["rm", "-f", "-v", &stranger]);
    theirs.remove().await.unwrap();
    assert_eq!(room.daemon.remove_labelled(&other_run).await.unwrap().len(), 1, "one that has ended, too");
}

#[tokio::test]
async fn a_container_has_no_volume_and_no_network() {
    let Some(room) = Room::find().await else { return };
    let postgres = room.start_postgres(&[]).await.unwrap();
    let redis = room.start_redis().await;
    for container in [postgres.container(), redis.container()] {
        let mounts = docker(&["inspect", "-f", "{{range .Mounts}}{{.Type}} {{end}}", container.id()]);
        assert!(mounts.contains("bind") && mounts.contains("tmpfs") && !mounts.contains("volume"), "{mounts}");
        let network =
            docker(&["inspect", "-f", "{{.HostConfig.NetworkMode}} {{.NetworkSettings.Ports}}", container.id()]);
        assert_eq!(network, "none map[]");
    }
    postgres.remove().await.unwrap();
    redis.remove().await.unwrap();
}

#[tokio::test]
async fn nothing_can_be_reached_from_inside() {
    let Some(room) = Room::find().await else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let script = format!(
        "ls /sys/class/net | grep -vx -e lo -e tunl0 -e sit0 -e ip6tnl0 -e bonding_masters
        tail -n +2 /proc/net/route
        nc -w 2 127.0.0.1 {port} </dev/null && echo connected
        echo done"
    );
    let container = room.shell(&room.owner, &script).await;
    ended(&container).await;
    let said = container.logs(100).await.unwrap();
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("Connection refused")).collect();
    assert_eq!(said, ["done"], "no interface but the loopback, no route, and its loopback is not this machine's");
    container.remove().await.unwrap();
}

#[tokio::test]
async fn a_start_that_is_interrupted_leaves_nothing_that_its_labels_do_not_find() {
    let Some(room) = Room::find().await else { return };
    for milliseconds in [1, 10, 30, 60, 100, 150, 250] {
        let begun = Instant::now();
        let arguments = ["sleep", "60"].map(str::to_owned).into();
        let run = room.daemon.run(Spec { arguments, ..Spec::new("cut", &room.owner, &room.redis) });
        let _ = timeout(Duration::from_millis(milliseconds), run).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "it hung for {:?}", begun.elapsed());
    }
    // What the daemon was making when we left comes up a little later.
    let deadline = Instant::now() + DEADLINE;
    let mut quiet = 0;
    while quiet < 10 {
        assert!(Instant::now() < deadline, "containers keep coming");
        quiet = if room.daemon.remove_labelled(&room.owner).await.unwrap().is_empty() { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let name = format!("name=dj-regress-{}-", room.owner.run);
    assert_eq!(docker(&["ps", "-a", "-q", "--filter", &name]), "");
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_named_with_what_to_do() {
    let Some(room) = Room::find().await else { return };
    // Nobody listens on port 1 of this machine.
    let image = "127.0.0.1:1/nobody/nothing:1";
    assert!(!room.daemon.has_image(image).await.unwrap());
    room.daemon.pull(&room.redis).await.expect("what is there is not pulled");
    let error = room.daemon.pull(image).await.unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("the image {image} is not there and cannot be pulled: ")),
        "{error}"
    );
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_folder_that_the_daemon_does_not_see_is_told_as_such() {
    let Some(room) = Room::find().await else { return };
    let folders = vec![(room.folder.path().join("nowhere"), "/there".to_owned())];
    let spec = Spec { folders, ..Spec::new("shell", &room.owner, &room.redis) };
    let error = room.daemon.run(spec).await.unwrap_err();
    assert!(error.to_string().contains("does not share this machine's files"), "{error}");
    assert!(room.containers().await.is_empty());
}

#[tokio::test]
async fn a_data_directory_that_was_moved_is_covered_too() {
    let Some(room) = Room::find().await else { return };
    // As the official image of Postgres 18 has it.
    let image = format!("dj-regress/moved:{}", room.owner.run);
    let parent = docker(&["create", "--network", "none", &room.postgres]);
    let (volume, pgdata) = ("VOLUME /var/lib/postgresql", "ENV PGDATA=/var/lib/postgresql/18/docker");
    docker(&["commit", "-c", volume, "-c", pgdata, &parent, &image]);
    docker(&["rm", "-v", &parent]);
    let postgres = room.start_postgres_of(&image, &[]).await.unwrap();
    assert_eq!(text(&client(&postgres).await, "SELECT 'it answers'").await, "it answers");
    let log = postgres.container().logs(100).await.unwrap();
    assert!(
        log.contains("database system was shut down at"),
        "what is kept was ended in order, and when it was whole: {log}"
    );
    let mounts = docker(&["inspect", "-f", "{{range .Mounts}}{{.Type}} {{end}}", postgres.container().id()]);
    assert!(!mounts.contains("volume"), "{mounts}");
    postgres.container().kill().await.unwrap();
    postgres.container().start().await.unwrap();
    postgres.wait_until_ready().await.unwrap();
    postgres.remove().await.unwrap();

    let label = format!("label=dj-regress.made={image}");
    let made = docker(&["image", "ls", "--filter", &label, "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(room.daemon.made_images().await.unwrap().contains(&made), "what was initialised is kept, once: {made}");
    room.daemon.remove_made_image(&made).await.unwrap();
    assert!(room.daemon.remove_made_image(&image).await.is_err(), "it is none of ours");
    docker(&["image", "rm", &image]);
}

#[tokio::test]
async fn the_postgres_image_wants_a_password_or_trust() {
    let Some(room) = Room::find().await else { return };
    let container = room.daemon.run(Spec::new("bare", &room.owner, &room.postgres)).await.unwrap();
    assert_eq!(ended(&container).await, 1);
    let log = container.logs(100).await.unwrap();
    assert!(log.contains("superuser password is not specified"), "{log}");
    container.remove().await.unwrap();
}

#[tokio::test]
async fn the_postgres_image_makes_the_user_and_database_that_it_is_told_and_plays_scripts() {
    let Some(room) = Room::find().await else { return };
    let folder = socket_folder(room.folder.path(), "contract").unwrap();
    let scripts = room.folder.path().join("scripts");
    std::fs::create_dir(&scripts).unwrap();
    std::fs::write(scripts.join("1.sql"), "CREATE TABLE fruit (name text);").unwrap();
    let insert = "psql -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\" -c \"INSERT INTO fruit VALUES ('pear')\"";
    std::fs::write(scripts.join("2.sh"), insert).unwrap();
    for path in [room.folder.path(), &scripts] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let environment =
        [("POSTGRES_USER", "ann"), ("POSTGRES_PASSWORD", "secret"), ("POSTGRES_DB", "orchard"), ("TZ", "UTC")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let sockets = "unix_socket_directories=/var/run/postgresql,/shared";
    let spec = Spec {
        environment,
        arguments: ["-c", sockets, "-c", "listen_addresses=127.0.0.1"].map(str::to_owned).into(),
        folders: vec![(folder.clone(), "/shared".into()), (scripts, "/docker-entrypoint-initdb.d".into())],
        ..Spec::new("contract", &room.owner, &room.postgres)
    };
    let container = room.daemon.run(spec).await.unwrap();
    let ready = "ready to accept connections";
    let deadline = Instant::now() + DEADLINE;
    let log = loop {
        let log = container.logs(200).await.unwrap();
        if log.split("init process complete; ready for start up").nth(1).is_some_and(|last| last.contains(ready)) {
            break log;
        }
        assert!(Instant::now() < deadline, "{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(log.matches(ready).count(), 2, "once while it is initialised, once in earnest: {log}");
    let client = connect(&folder, "ann", "orchard").await;
    assert_eq!(text(&client, "SELECT name FROM fruit").await, "pear");
    assert_eq!(text(&client, "SELECT left(rolpassword, 6) FROM pg_authid WHERE rolname = 'ann'").await, "SCRAM-");
    let outside = "SELECT auth_method FROM pg_hba_file_rules WHERE type = 'host' AND address = 'all'";
    assert_eq!(text(&client, outside).await, "scram-sha-256");
    assert_eq!(text(&client, "SHOW data_directory").await, "/var/lib/postgresql/data");
    container.remove().await.unwrap();
}

/// The newest of our images of this name.
async fn newest(daemon: &Daemon, name: &str) -> Option<String> {
    for major in (1..30).rev() {
        let image = format!("dj-regress/{name}:{major}");
        if daemon.has_image(&image).await.unwrap() {
            return Some(image);
        }
    }
    skip(&format!("containers: no image dj-regress/{name}; harness/images/build {name} makes it"));
    None
}

#[tokio::test]
async fn the_nginx_image_serves_pages() {
    let Some(room) = Room::find().await else { return };
    let Some(image) = newest(&room.daemon, "nginx").await else { return };
    // It writes its log after the answer: it is asked to end, and has written when it has.
    let script = "nginx && wget -q -O - http://127.0.0.1/ && nginx -s quit && while pidof nginx; do :; done";
    let arguments = ["sh", "-c", script].map(str::to_owned).into();
    let container = room.daemon.run(Spec { arguments, ..Spec::new("nginx", &room.owner, &image) }).await.unwrap();
    let code = ended(&container).await;
    let log = container.logs(100).await.unwrap();
    assert_eq!(code, 0, "{log}");
    assert!(log.lines().any(|line| line == "nginx") && log.contains("GET / HTTP/1.1"), "{log}");
    container.remove().await.unwrap();
}

#[tokio::test]
async fn the_pgbouncer_image_passes_on_to_postgres() {
    let Some(room) = Room::find().await else { return };
    let Some(image) = newest(&room.daemon, "pgbouncer").await else { return };
    let postgres = room.start_postgres(&[]).await.unwrap();
    let folder = socket_folder(room.folder.path(), "pgbouncer").unwrap();
    let settings = "[databases]\n* = host=/upstream port=5432 user=dj_regress\n[pgbouncer]\nunix_socket_dir = /shared\n\
        auth_type = any\npool_mode = transaction\nignore_startup_parameters = extra_float_digits\n";
    let configuration = room.folder.path().join("configuration");
    std::fs::create_dir(&configuration).unwrap();
    std::fs::write(configuration.join("pgbouncer.ini"), settings).unwrap();
    let upstream = postgres.socket_directory().to_owned();
    let folders = [(upstream, "/upstream"), (folder.clone(), "/shared"), (configuration, "/etc/pgbouncer")];
    let folders = folders.map(|(here, there)| (here, there.to_owned())).into();
    let container = room.daemon.run(Spec { folders, ..Spec::new("pgbouncer", &room.owner, &image) }).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !folder.join(".s.PGSQL.6432").exists() {
        assert!(Instant::now() < deadline, "{}", container.logs(100).await.unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut config = tokio_postgres::Config::new();
    config.host_path(&folder).port(6432).user("anybody").dbname("postgres");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let said = client.simple_query("SELECT current_user").await.unwrap();
    let user = said.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(user, Some(SUPERUSER));
    container.remove().await.unwrap();
    postgres.remove().await.unwrap();
}
