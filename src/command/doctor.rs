//! `doctor`: what is here, what would be used, how to get what is missing.

use std::fmt::Write as _;

use crate::actor::Worlds;
use crate::actor::world::HINT;
use crate::cache::Cache;
use crate::error::Result;
use crate::exit::Exit;
use crate::{python, service};

/// Looks at services and Python; installs and starts nothing.
pub fn doctor() -> Result<Exit> {
    let cache = Cache::open()?;
    let services = service::report(&cache, &|name| std::env::var(name).ok());
    let python = python::report(&cache);
    let findings: Vec<service::Finding> = services.into_iter().chain(python).chain([isolation(&cache)?]).collect();
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in &findings {
        let mark = if finding.is_good { "ok     " } else { "missing" };
        let _ = writeln!(text, "{mark} {:<width$}   {}", finding.subject, finding.found);
        for line in finding.hint.iter().flat_map(|hint| hint.lines()) {
            let _ = writeln!(text, "        {:<width$}   -> {line}", "");
        }
    }
    super::print(&text)?;
    Ok(if findings.iter().all(|finding| finding.is_good) { Exit::AsDeclared } else { Exit::CannotRun })
}

/// How far arms can be kept apart here.
fn isolation(cache: &Cache) -> Result<service::Finding> {
    let worlds = Worlds::find(cache.root())?;
    Ok(service::Finding {
        subject: "isolation".to_owned(),
        is_good: true,
        found: worlds.grant().to_string(),
        hint: worlds.weaker().map(|weaker| format!("{weaker}\n{HINT}")),
    })
}
