//! What the images of the containers promise.
#![allow(clippy::unwrap_used, missing_docs)]

mod docker;
mod support;

use std::time::{Duration, Instant};

use dj_regress::service::docker::{Spec, socket_folder};
use dj_regress::service::postgres::SUPERUSER;
use docker::{Room, connect, ended, newest, text};
use support::DEADLINE;
use tokio_postgres::NoTls;

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
