//! What of the app still goes on when the steps are over: nobody would see what it does.

use std::collections::BTreeSet;
use std::time::Duration;

use dj_regress_protocol::{Reply, Request};

use super::Session;
use crate::case::Actor;
use crate::probe::ledger::PROBE;
use crate::runner::log::explain;
use crate::service::procfs;

/// Between two looks: who ends its transaction by itself has ended it by then.
const LOOK: Duration = Duration::from_millis(100);

/// What ends with the process that it belongs to, and does nothing of the app's.
const HELPERS: &[&str] = &["multiprocessing.resource_tracker", "multiprocessing.forkserver"];

impl Session<'_> {
    /// Names what still goes on, in words; nothing, where all is over. Not of actors that were hurt or are held: what they
    /// leave behind is what the case is about.
    pub async fn still_lives(&mut self) -> Result<Option<String>, String> {
        let mut found = self.open_transactions().await?;
        let processes = procfs::Process::descendants(self.context.supervisor.pid());
        let names: Vec<String> = self.actors.processes.keys().filter(|name| *name != PROBE).cloned().collect();
        for name in names {
            if self.is_left(&name) {
                continue;
            }
            let pid = self.actors.processes[&name].hello.pid;
            let children = processes.iter().filter(|child| child.session == pid && child.pid != pid);
            let commands: BTreeSet<String> = children.filter_map(|child| command(child.pid)).collect();
            found.extend(commands.into_iter().map(|command| format!("{name}: the process `{command}`")));
            let asked = self.ask(&name, &Request::Lives).await;
            match asked.map_err(|trouble| explain(&self.log, &format!("ask {name} what still lives"), &trouble))? {
                Reply::Lives(threads) => found.extend(threads.into_iter().map(|thread| format!("{name}: {thread}"))),
                _ => return Err(format!("{name} gave a reply to another request")),
            }
        }
        Ok((!found.is_empty()).then(|| {
            format!("the steps are over, and something of the app goes on, which nobody counts: {}", found.join(", "))
        }))
    }

    async fn open_transactions(&self) -> Result<Vec<String>, String> {
        if self.servers.open_transactions().await?.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.servers.open_transactions().await?;
        tokio::time::sleep(LOOK).await;
        let after = self.servers.open_transactions().await?;
        let open = before.into_iter().filter(|one| after.contains(one)).map(|(name, _)| name);
        let actor = |name: String| name.strip_prefix("dj-regress/").map_or_else(|| name.clone(), str::to_owned);
        let open: BTreeSet<String> = open.map(actor).filter(|name| name != PROBE && !self.is_left(name)).collect();
        Ok(open.into_iter().map(|name| format!("{name}: a transaction that nobody has ended")).collect())
    }

    /// Whether something was done to an actor after which it cannot end what it has begun.
    fn is_left(&self, actor: &str) -> bool {
        let is_real = matches!(self.state.actors.get(actor), Some(Actor::RealCluster { .. }));
        is_real || self.record.disturbed.is(actor) || self.actors.holds.armed(actor).is_some()
    }
}

/// What a process was started as; nothing for helpers, and for one that is gone.
fn command(pid: u32) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let is_helper = HELPERS.iter().any(|helper| line.contains(helper));
    (!line.is_empty() && !is_helper).then(|| line.trim().chars().take(100).collect())
}
