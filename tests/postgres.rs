//! The private Postgres: templates, clones and what is kept of them.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::Room;
use dj_regress::service::keeper::Keeper;
use dj_regress::service::postgres::{Postgres, PostgresWants};
use dj_regress::service::run_directory::RunDirectory;

async fn started(room: &Room) -> (Arc<RunDirectory>, Keeper, Postgres) {
    let (run_directory, keeper) = room.keeper().await;
    let services = room.services(&keeper, &run_directory).await;
    let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
    (run_directory, keeper, postgres)
}

async fn add_template(postgres: &Postgres, key: &str) {
    let name = postgres.create_template_database(key).await.unwrap();
    let client = postgres.client(&name).await.unwrap();
    client.batch_execute("CREATE TABLE fruit (name text); INSERT INTO fruit VALUES ('apple')").await.unwrap();
    drop(client);
    postgres.seal_template(key).await.unwrap();
}

async fn fruits(postgres: &Postgres, database: &str) -> i64 {
    let client = postgres.client(database).await.unwrap();
    client.query_one("SELECT count(*) FROM fruit", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn clones_of_a_template_do_not_see_each_other() {
    let room = Room::new();
    let (_run_directory, keeper, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    postgres.clone_template("fruit", "two").await.unwrap();
    let client = postgres.client("one").await.unwrap();
    client.batch_execute("INSERT INTO fruit VALUES ('pear')").await.unwrap();
    assert_eq!(fruits(&postgres, "one").await, 2);
    assert_eq!(fruits(&postgres, "two").await, 1);
    assert_ne!(postgres.oid_of("one").await.unwrap(), postgres.oid_of("two").await.unwrap());
    keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_database_is_dropped_with_everybody_connected_to_it() {
    let room = Room::new();
    let (_run_directory, keeper, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    let client = postgres.client("one").await.unwrap();
    postgres.drop_database("one").await.unwrap();
    assert!(client.simple_query("SELECT 1").await.is_err());
    assert!(postgres.oid_of("one").await.is_err());
    keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn sealed_templates_survive_the_run_and_nothing_else_does() {
    let room = Room::new();
    let (run_directory, keeper, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.create_template_database("half").await.unwrap();
    postgres.clone_template("fruit", "one").await.unwrap();
    postgres.finish().await.unwrap();
    keeper.shutdown().await.unwrap();
    assert!(!run_directory.path().exists());

    // The second keeps what the first one made, and adds its own.
    let (_run_directory, keeper, postgres) = started(&room).await;
    assert!(postgres.has_template("fruit"));
    assert!(!postgres.has_template("half"));
    assert!(postgres.oid_of("one").await.is_err());
    assert!(postgres.oid_of("building_half").await.is_err());
    add_template(&postgres, "more").await;
    postgres.finish().await.unwrap();
    keeper.shutdown().await.unwrap();

    let (_run_directory, keeper, postgres) = started(&room).await;
    for key in ["fruit", "more"] {
        postgres.clone_template(key, key).await.unwrap();
        assert_eq!(fruits(&postgres, key).await, 1);
    }
    postgres.finish().await.unwrap();
    keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn two_runs_at_once_do_not_disturb_each_other() {
    let room = Room::new();
    let (_run_directory, keeper, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.finish().await.unwrap();
    keeper.shutdown().await.unwrap();

    let (_first_directory, first_keeper, first) = started(&room).await;
    let (_second_directory, second_keeper, second) = started(&room).await;
    assert_ne!(first.upstream(), second.upstream());
    add_template(&second, "other").await;
    second.finish().await.unwrap();
    second_keeper.shutdown().await.unwrap();
    // What it started from has been replaced meanwhile, but is still there for it.
    first.clone_template("fruit", "one").await.unwrap();
    assert_eq!(fruits(&first, "one").await, 1);
    add_template(&first, "third").await;
    first.finish().await.unwrap();
    first_keeper.shutdown().await.unwrap();

    let (_run_directory, keeper, postgres) = started(&room).await;
    assert!(postgres.has_template("fruit") && postgres.has_template("third"));
    keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_data_directory_in_the_cache_is_made_again() {
    let room = Room::new();
    let (_run_directory, keeper, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.finish().await.unwrap();
    keeper.shutdown().await.unwrap();
    let store = std::fs::read_dir(room.cache.path("postgres")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(store.join("current/data/global/pg_control"), "").unwrap();

    let (_run_directory, keeper, postgres) = started(&room).await;
    assert!(!postgres.has_template("fruit"));
    keeper.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_app_is_no_superuser_and_owns_its_database() {
    let room = Room::new();
    let (_run_directory, keeper, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    postgres.clone_template("fruit", "one").await.unwrap();
    let client = postgres.client("one").await.unwrap();
    client.batch_execute("SET SESSION AUTHORIZATION app; CREATE TABLE own (id int)").await.unwrap();
    assert!(client.batch_execute("CREATE ROLE another").await.is_err());
    keeper.shutdown().await.unwrap();
}

#[tokio::test]
#[ignore = "prints times"]
async fn times_of_start_clone_and_finish() {
    let room = Room::new();
    let (_run_directory, keeper, postgres) = started(&room).await;
    add_template(&postgres, "fruit").await;
    let begin = Instant::now();
    postgres.finish().await.unwrap();
    println!("finish with publishing {:?}", begin.elapsed());
    keeper.shutdown().await.unwrap();
    for _ in 0..3 {
        let begin = Instant::now();
        let (run_directory, keeper) = room.keeper().await;
        println!("keeper {:?}", begin.elapsed());
        let begin = Instant::now();
        let services = room.services(&keeper, &run_directory).await;
        println!("locate {:?}", begin.elapsed());
        let begin = Instant::now();
        let postgres = services.postgres(&PostgresWants::default()).await.unwrap();
        println!("copy and start {:?}", begin.elapsed());
        for name in ["one", "two", "three"] {
            let begin = Instant::now();
            postgres.clone_template("fruit", name).await.unwrap();
            println!("clone {:?}", begin.elapsed());
        }
        let begin = Instant::now();
        postgres.drop_database("one").await.unwrap();
        println!("drop {:?}", begin.elapsed());
        let begin = Instant::now();
        postgres.finish().await.unwrap();
        println!("finish {:?}", begin.elapsed());
        let begin = Instant::now();
        keeper.shutdown().await.unwrap();
        println!("shutdown {:?}", begin.elapsed());
    }
}
