//! nginx: what it caches expires by the arm's clock.

use std::fs;
use std::time::Duration;

use dj_regress::service::locate;
use dj_regress::service::supervisor::{Spawn, Supervisor};
use dj_regress_protocol::clock::Pace;
use nix::unistd::Uid;
use rstest::rstest;

use crate::common::eventually;
use crate::origin::{Origin, ask};
use crate::stage::{Stage, environment};
use crate::support::skip;

#[rstest]
#[tokio::test]
async fn a_cached_answer_of_nginx_expires_when_the_clock_was_moved(#[values(Pace::Stands, Pace::Goes)] pace: Pace) {
    let program = match locate::nginx() {
        Ok(found) => found.program,
        Err(error) => return skip(&error.to_string()),
    };
    let stage = Stage::new();
    let clock = stage.clock(pace);
    let folder = stage.room.base();
    let (socket, config) = (folder.join("nginx.sock"), folder.join("nginx.conf"));
    let user = if Uid::effective().is_root() { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/temporary;\n", folder.display()))
        .concat();
    let here = folder.display();
    let text = format!(
        "daemon off; {user} worker_processes 1; pid {here}/pid; lock_file {here}/lock; error_log stderr;
         events {{ }}
         http {{ {temporary} access_log off;
           proxy_cache_path {here}/cache keys_zone=cache:1m inactive=1d use_temp_path=off;
           server {{ listen unix:{here}/nginx.sock;
             location / {{ proxy_pass http://unix:{here}/origin.sock; proxy_cache cache; proxy_cache_valid 200 60s; }} }} }}"
    );
    fs::write(&config, text).unwrap();
    let origin = Origin::start(&folder.join("origin.sock"), |_, number| format!("HTTP/1.1 200 OK\r\n\r\n{number}"));
    let (_, supervisor): (_, Supervisor) = stage.room.supervisor().await;
    let words = [program.display().to_string(), "-p".to_owned(), here.to_string(), "-c".to_owned()];
    let command = [words.to_vec(), vec![config.display().to_string()]].concat();
    let mut spawn = Spawn::new("nginx", command, folder, &folder.join("log"));
    spawn.environment.extend(environment(stage.clocks.quiet(&clock)));
    supervisor.spawn(spawn).await.unwrap();
    eventually("nginx listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let bodies = |times: usize| (0..times).map(|_| ask(&socket, "GET /", "").body).collect::<String>();
    assert_eq!(bodies(2), "11");
    clock.advance(Duration::from_secs(59));
    // Going, it may be over by now: a second is what this machine has to ask.
    assert!(pace == Pace::Goes || bodies(1) == "1");
    clock.advance(Duration::from_secs(2));
    let answer = ask(&socket, "GET /", "");
    assert_eq!(answer.body, "2");
    let shown = httpdate::parse_http_date(answer.header("date").unwrap()).unwrap();
    let now = clock.now();
    let behind = now.duration_since(shown).unwrap_or_default();
    assert!(shown <= now && behind < Duration::from_secs(20), "its Date is {behind:?} behind");
    assert_eq!((bodies(1).as_str(), origin.hits()), ("2", 2));
    supervisor.shutdown().await.unwrap();
}
