//! What all that is done to processes shares.

use std::time::Duration;

use serde_json::Value;

/// How long anything of a real cluster may take where the case does not say; a harness limit that only a hang reaches.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at what real processes do.
pub const POLL: Duration = Duration::from_millis(20);

/// What a step gives; the names come after the step's own and a dot.
pub type Readings = Vec<(&'static str, Value)>;
