//! Finds the programs of Postgres and Redis: those installed, else those of two PyPI wheels. nginx must be installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::programs::{on_path, output_of};
use super::{installer, wheels};
use crate::cache::Cache;
use crate::error::{Error, Result};

/// The least major version that is supported: `DROP DATABASE .. WITH (FORCE)` came with it.
pub const LEAST_POSTGRES: u32 = 13;

/// What to do where there is no nginx.
pub(super) const NO_NGINX: &str = "apt-get install nginx-light  (or the like), or --services docker";

/// Where the servers' programs are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Programs {
    /// What is installed, else the wheels.
    #[default]
    Auto,
    /// Only what is installed.
    Installed,
    /// Only the wheels.
    Wheels,
}

impl std::str::FromStr for Programs {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "installed" => Ok(Self::Installed),
            "wheels" => Ok(Self::Wheels),
            _ => Err(Error::usage(format!("programs from `{text}`")).hint("one of: auto, installed, wheels")),
        }
    }
}

/// The programs of one Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresBinaries {
    /// The folder with `postgres` and `initdb`.
    pub folder: PathBuf,
    /// What `postgres --version` says, e.g. `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    /// Its major version.
    pub major: u32,
    /// A folder above to copy when the server's user cannot reach it where it is; only wheels can be moved.
    pub movable: Option<PathBuf>,
}

/// The program of one Redis or Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisBinary {
    /// `redis-server` or `valkey-server`.
    pub program: PathBuf,
    /// Its version, e.g. `7.0.15`.
    pub version: String,
}

/// The program of one nginx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NginxBinary {
    /// `nginx`.
    pub program: PathBuf,
    /// Its version, e.g. `1.22.1`.
    pub version: String,
}

/// Finds Postgres, with `pg_stat_statements`.
///
/// # Errors
///
/// Cannot run if there is none, saying where it was looked for and what to install.
pub fn postgres(programs: Programs, cache: &Cache) -> Result<PostgresBinaries> {
    let mut looked = Vec::new();
    if programs != Programs::Wheels
        && let Some(found) = installed_postgres(&mut looked)
    {
        return Ok(found);
    }
    if programs == Programs::Installed {
        return Err(missing("PostgreSQL", &looked, "postgresql postgresql-contrib"));
    }
    let install = wheels::Tools::install(cache).and_then(|tools| {
        inspect_postgres(&tools.postgres.join("bin"), Some(tools.packages.clone())).map_err(Error::cannot_run)
    });
    install.map_err(|error| {
        looked.push(format!("PyPI: {error}"));
        missing("PostgreSQL", &looked, "postgresql postgresql-contrib")
    })
}

/// Finds Redis or Valkey.
///
/// # Errors
///
/// Cannot run if there is none, saying where it was looked for and what to install.
pub fn redis(programs: Programs, cache: &Cache) -> Result<RedisBinary> {
    let mut looked = Vec::new();
    if programs != Programs::Wheels
        && let Some(found) = installed_redis(&mut looked)
    {
        return Ok(found);
    }
    if programs == Programs::Installed {
        return Err(missing("Redis", &looked, "redis-server"));
    }
    let install =
        wheels::Tools::install(cache).and_then(|tools| inspect_redis(&tools.redis).map_err(Error::cannot_run));
    install.map_err(|error| {
        looked.push(format!("PyPI: {error}"));
        missing("Redis", &looked, "redis-server")
    })
}

/// Finds nginx, which no wheel brings.
///
/// # Errors
///
/// Cannot run if there is none, saying where it was looked for and what to do.
pub fn nginx() -> Result<NginxBinary> {
    let mut looked = Vec::new();
    installed_nginx(&mut looked).ok_or_else(|| {
        Error::cannot_run(format!("no nginx was found; looked at: {}", looked.join("; "))).hint(NO_NGINX)
    })
}

