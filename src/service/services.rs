//! Where Postgres, Redis and nginx come from: chosen once per run, the same to ask for wherever that is.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::address::{PostgresUrl, RedisUrl};
use super::choice::{Place, REDIS_VARIABLE, ServiceChoice};
use super::docker::{Daemon, Owner};
use super::images::{NGINX_IMAGES, POSTGRES_IMAGES, PULL_DEADLINE, REDIS_IMAGES, image, of_image, usable_daemon};
use super::locate::{self, NginxBinary, PostgresBinaries, Programs, RedisBinary};
use super::nginx::{Nginx, NginxSpec};
use super::postgres::{Postgres, PostgresWants};
use super::redis::{Pool, Redis, RedisWants};
use super::run_directory::RunDirectory;
use super::supervisor::Supervisor;
use crate::cache::Cache;
use crate::deadline;
use crate::error::{Context as _, Error, Result};

/// What an arm needs of the services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent needs")]
pub struct ServiceNeeds {
    /// A container image.
    pub image: Option<String>,
    /// A Postgres that no other arm uses: for its settings, or because the case hurts it.
    pub own_postgres: bool,
    /// A Redis.
    pub redis: bool,
    /// Settings of Redis.
    pub redis_settings: bool,
    /// Killing, stopping or pausing a server, or filling or emptying one as a whole.
    pub server_faults: bool,
    /// What the server itself counted.
    pub statistics: bool,
}

/// Postgres and Redis of a run, and nginx.
#[derive(Debug)]
pub struct Services {
    supervisor: Supervisor,
    run_directory: Arc<RunDirectory>,
    cache: Cache,
    source: Source,
    nginx: OnceCell<NginxBinary>,
    notes: Vec<String>,
}

/// What servers are made from.
#[derive(Debug)]
enum Source {
    Local {
        programs: Programs,
        postgres: PostgresBinaries,
        redis: OnceCell<RedisBinary>,
    },
    Given {
        /// Connected already; whoever asks first gets it, and there is no other.
        postgres: Mutex<Option<Box<Postgres>>>,
        has_statistics: bool,
        /// Or why there is none.
        redis: Result<Arc<Pool>, String>,
        described: String,
    },
    Docker {
        daemon: Daemon,
        owner: Owner,
    },
}

impl Source {
    /// Containers are about to be made: whoever comes after a killed run must know.
    fn docker(daemon: Daemon, run_directory: &RunDirectory) -> Result<Self> {
        run_directory.note(|elsewhere| elsewhere.docker = true)?;
        let owner = Owner { run: run_directory.id().to_owned(), token: run_directory.token() };
        Ok(Self::Docker { daemon, owner })
    }

    /// Connects to what somebody else runs.
    async fn given(
        postgres: &PostgresUrl,
        redis: Option<&RedisUrl>,
        run_directory: &Arc<RunDirectory>,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let pool = match redis {
            Some(url) => Pool::open(url, run_directory).await.map(Arc::new).map_err(|error| error.message),
            None => Err(format!("no Redis is given (--redis-url, {REDIS_VARIABLE})")),
        };
        let open = Postgres::open_external(postgres, run_directory);
        let (connected, missing) =
            deadline::within(deadline::step(), || format!("connect to {postgres}"), open).await?;
        notes.extend(missing);
        let mut described = vec![postgres.to_string()];
        match (redis, &pool) {
            (Some(url), Ok(_)) => described.push(url.to_string()),
            (Some(_), Err(why)) => notes.push(why.clone()),
            (None, _) => {}
        }
        let described = format!("{}: {}", Place::External, described.join(", "));
        let has_statistics = connected.has_statistics();
        Ok(Self::Given { postgres: Mutex::new(Some(Box::new(connected))), has_statistics, redis: pool, described })
    }
}

