//! Redis keeps real time; what the arm's clock skips, its keys are aged by.

use std::time::Duration;

use redis::{cmd, pipe};

use super::server::Redis;
use crate::error::{Context as _, Result};

/// Keys that are looked at in one go.
const BATCH: u64 = 1000;

impl Redis {
    /// Takes so much from what every key has left to live. One with nothing left goes at once.
    ///
    /// # Errors
    ///
    /// Cannot run if Redis does not answer.
    pub async fn age(&self, by: Duration) -> Result<()> {
        let doing = || "let the keys of Redis age".to_owned();
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let mut connection = self.connection().await?;
        // Gathered before any is changed: a key that is met twice must not age twice.
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("COUNT").arg(BATCH);
            let (next, found): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await.cannot_run(doing)?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        keys.sort_unstable();
        keys.dedup();
        for keys in keys.chunks(BATCH as usize) {
            let mut ask = pipe();
            for key in keys {
                ask.cmd("PTTL").arg(key);
            }
            let left: Vec<i64> = ask.query_async(&mut connection).await.cannot_run(doing)?;
            let mut change = pipe();
            // Negative: it lives for ever, or has gone meanwhile.
            for (key, left) in keys.iter().zip(left).filter(|(_, left)| *left >= 0) {
                change.cmd("PEXPIRE").arg(key).arg(left.saturating_sub(by)).ignore();
            }
            if !change.is_empty() {
                change.query_async::<()>(&mut connection).await.cannot_run(doing)?;
            }
        }
        Ok(())
    }
}
