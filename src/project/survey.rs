//! What can be seen of a project without running it: for `init`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::detect;
use crate::input::inside;
use crate::input::limit::SOURCE;

/// Where requirements usually stand, the most exact first.
const REQUIREMENTS: [&str; 9] = [
    "uv.lock",
    "pylock.toml",
    "poetry.lock",
    "Pipfile.lock",
    "requirements.txt",
    "requirements/production.txt",
    "requirements/base.txt",
    "requirements/common.txt",
    "requirements/requirements.txt",
];

/// Before the release that has made a project's settings.
const MADE_BY: &str = "using Django ";

/// The database of a project by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Postgres, or what the environment says.
    Postgres,
    /// Another one.
    Other,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "Postgres, or as the environment says",
            Self::Other => "SQLite or another: the case asks for Postgres",
        })
    }
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The settings module, where it is said or plain.
    pub settings: Option<String>,
    /// Modules that may be the settings.
    pub modules: Vec<String>,
    /// The file with the requirements, below the project.
    pub requirements: Option<String>,
    /// Whether they bring a driver of Postgres.
    pub has_driver: bool,
    /// The minor series of Django that has made the settings: `5.2`.
    pub django: Option<String>,
    /// The database.
    pub database: Database,
    /// What runs tasks.
    pub queue: Option<&'static str>,
    /// The path of the admin site.
    pub admin: Option<String>,
}

impl Survey {
    /// The folders with a `manage.py`.
    pub fn roots(folder: &Path) -> Vec<PathBuf> {
        detect::roots(folder)
    }

    /// Looks at the project in a folder, whose `manage.py` is in `root`.
    pub fn of(folder: &Path, root: &Path, settings: Option<&str>) -> Self {
        let files = python_files(root);
        let settings = settings.map(str::to_owned).or_else(|| detect::settings(root).map(|(module, ..)| module));
        let modules = files.iter().filter_map(|file| settings_module(root, file)).collect();
        let settings_text = settings.as_deref().map(|module| text_of_module(root, module)).unwrap_or_default();
        let named = REQUIREMENTS.iter().find(|name| root.join(name).is_file() || folder.join(name).is_file());
        let pyproject = read(&folder.join("pyproject.toml"));
        let requirements = named.map(|name| (*name).to_owned());
        let requirements =
            requirements.or_else(|| pyproject.contains("dependencies").then(|| "pyproject.toml".to_owned()));
        let mut wanted = pyproject;
        if let Some(name) = &requirements {
            wanted += &read(&root.join(name));
            wanted += &read(&folder.join(name));
        }
        let wanted = wanted.to_lowercase();
        let uses = |package: &str, app: &str| wanted.contains(package) || settings_text.contains(app);
        let queues = [("django-q2", uses("django-q", "django_q")), ("Celery", uses("celery", "CELERY"))];
        let is_other = ["sqlite3", "backends.mysql", "backends.oracle"].iter().any(|name| settings_text.contains(name));
        let database =
            if is_other && !settings_text.contains("postgres") { Database::Other } else { Database::Postgres };
        Self {
            modules,
            has_driver: wanted.contains("psycopg"),
            requirements,
            django: settings_text.split_once(MADE_BY).and_then(|(_, rest)| minor(rest)),
            database,
            queue: queues.iter().find(|(_, is_used)| *is_used).map(|(queue, _)| *queue),
            admin: files.iter().find_map(|file| admin(&read(file))),
            settings,
        }
    }
}

/// `5.2` of `5.2.1.`
fn minor(text: &str) -> Option<String> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).take(2);
    let (major, minor) = (parts.next()?, parts.next()?);
    (!major.is_empty() && !minor.is_empty()).then(|| format!("{major}.{minor}"))
}

/// The path of `path("admin/", admin.site.urls)`.
fn admin(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("admin.site.urls") && !line.trim_start().starts_with('#'))?;
    let path = line.split(['"', '\'']).nth(1)?;
    let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c));
    is_plain.then(|| format!("/{path}"))
}

/// Python files that belong to the folders just below the root, and one below these.
fn python_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for depth in ["*", "*/*"] {
        let folders: Vec<PathBuf> = match depth {
            "*" => detect::folders(root),
            _ => detect::folders(root).iter().flat_map(|folder| detect::folders(folder)).collect(),
        };
        for folder in folders {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            found.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "py")));
        }
    }
    found.sort();
    found
}

/// `mysite.settings` of `mysite/settings.py`; `config.settings.local` of `config/settings/local.py`.
fn settings_module(root: &Path, file: &Path) -> Option<String> {
    let parts: Vec<String> = file
        .strip_prefix(root)
        .ok()?
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let (last, folders) = parts.split_last()?;
    let is_settings =
        last == "settings" || folders.last().is_some_and(|folder| folder == "settings") && last != "__init__";
    is_settings.then(|| parts.join("."))
}

/// The text of a module, or of all files of a package, whose parts may each be about another thing.
fn text_of_module(root: &Path, module: &str) -> String {
    let path = root.join(module.replace('.', "/"));
    let mut text = read(&path.with_extension("py"));
    let package =
        if path.is_dir() { Some(path.as_path()) } else { path.parent().filter(|parent| parent.ends_with("settings")) };
    for entry in package.into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten()) {
        text += &read(&entry.path());
    }
    text
}

/// What cannot be read says nothing.
fn read(file: &Path) -> String {
    inside::read_text(file, SOURCE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("    path('admin/', admin.site.urls),", Some("/admin/"))]
    #[case("    path(\"backstage/admin/\", admin.site.urls),", Some("/backstage/admin/"))]
    #[case("    # path('admin/', admin.site.urls),", None)]
    #[case("    re_path(r'^admin/', admin.site.urls),", None)]
    fn the_admin_site_is_found_where_its_path_is_plain(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(admin(&format!("from django.contrib import admin\n{line}\n")).as_deref(), expected);
    }

    #[rstest]
    #[case("5.2.1.\n", Some("5.2"))]
    #[case("6.0a1", Some("6.0"))]
    #[case("main", None)]
    fn the_minor_series_is_that_of_the_release(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(minor(text).as_deref(), expected);
    }

    #[test]
    fn a_project_is_looked_at_without_running_it() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write("manage.py", "");
        write("config/settings/base.py", "\"\"\"Generated by 'django-admin startproject' using Django 5.2.1.\"\"\"\n");
        write("config/settings/local.py", "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3'}}\n");
        write("config/urls.py", "urlpatterns = [path('admin/', admin.site.urls)]\n");
        write("requirements/base.txt", "django\ndjango-q2==1.9.0\n");
        let seen = Survey::of(folder.path(), folder.path(), None);
        assert_eq!(
            (seen.settings, seen.modules.join(" ")),
            (None, "config.settings.base config.settings.local".into())
        );
        let seen = Survey::of(folder.path(), folder.path(), Some("config.settings.local"));
        assert_eq!(seen.requirements.as_deref(), Some("requirements/base.txt"));
        assert_eq!((seen.django.as_deref(), seen.database), (Some("5.2"), Database::Other));
        assert_eq!((seen.queue, seen.admin.as_deref(), seen.has_driver), (Some("django-q2"), Some("/admin/"), false));
    }
}
