//! One cold start to Postgres and Redis answering, side by side, in seconds of this process.
//!
//! `cold_start docker POSTGRES_IMAGE REDIS_IMAGE`, `cold_start first POSTGRES_IMAGE REDIS_IMAGE` (nothing initialised of
//! that image yet), `cold_start local CACHE` (a folder; filled when it is empty). `cold_start.py` plays them in turn.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dj_regress::cache::Cache;
use dj_regress::service::docker::{Daemon, Owner, socket_folder};
use dj_regress::service::postgres::PostgresWants;
use dj_regress::service::redis::RedisWants;
use dj_regress::service::run_directory::RunDirectory;
use dj_regress::service::supervisor::Supervisor;
use dj_regress::service::{Place, ServiceChoice, Services, postgres, redis};

/// What a run sets, as far as it matters for the start.
const SETTINGS: &[(&str, &str)] = &[
    ("shared_preload_libraries", "pg_stat_statements"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("min_wal_size", "2MB"),
    ("max_wal_size", "128MB"),
    ("wal_init_zero", "off"),
    ("autovacuum", "off"),
    ("shared_buffers", "32MB"),
    ("huge_pages", "off"),
    ("jit", "off"),
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [way @ ("docker" | "first"), postgres, redis] => in_docker(postgres, redis, *way == "first").await,
        ["local", cache] => locally(Path::new(cache)).await,
        _ => {
            println!("cold_start.py plays this; by hand: docker|first POSTGRES_IMAGE REDIS_IMAGE, or local CACHE");
        }
    }
}

async fn in_docker(postgres_image: &str, redis_image: &str, is_first: bool) {
    let base = tempfile::Builder::new().prefix("djb-").tempdir_in(memory()).unwrap();
    // Nothing is kept for a superuser that there has never been.
    let superuser = if is_first { format!("first_{}", std::process::id()) } else { "dj_regress".to_owned() };
    let kept = Daemon::connect().await.unwrap().made_images().await.unwrap();
    let settings: Vec<_> = SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let owner = Owner { run: format!("bench-{}", std::process::id()), token: "bench".to_owned() };
    let begun = Instant::now();
    let daemon = Daemon::connect().await.unwrap();
    let postgres_folder = socket_folder(base.path(), "postgres").unwrap();
    let redis_folder = socket_folder(base.path(), "redis").unwrap();
    let (postgres, redis) = tokio::try_join!(
        postgres::contained::Contained::start(
            &daemon,
            postgres::contained::Wanted {
                owner: &owner,
                image: postgres_image,
                folder: &postgres_folder,
                superuser: &superuser,
                is_private: false,
                settings: &settings,
                clock: None,
            },
        ),
        redis::contained::Contained::start(
            &daemon,
            redis::contained::Wanted {
                owner: &owner,
                image: redis_image,
                folder: &redis_folder,
                maxmemory: None,
                policy: None,
                clock: None,
            },
        ),
    )
    .unwrap();
    println!("{:.4}", begun.elapsed().as_secs_f64());
    tokio::try_join!(postgres.remove(), redis.remove()).unwrap();
    for made in daemon.made_images().await.unwrap() {
        if is_first && !kept.contains(&made) {
            daemon.remove_made_image(&made).await.unwrap();
        }
    }
}

async fn locally(cache: &Path) {
    let base = tempfile::Builder::new().prefix("djb-").tempdir_in(memory()).unwrap();
    std::fs::set_permissions(base.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_dj-regress"));
    let begun = Instant::now();
    let cache = Cache::at(cache).unwrap();
    let run_directory = Arc::new(RunDirectory::create_in(base.path()).unwrap());
    let supervisor = Supervisor::start_program(program, &run_directory).await.unwrap();
    let choice = ServiceChoice { place: Some(Place::Local), ..ServiceChoice::default() };
    let services = Services::choose(&choice, &supervisor, &run_directory, &cache).await.unwrap();
    let redis_folder = run_directory.folder("redis").unwrap();
    let (of_postgres, of_redis) = (PostgresWants::default(), RedisWants::default());
    let (postgres, redis) =
        tokio::try_join!(services.postgres(&of_postgres), services.redis(&of_redis, &redis_folder)).unwrap();
    println!("{:.4}", begun.elapsed().as_secs_f64());
    redis.finish().await.unwrap();
    postgres.finish().await.unwrap();
    supervisor.shutdown().await.unwrap();
}

fn memory() -> &'static Path {
    if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm") } else { Path::new("/tmp") }
}