impl Services {
    /// Finds the place, and what is needed to make servers there. Starts nothing yet; what is given is connected to.
    ///
    /// # Errors
    ///
    /// Cannot run if there is no such place here, saying what to do.
    pub async fn choose(
        choice: &ServiceChoice,
        supervisor: &Supervisor,
        run_directory: &Arc<RunDirectory>,
        cache: &Cache,
    ) -> Result<Self> {
        let (programs, mut notes) = (choice.programs, Vec::new());
        let source = match (choice.place, &choice.postgres_url) {
            (Some(Place::Docker), _) => Source::docker(Daemon::connect().await?, run_directory)?,
            (Some(Place::External) | None, Some(postgres)) => {
                Source::given(postgres, choice.redis_url.as_ref(), run_directory, &mut notes).await?
            }
            (Some(Place::External), None) => {
                return Err(Error::usage("no Postgres is given").hint("--postgres-url URL"));
            }
            (None, None) if let Some(daemon) = usable_daemon(&mut notes).await => {
                Source::docker(daemon, run_directory)?
            }
            (Some(Place::Local), _) | (None, None) => {
                let located = cache.clone();
                let postgres = tokio::task::spawn_blocking(move || locate::postgres(programs, &located));
                let postgres = postgres.await.cannot_run(|| "look for Postgres".to_owned())??;
                Source::Local { programs, postgres, redis: OnceCell::new() }
            }
        };
        let (supervisor, run_directory, cache) = (supervisor.clone(), Arc::clone(run_directory), cache.clone());
        Ok(Self { supervisor, run_directory, cache, source, nginx: OnceCell::new(), notes })
    }

    /// Where they run.
    pub fn place(&self) -> Place {
        match &self.source {
            Source::Local { .. } => Place::Local,
            Source::Given { .. } => Place::External,
            Source::Docker { .. } => Place::Docker,
        }
    }

    /// Where they run, in words, without passwords.
    pub fn describe(&self) -> String {
        match &self.source {
            Source::Local { .. } => Place::Local.to_string(),
            Source::Given { described, .. } => described.clone(),
            Source::Docker { daemon, .. } => format!("{} {}", Place::Docker, daemon.version()),
        }
    }

    /// What was not taken and why, for the report.
    pub fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// A Postgres: the one that all arms share, or one arm's own.
    ///
    /// # Errors
    ///
    /// Usage if a setting cannot be set; cannot run if the server does not start, or this place has none like that.
    pub async fn postgres(&self, wants: &PostgresWants) -> Result<Postgres> {
        let own_postgres = wants.private || !wants.settings.is_empty();
        self.refuse(&ServiceNeeds { image: wants.image.clone(), own_postgres, ..ServiceNeeds::default() })?;
        match &self.source {
            Source::Local { postgres, .. } => {
                Postgres::start_local(&self.supervisor, &self.run_directory, &self.cache, postgres, wants).await
            }
            Source::Given { postgres, .. } => {
                let connected = postgres.lock().take();
                connected.map(|postgres| *postgres).ok_or_else(|| Error::bug("the given Postgres was asked for twice"))
            }
            Source::Docker { daemon, owner } => {
                let image = image(daemon, wants.image.as_deref(), POSTGRES_IMAGES).await?;
                Postgres::start_contained(daemon, owner, &image, &self.run_directory, wants).await
            }
        }
    }

    /// A Redis of one arm, which may have its socket and its log in this folder.
    ///
    /// # Errors
    ///
    /// Cannot run if the server does not start, or this place has none like that.
    pub async fn redis(&self, wants: &RedisWants, folder: &Path) -> Result<Redis> {
        let (redis_settings, clocks) =
            (wants.maxmemory.is_some() || wants.policy.is_some(), self.run_directory.clocks());
        self.refuse(&ServiceNeeds {
            image: wants.image.clone(),
            redis: true,
            redis_settings,
            ..ServiceNeeds::default()
        })?;
        match &self.source {
            Source::Local { .. } => {
                Redis::start_local(&self.supervisor, self.redis_binary().await?, (wants, clocks), folder).await
            }
            Source::Given { redis: Ok(pool), .. } => Redis::take_external(pool).await,
            Source::Given { redis: Err(why), .. } => Err(Error::cannot_run(why.clone())),
            Source::Docker { daemon, owner } => {
                let image = image(daemon, wants.image.as_deref(), REDIS_IMAGES).await?;
                Redis::start_contained(daemon, owner, &image, folder, (wants, clocks)).await
            }
        }
    }

    /// The Redis whose databases arms take, where somebody else runs it.
    pub fn given_redis(&self) -> Option<Arc<Pool>> {
        match &self.source {
            Source::Given { redis: Ok(pool), .. } => Some(Arc::clone(pool)),
            _ => None,
        }
    }

    /// What Redis is, e.g. `Redis 7.0.15`.
    ///
    /// # Errors
    ///
    /// Cannot run if there is none.
    pub async fn redis_version(&self) -> Result<String> {
        match &self.source {
            Source::Local { .. } => Ok(format!("Redis {}", self.redis_binary().await?.version)),
            Source::Given { redis: Ok(pool), .. } => Ok(pool.version.clone()),
            Source::Docker { daemon, .. } => {
                image(daemon, None, REDIS_IMAGES).await.map(|image| of_image("Redis", &image))
            }
            Source::Given { redis: Err(why), .. } => Err(Error::cannot_run(why.clone())),
        }
    }

