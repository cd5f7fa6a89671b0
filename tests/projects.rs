//! Other people's projects: whatever they do, they run, they reach nobody, and nobody sees their secrets.

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Context, Said, case, said};

/// In `.env`, which git ignores.
const SECRET: &str = "hunter2-of-the-production-database";

/// A project in a repository of its own, run with a cache of its own.
struct Site {
    context: Context,
    cache: tempfile::TempDir,
}

impl Site {
    /// A copy of a project below `tests/projects`, committed, with these words in its files replaced.
    fn new(project: &str, words: &[(&str, &str)]) -> Self {
        let context = Context::new();
        fs::remove_dir_all(context.path("cases")).expect("it was there");
        copy(&Path::new("tests/projects").join(project), &context.path(""), words);
        // A file of this name would be in force here, too.
        fs::rename(context.path("gitignore"), context.path(".gitignore")).expect("a file");
        let site = Self { context, cache: tempfile::tempdir().expect("a temp folder") };
        site.git(&["init", "-q", "."]);
        site.commit("as it is");
        site
    }

    fn git(&self, words: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let status = Command::new("git").args(identity).args(words).current_dir(self.context.path("")).status();
        assert!(status.expect("git").success(), "{words:?}");
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", message]);
    }

    fn run(&self, arguments: &str) -> Said {
        let mut command = self.context.command(arguments);
        // What was downloaded for other tests need not be downloaded again.
        let usual = dj_regress::cache::Cache::location().expect("a cache").join("uv");
        let downloads = std::env::var_os("UV_CACHE_DIR").map_or(usual, PathBuf::from);
        said(command.env(dj_regress::cache::VARIABLE, self.cache.path()).env("UV_CACHE_DIR", downloads))
    }
}

fn copy(from: &Path, to: &Path, words: &[(&str, &str)]) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&path, &target, words);
        } else {
            let text = fs::read_to_string(&path).expect("a text");
            let text = words.iter().fold(text, |text, (word, value)| text.replace(word, value));
            fs::write(target, text).expect("a file");
        }
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// Those of them that hold this text.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files(folder).into_iter().filter(holds).collect()
}

#[test]
fn a_project_with_every_trap_is_proven_reaches_nobody_and_keeps_its_secret() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it does not wait");
    let port = listener.local_addr().expect("an address").port().to_string();
    let site = Site::new("traps", &[("@PORT@", &port)]);
    fs::write(site.context.path(".env"), format!("DATABASE_PASSWORD={SECRET}\nSECRET_KEY={SECRET}\n")).expect("a file");

    let said = site.run("run");
    let logs = files(&site.context.path("regress.out/log"));
    let logs: String = logs.iter().map(|log| fs::read_to_string(log).unwrap_or_default()).collect();
    assert_eq!(said.code, Some(0), "{said}\n{logs}");
    assert_eq!(case(&site.context.results(), "orders")["verdict"], "PROVEN");

    let connection = listener.accept();
    assert!(connection.is_err(), "somebody has connected to the host of the settings: {connection:?}");
    for folder in [site.cache.path(), &site.context.path("regress.out")] {
        assert_eq!(holding(folder, SECRET), Vec::<PathBuf>::new());
    }
    assert!(!said.stdout.contains(SECRET) && !said.stderr.contains(SECRET));
    // What was changed of the settings is told, without what may be a secret.
    for sentence in [
        "DATABASES['default']: the arm's database, without NAME, USER, HOST, PORT, OPTIONS.application_name",
        "DATABASES: default, reports are all the arm's one database",
        "CACHES['default']: the arm's Redis",
        "it names no broker, which means one on localhost",
        "EMAIL_BACKEND",
        "LOGGING: the handler file writes to the arm's log",
        "STORAGES['staticfiles']: without a manifest",
        "MEDIA_ROOT",
        "SECURE_SSL_REDIRECT",
        "ALLOWED_HOSTS",
    ] {
        assert!(logs.contains(sentence), "`{sentence}` is not in\n{logs}");
    }
}
