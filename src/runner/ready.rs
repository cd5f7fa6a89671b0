//! What is found out before the first arm: environments, and which cases cannot run here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::alone;
use super::code::CodeSource;
use super::event::seconds;
use super::options::Options;
use crate::case::{Case, State};
use crate::error::{Context as _, Result};
use crate::plan;
use crate::probe::registry::measurement;
use crate::python::Environment;
use crate::service::postgres::Postgres;
use crate::service::{ServiceNeeds, Services};

/// What is known before the first arm.
pub struct Ready {
    /// Cases that cannot run here, by index, and why.
    skipped: BTreeMap<usize, String>,
    /// All of them, the first one that is needed first.
    pub environments: Vec<Environment>,
    /// What arms need of the services, by the index of their case.
    needs: Vec<(usize, ServiceNeeds)>,
    /// Cases with an nginx among their proxies, by index.
    behind_nginx: BTreeSet<usize>,
    /// Seconds.
    pub took: f64,
}

impl Ready {
    /// Whether a case says that it needs a Redis.
    pub fn uses_redis(&self) -> bool {
        self.needs.iter().any(|(_, needs)| needs.redis)
    }

    /// The Python versions of the environments, each once.
    pub fn pythons(&self) -> Vec<String> {
        let mut versions: Vec<String> = self.environments.iter().map(Environment::python_version).collect();
        versions.dedup();
        versions
    }
}

/// Finds or makes every environment of the run. A case whose pinned Python is not here is skipped;
/// when no environment at all can be had, nothing can run.
pub async fn prepare(cases: &Arc<Vec<Case>>, code: &Arc<CodeSource>, options: &Options) -> Result<Ready> {
    let (cases, code) = (Arc::clone(cases), Arc::clone(code));
    let (states, skip_uninstallable) = (options.states, options.skip_uninstallable);
    let prepare = move || {
        let start = Instant::now();
        let mut ready = Ready {
            skipped: BTreeMap::new(),
            environments: Vec::new(),
            needs: Vec::new(),
            behind_nginx: BTreeSet::new(),
            took: 0.0,
        };
        let mut failure = None;
        for (index, case, arm) in plan::arms(&cases, states).iter().map(|arm| (arm.case, &cases[arm.case], arm)) {
            if ready.skipped.contains_key(&index) {
                continue;
            }
            let state = &arm.resolved;
            ready.needs.push((index, needs(state)));
            if state.has_nginx() {
                ready.behind_nginx.insert(index);
            }
            match code.environment(case, state, &arm.state) {
                Ok(environment) if ready.environments.contains(&environment) => {}
                Ok(environment) => ready.environments.push(environment),
                // The arm finds the same error again and is inconclusive for it.
                Err(error) => match &case.python {
                    Some(python) if !crate::python::is_installed(python) => {
                        ready.skipped.insert(index, format!("needs Python {python}, which is not installed"));
                    }
                    _ if skip_uninstallable => drop(ready.skipped.insert(index, error.message)),
                    _ => failure = Some(error),
                },
            }
        }
        ready.took = seconds(start.elapsed());
        match failure {
            Some(error) if ready.environments.is_empty() => Err(error),
            _ => Ok(ready),
        }
    };
    tokio::task::spawn_blocking(prepare).await.cannot_run(|| "prepare the environments".to_owned())?
}

/// What a state needs of the services.
fn needs(state: &State) -> ServiceNeeds {
    let said = &state.services;
    ServiceNeeds {
        image: said.postgres.image.clone().or_else(|| said.redis.image.clone()),
        own_postgres: alone::is_alone(state),
        redis: state.uses_redis(),
        redis_settings: said.redis.maxmemory.is_some() || said.redis.policy.is_some(),
        server_faults: state.server_faults(),
        statistics: state
            .invariants
            .values()
            .any(|it| measurement(&it.of).is_some_and(|found| found.requires().statistics)),
    }
}

/// Adds the cases that these services cannot run.
pub async fn skips(cases: &[Case], ready: Ready, services: &Services, postgres: &Postgres) -> BTreeMap<usize, String> {
    let Ready { mut skipped, needs, behind_nginx, .. } = ready;
    let no_nginx = if behind_nginx.is_empty() { None } else { services.nginx_refusal().await };
    for (index, case) in cases.iter().enumerate() {
        let is_too_old = case.needs.postgres.filter(|&least| postgres.major() < least);
        let too_old = is_too_old.map(|least| format!("needs PostgreSQL {least}, this is {}", postgres.version()));
        let refused = || needs.iter().filter(|(case, _)| *case == index).find_map(|(_, needs)| services.refusal(needs));
        let no_nginx = || no_nginx.clone().filter(|_| behind_nginx.contains(&index));
        if let Some(why) = too_old.or_else(refused).or_else(no_nginx) {
            skipped.entry(index).or_insert(why);
        }
    }
    skipped
}