/// The installed Postgres that would be used; `looked` gets what was looked at and why it was not taken.
pub(super) fn installed_postgres(looked: &mut Vec<String>) -> Option<PostgresBinaries> {
    let on_path = on_path("postgres").into_iter().filter_map(|program| program.parent().map(Path::to_owned));
    let configured = on_path_output("pg_config", "--bindir").map(PathBuf::from);
    let mut known: Vec<PathBuf> = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ]
    .into_iter()
    .flat_map(|(parent, prefix, below)| versioned_folders(Path::new(parent), prefix, below))
    .collect();
    known.extend(["/usr/local/pgsql/bin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    let mut seen: Vec<PathBuf> = Vec::new();
    for folder in on_path.chain(configured).chain(known) {
        let Ok(folder) = folder.canonicalize() else { continue };
        if seen.contains(&folder) || !folder.join("postgres").is_file() {
            continue;
        }
        match inspect_postgres(&folder, None) {
            Ok(found) => return Some(found),
            Err(reason) => looked.push(reason),
        }
        seen.push(folder);
    }
    looked.push(
        "`postgres` on PATH, `pg_config --bindir`, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, Homebrew".to_owned(),
    );
    None
}

/// The installed Redis or Valkey that would be used.
pub(super) fn installed_redis(looked: &mut Vec<String>) -> Option<RedisBinary> {
    for name in ["redis-server", "valkey-server"] {
        let folders = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/homebrew/bin"];
        let known = folders.map(|folder| Path::new(folder).join(name)).into_iter().filter(|path| path.is_file());
        for program in on_path(name).into_iter().chain(known) {
            match inspect_redis(&program) {
                Ok(found) => return Some(found),
                Err(reason) => looked.push(reason),
            }
        }
    }
    looked.push("`redis-server` and `valkey-server` on PATH, in /usr/bin, /usr/local/bin, /usr/sbin".to_owned());
    None
}

/// The installed nginx that would be used.
pub(super) fn installed_nginx(looked: &mut Vec<String>) -> Option<NginxBinary> {
    // Not on everybody's PATH.
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
    let known = folders.map(|folder| Path::new(folder).join("nginx")).into_iter().filter(|path| path.is_file());
    for program in on_path("nginx").into_iter().chain(known) {
        match inspect_nginx(&program) {
            Ok(found) => return Some(found),
            Err(reason) => looked.push(reason),
        }
    }
    looked.push(format!("`nginx` on PATH, in {}", folders.join(", ")));
    None
}

fn on_path_output(name: &str, argument: &str) -> Option<String> {
    output_of(on_path(name).first()?, &[argument.as_ref()])
}

/// `<parent>/<prefix><version>/<below>`, the highest version first.
fn versioned_folders(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
            Some((version, entry.path().join(below)))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// Whether the Postgres in this folder can be used, else why not.
fn inspect_postgres(folder: &Path, movable: Option<PathBuf>) -> Result<PostgresBinaries, String> {
    let program = folder.join("postgres");
    let text = output_of(&program, &["--version".as_ref()])
        .ok_or_else(|| format!("{}: `--version` fails", program.display()))?;
    let version = text.split_once("(PostgreSQL) ").map_or(text.as_str(), |(_, version)| version).to_owned();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    let major: u32 = digits.parse().map_err(|_| format!("{}: its version is `{text}`", program.display()))?;
    if major < LEAST_POSTGRES {
        return Err(format!("{}: version {version}, {LEAST_POSTGRES} or later is needed", program.display()));
    }
    if !folder.join("initdb").is_file() {
        return Err(format!("{}: no initdb beside it", program.display()));
    }
    if !has_statements(folder, major) {
        return Err(format!("{}: pg_stat_statements is not installed", program.display()));
    }
    Ok(PostgresBinaries { folder: folder.to_owned(), version, major, movable })
}

/// Whether the library `pg_stat_statements` is where this Postgres looks for it.
fn has_statements(folder: &Path, major: u32) -> bool {
    let parent = folder.parent().unwrap_or(folder);
    let near = ["lib", "lib/postgresql", "lib64/pgsql", "lib/pgsql", "lib64", "pkglib"].map(|name| parent.join(name));
    let far = [format!("/usr/lib/postgresql/{major}/lib"), format!("/usr/pgsql-{major}/lib")].map(PathBuf::from);
    let is_there = |folder: &PathBuf| {
        ["so", "dylib"].iter().any(|ending| folder.join("pg_stat_statements").with_extension(ending).is_file())
    };
    near.iter().chain(&far).any(is_there)
        || output_of(&folder.join("pg_config"), &["--pkglibdir".as_ref()]).is_some_and(|path| is_there(&path.into()))
}

/// Whether this Redis or Valkey can be used, else why not.
fn inspect_redis(program: &Path) -> Result<RedisBinary, String> {
    // `Redis server v=7.0.15 sha=...`, `Valkey server v=9.1.2 sha=...`
    let text = output_of(program, &["--version".as_ref()])
        .ok_or_else(|| format!("{}: `--version` fails", program.display()))?;
    let version = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("v="));
    let version = version.ok_or_else(|| format!("{}: its version is `{text}`", program.display()))?;
    Ok(RedisBinary { program: program.to_owned(), version: version.to_owned() })
}

/// Whether this nginx can be used, else why not.
fn inspect_nginx(program: &Path) -> Result<NginxBinary, String> {
    // To its standard error: `nginx version: nginx/1.22.1`
    let output = installer::answer(Command::new(program).arg("-v"));
    let output = output.map_err(|error| format!("{}: `-v` fails: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let version = text.trim().split_once('/').map(|(_, version)| version);
    let version = version.ok_or_else(|| format!("{}: its version is `{}`", program.display(), text.trim()))?;
    Ok(NginxBinary { program: program.to_owned(), version: version.to_owned() })
}

fn missing(what: &str, looked: &[String], packages: &str) -> Error {
    let places: Vec<String> = looked.iter().map(|place| format!("\n  {place}")).collect();
    Error::cannot_run(format!("no {what} was found; looked at:{}", places.concat()))
        .hint(format!("apt-get install {packages}  (or the like), or give access to PyPI for the wheels"))
}
