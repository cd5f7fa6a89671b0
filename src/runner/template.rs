//! Templates: what arms' databases are cloned from, migrated and filled once.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use dj_regress_protocol::clock::Pace;
use dj_regress_protocol::{ActorKind, Request};

use super::context::{CLOCK, Placement, RunContext, server_clock};
use super::event::{Event, Events};
use super::template_server::TemplateServer;
use crate::actor::{Process, StateCode, StepError, Zygote};
use crate::clock::START;
use crate::error::Context as _;
use crate::probe::ledger::PROBE;
use crate::probe::log;
use crate::probe::sql;
use crate::proxy::{PostgresProxy, RedisClock, RedisProxy, TimeAsked};
use crate::service::postgres::Postgres;
use crate::service::redis::RedisWants;

/// A template that takes longer is told of, and so often.
const TOLD_EVERY: Duration = Duration::from_secs(5);

impl RunContext {
    /// Sees to it that a server has a template for this zygote's state, migrating and filling one if need be.
    pub async fn template(
        &self,
        server: &TemplateServer,
        code: &StateCode,
        zygote: &Zygote,
        events: &Events,
    ) -> Result<(), StepError> {
        let key = &zygote.template_key();
        server.template(key, async || self.build(&server.postgres, (code, zygote), key, events).await).await
    }

    async fn build(
        &self,
        postgres: &Postgres,
        (code, zygote): (&StateCode, &Zygote),
        key: &str,
        events: &Events,
    ) -> Result<(), StepError> {
        let database = postgres.create_template_database(key).await?;
        extend(postgres, &database, &zygote.prepared.extensions).await?;
        let folder = tempfile::Builder::new().prefix("template-").tempdir_in(&self.folder);
        let folder = folder.cannot_run(|| format!("make a folder in {}", self.folder.display()))?;
        let folder = folder.path();
        let directory = &folder.join("actor");
        fs::create_dir_all(directory).cannot_run(|| format!("make {}", directory.display()))?;
        let clock = Arc::new(self.clocks.clock(Pace::Stands, UNIX_EPOCH + START)?);
        clock.link(&folder.join(CLOCK))?;
        let proxy = PostgresProxy::start(postgres.upstream(), server_clock(postgres, &clock), folder).await?;
        let service = postgres.service_file(proxy.host(), &database);
        // What is put into a queue meanwhile goes with it.
        let redis = if zygote.prepared.redis {
            let wants = RedisWants { clock: Some(Arc::clone(&clock)), ..RedisWants::default() };
            Some(self.services.redis(&wants, folder).await?)
        } else {
            None
        };
        let _wire = match &redis {
            Some(redis) => {
                let socket = directory.join("redis.sock");
                let clock = match redis.pace() {
                    Some(Pace::Goes) => RedisClock::Goes,
                    Some(Pace::Stands) => RedisClock::Stands,
                    None => RedisClock::Machine(TimeAsked::default()),
                };
                Some(RedisProxy::start(redis.endpoint().clone(), redis.preamble(), clock, &socket).await?)
            }
            None => None,
        };
        let log = &folder.join("log");
        let entry = Placement {
            folder,
            directory,
            service,
            log,
            actor: PROBE,
            kind: ActorKind::Python { module: String::new() },
            holds: Vec::new(),
            holds_file: &folder.join("holds"),
            first: None,
        };
        let mut process = self.enter(code, zygote, entry).await?;
        let mut made = ask_and_tell(&mut process, &Request::Migrate, log, events).await;
        if let (Ok(()), false) = (&made, code.seed.is_empty()) {
            made = ask_and_tell(&mut process, &Request::Seed(code.seed.clone()), log, events).await;
        }
        self.supervisor.end_sessions(&[process.hello.pid]).await?;
        if let Some(redis) = redis {
            redis.finish().await?;
        }
        made?;
        Ok(postgres.seal_template(key).await?)
    }
}

/// Makes extensions as the harness: an app's role may not make all of them.
async fn extend(postgres: &Postgres, database: &str, extensions: &[String]) -> Result<(), StepError> {
    if extensions.is_empty() {
        return Ok(());
    }
    let client = postgres.client(database).await?;
    for name in extensions {
        let statement = format!("CREATE EXTENSION IF NOT EXISTS \"{}\" CASCADE", name.replace('"', "\"\""));
        client.batch_execute(&statement).await.map_err(|error| {
            StepError::Refused(format!(
                "the migrations need the extension {name} of Postgres: {}",
                sql::message(&error)
            ))
        })?;
    }
    Ok(())
}

/// Asks for what may take minutes: as long as the log grows, it is waited for, and told of.
async fn ask_and_tell(process: &mut Process, request: &Request, log: &Path, events: &Events) -> Result<(), StepError> {
    let length = || fs::metadata(log).map_or(0, |log| log.len());
    let begin = Instant::now();
    let tell = || {
        let line = log::last_line(log).unwrap_or_default();
        let _ = events.send(Event::Preparing(format!("{} s: {}", begin.elapsed().as_secs(), line.trim())));
    };
    process.ask_while(request, TOLD_EVERY, length, tell).await.map(drop).map_err(|trouble| match trouble {
        // What it was about when it fell silent.
        StepError::Late(what) => {
            let line = log::last_line(log).unwrap_or_default();
            StepError::Late(format!("{what}, which said last `{}`,", line.trim()))
        }
        trouble => trouble,
    })
}
