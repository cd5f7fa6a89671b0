//! Containers: their life, what they can reach, and what they leave.
#![allow(clippy::unwrap_used, missing_docs)]

mod docker;
mod support;

use std::time::{Duration, Instant};

use dj_regress::service::docker::{Owner, Spec};
use docker::{Room, ask, client, docker, ended, text};
use support::DEADLINE;
use tokio::time::timeout;

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