    /// An nginx for one proxy of one arm. Where somebody else runs the servers, this one is the run's all the same.
    ///
    /// # Errors
    ///
    /// Cannot run if there is none here, or it does not start.
    pub async fn nginx(&self, spec: &NginxSpec) -> Result<Nginx> {
        if let Source::Docker { daemon, owner } = &self.source {
            let image = image(daemon, None, NGINX_IMAGES).await?;
            return Nginx::start_contained(daemon, owner, &image, spec, self.run_directory.clocks()).await;
        }
        Nginx::start_local(&self.supervisor, self.nginx_binary().await?, spec, self.run_directory.clocks()).await
    }

    /// What nginx is, e.g. `nginx 1.22.1`.
    ///
    /// # Errors
    ///
    /// Cannot run if there is none.
    pub async fn nginx_version(&self) -> Result<String> {
        match &self.source {
            Source::Docker { daemon, .. } => {
                image(daemon, None, NGINX_IMAGES).await.map(|image| of_image("nginx", &image))
            }
            Source::Local { .. } | Source::Given { .. } => Ok(format!("nginx {}", self.nginx_binary().await?.version)),
        }
    }

    /// Why an arm with a real nginx cannot run here, if it cannot: its case is skipped. Asked only where one is wanted,
    /// and so not one of the [`ServiceNeeds`]: an image may have to be pulled for it.
    pub async fn nginx_refusal(&self) -> Option<String> {
        let too_long = || Err(Error::cannot_run(format!("no image within {} s", PULL_DEADLINE.as_secs())));
        let found = timeout(PULL_DEADLINE, self.nginx_version()).await.unwrap_or_else(|_| too_long());
        let error = found.err()?;
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Some(format!("needs nginx: {}{hint}", error.message))
    }

    /// Why an arm that needs this cannot run here, if it cannot.
    pub fn refusal(&self, needs: &ServiceNeeds) -> Option<String> {
        let place = self.place();
        if let (Some(image), false) = (&needs.image, place == Place::Docker) {
            return Some(format!(
                "needs the image {image}, and services are {place}: only `--services docker` has images"
            ));
        }
        let Source::Given { has_statistics, redis, .. } = &self.source else { return None };
        let of_own = [
            (needs.own_postgres, "a Postgres of its own"),
            (needs.redis_settings, "settings of Redis"),
            (needs.server_faults, "to disturb a server"),
        ];
        if let Some((_, what)) = of_own.into_iter().find(|(is_needed, _)| *is_needed) {
            return Some(format!("needs {what}, and services are external: somebody else runs them"));
        }
        if needs.redis
            && let Err(why) = redis
        {
            return Some(format!("needs Redis: {why}"));
        }
        (needs.statistics && !has_statistics)
            .then(|| "needs pg_stat_statements, which is not to be had here".to_owned())
    }

    /// The run is over, and every server ended: nothing of it is left that somebody would have to look for.
    ///
    /// # Errors
    ///
    /// Cannot run if a container cannot be removed.
    pub async fn finish(&self) -> Result<()> {
        let Source::Docker { daemon, owner } = &self.source else { return Ok(()) };
        daemon.remove_labelled(owner).await?;
        self.run_directory.note(|elsewhere| elsewhere.docker = false)
    }

    fn refuse(&self, needs: &ServiceNeeds) -> Result<()> {
        self.refusal(needs).map_or(Ok(()), |why| Err(Error::cannot_run(why)))
    }

    /// Looked for when it is first needed: most runs need none.
    async fn nginx_binary(&self) -> Result<&NginxBinary> {
        self.nginx
            .get_or_try_init(|| async {
                tokio::task::spawn_blocking(locate::nginx).await.cannot_run(|| "look for nginx".to_owned())?
            })
            .await
    }

    /// Looked for when it is first needed: it may have to be installed.
    async fn redis_binary(&self) -> Result<&RedisBinary> {
        let Source::Local { programs, redis, .. } = &self.source else {
            return Err(Error::bug("only local services have programs"));
        };
        let (programs, cache) = (*programs, self.cache.clone());
        redis
            .get_or_try_init(|| async {
                let binary = tokio::task::spawn_blocking(move || locate::redis(programs, &cache));
                binary.await.cannot_run(|| "look for Redis".to_owned())?
            })
            .await
    }
}
