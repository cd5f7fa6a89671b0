//! What `doctor` says about Python.

use super::interpreter;
use crate::cache::Cache;
use crate::service::{self, Finding};

/// Interpreter and uv: what is there, what would be used.
pub fn report(cache: &Cache) -> Vec<Finding> {
    let python = interpreter::any();
    let uv = service::uv().map(|uv| uv.display().to_string());
    let can_install = python.as_ref().is_ok_and(|python| interpreter::has_pip(python));
    let cached = super::uv::cached(cache).map(|uv| format!("{} (installed by dj-regress)", uv.display()));
    vec![
        Finding {
            subject: "Python".to_owned(),
            is_good: python.is_ok(),
            hint: python.as_ref().err().and_then(|error| error.hint.clone()),
            found: python.map_or_else(|error| error.message, |python| python.display().to_string()),
        },
        Finding {
            subject: "uv".to_owned(),
            is_good: uv.is_some() || cached.is_some() || can_install,
            hint: (uv.is_none() && cached.is_none() && !can_install)
                .then(|| "install uv, or Python with venv and pip, e.g. `apt-get install python3-venv`".to_owned()),
            found: uv.or(cached).unwrap_or_else(|| {
                let how = if can_install { "the first run installs it into the cache with pip" } else { "nor pip" };
                format!("not here: {how}")
            }),
        },
    ]
}
