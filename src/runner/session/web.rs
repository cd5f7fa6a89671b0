//! The web of an arm: where actors answer, what stands between, what was asked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use cookie::CookieJar;
use indexmap::IndexMap;
use serde_json::Value;

use crate::error::Result;
use crate::probe::exchange::Exchange;
use crate::proxy::{HttpCounters, HttpProxy};
use crate::service::nginx::Nginx;

/// The web of an arm.
#[derive(Default)]
pub struct Web {
    /// Where actors answer, by name.
    pub sockets: HashMap<String, PathBuf>,
    pub proxies: IndexMap<String, Between>,
    /// What was kept of answers.
    pub kept: Arc<IndexMap<String, Value>>,
    /// Cookies, by whose they are.
    pub jars: HashMap<String, CookieJar>,
    /// All that was asked, in the order in which it was told.
    pub exchanges: Vec<Exchange>,
}

/// A proxy between browsers and the app.
pub enum Between {
    Ours(HttpProxy),
    Nginx(Box<Nginx>),
}

impl Between {
    async fn counters(&self) -> Result<HttpCounters, String> {
        match self {
            Self::Ours(proxy) => Ok(proxy.counters()),
            Self::Nginx(nginx) => nginx.counters().await.map_err(|error| error.message),
        }
    }
}

impl Web {
    /// What each proxy did so far.
    pub async fn counters(&self) -> Result<IndexMap<String, HttpCounters>, String> {
        let mut counters = IndexMap::new();
        for (name, between) in &self.proxies {
            counters.insert(name.clone(), between.counters().await?);
        }
        Ok(counters)
    }

    /// Whether each nginx answers.
    pub async fn answers(&self) -> bool {
        for between in self.proxies.values() {
            if let Between::Nginx(nginx) = between
                && !nginx.answers().await
            {
                return false;
            }
        }
        true
    }

    /// Ends what is not one of the app's processes.
    pub async fn end(self) -> Result<()> {
        let mut ended = Ok(());
        for between in self.proxies.into_values() {
            if let Between::Nginx(nginx) = between {
                ended = ended.and(nginx.finish().await);
            }
        }
        ended
    }
}
