//! What nginx is told: a cache in front of an app, as its documentation shows one
//! (<https://docs.nginx.com/nginx/admin-guide/content-cache/content-caching/>), with every path below one folder.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::folder::{ACCESS_LOG, CACHE, CONTROL, SOCKET, TEMPORARY};
use super::log::LINE;
use crate::error::{Error, Result};

/// Where its temporary files can go: each must be said, or it wants a folder of the system's. The official image and
/// Debian's packages have all of these modules.
const TEMPORARIES: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// What is different from arm to arm.
#[derive(Debug, Clone, Copy)]
pub(super) struct NginxConfig<'a> {
    /// The folder of everything it writes, as it sees it.
    pub folder: &'a Path,
    /// The origin's socket, as it sees it.
    pub origin: &'a Path,
    /// How long the origin may take to be connected to, to take and to say something.
    pub timeout: Option<Duration>,
    /// Started by root, it must be told to stay root: nobody else may use the origin's socket.
    pub is_root: bool,
}

/// The configuration file.
///
/// What nginx does not do by RFC 9111, with this and with any other configuration (`tests/http_cacheability.rs` asserts
/// each): it does not look at the request's Cache-Control, Pragma or Authorization; it keeps nothing that sets a cookie;
/// it takes `no-cache` for `no-store`, and a qualified `no-cache="field"` or `private="field"` for one without field
/// names; it neither reads nor writes Age, and says its own Date; it forgets nothing after POST, PUT or DELETE; it
/// renews what it keeps by a 304 for a while, but not its headers; it keeps whatever status says max-age; it knows no
/// heuristics but a fixed time for a status that is named.
pub(super) fn text(wanted: NginxConfig<'_>) -> Result<String> {
    let below = |name: &str| quoted("", &wanted.folder.join(name));
    let user = if wanted.is_root { "user root;\n" } else { "" };
    let mut temporary = String::new();
    for name in TEMPORARIES {
        // Without levels: folders that a container's root makes could not be emptied by somebody else.
        let _ = writeln!(temporary, "  {name}_temp_path {};", below(TEMPORARY)?);
    }
    let mut timeouts = String::new();
    for name in wanted.timeout.iter().flat_map(|_| ["connect", "send", "read"]) {
        // Zero would be no limit.
        let milliseconds = wanted.timeout.map_or(1, |timeout| timeout.as_millis()).max(1);
        let _ = writeln!(timeouts, "      proxy_{name}_timeout {milliseconds}ms;");
    }
    let (pid, lock, log, cache) = (below("nginx.pid")?, below("nginx.lock")?, below(ACCESS_LOG)?, below(CACHE)?);
    let listens = |name: &str| quoted("unix:", &wanted.folder.join(name));
    let (socket, control, origin) = (listens(SOCKET)?, listens(CONTROL)?, quoted("unix:", wanted.origin)?);
    Ok(format!(
        r#"daemon off;
{user}worker_processes 1;
pid {pid};
lock_file {lock};
error_log stderr warn;
events {{
  worker_connections 1024;
}}
http {{
{temporary}  log_format line "{LINE}";
  access_log off;
  keepalive_requests 1000000;  # a load generator measures requests, not connections
  proxy_cache_path {cache} keys_zone=cache:1m inactive=1d use_temp_path=off;
  upstream origin {{
    server {origin};
  }}
  server {{
    # Answers when all before it is in the log: there is one worker, and it does one thing after the other.
    listen {control};
    return 204;
  }}
  server {{
    listen {socket};
    access_log {log} line;
    client_max_body_size 0;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_redirect off;
{timeouts}      proxy_cache cache;
      proxy_cache_key $scheme$http_host$request_uri;
      proxy_cache_valid 200 10m;  # where the answer itself says nothing
      proxy_cache_revalidate on;
    }}
  }}
}}
"#
    ))
}

/// A path as one word of the file.
fn quoted(prefix: &str, path: &Path) -> Result<String> {
    let is_plain = |text: &&str| !text.contains(['"', '\\', '$', '\n']);
    let text = path.to_str().filter(is_plain).ok_or_else(|| {
        Error::cannot_run(format!("nginx cannot be told the path {}", path.display()))
            .hint("set TMPDIR to a path of plain characters, e.g. /tmp")
    })?;
    Ok(format!("\"{prefix}{text}\""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn wanted() -> NginxConfig<'static> {
        let (folder, origin) = (Path::new("/a b/c"), Path::new("/o:1/web.sock"));
        NginxConfig { folder, origin, timeout: None, is_root: false }
    }

    #[test]
    fn every_path_is_below_the_folder_but_for_the_origin() {
        let text = text(wanted()).unwrap();
        for word in text.split('"').filter(|word| word.contains('/')) {
            let path = word.strip_prefix("unix:").unwrap_or(word);
            let is_path = path.starts_with('/');
            assert!(!is_path || path.starts_with("/a b/c/") || path == "/o:1/web.sock", "{path}");
        }
        assert!(!text.contains("timeout") && !text.contains("user root"), "{text}");
    }

    #[test]
    fn a_timeout_is_the_origins() {
        let text = text(NginxConfig { timeout: Some(Duration::from_millis(1500)), is_root: true, ..wanted() }).unwrap();
        assert_eq!(text.matches("_timeout 1500ms;").count(), 3, "{text}");
        assert!(text.contains("\nuser root;\n"));
    }

    #[test]
    fn a_path_that_would_be_read_otherwise_is_refused() {
        for path in ["/a\"b", "/a$b", "/a\\b", "/a\nb"] {
            let error = text(NginxConfig { origin: Path::new(path), ..wanted() }).unwrap_err();
            assert!(error.message.starts_with("nginx cannot be told the path /a"), "{error}");
        }
    }
}
