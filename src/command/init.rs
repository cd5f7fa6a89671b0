//! `init`: the section of a project, and a first case that runs.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::shell;
use crate::case::schema;
use crate::cli::InitArgs;
use crate::error::{Context as _, Error, Result};
use crate::exit::Exit;
use crate::project::{Database, SHARED, Section, Survey, shown};
use crate::report::terminal;

/// The folder of the cases.
const CASES: &str = "regress";

/// The first case, with blanks in braces.
const CASE: &str = include_str!("first_case.yaml");

/// What makes its user.
const SEED: &str = include_str!("first_seed.py");

/// What a case over a project with another database has to say.
const ON_POSTGRES: &str = "\n# An arm has Postgres; this project has another database by default.\n\
     settings: {DATABASES: {default: {ENGINE: django.db.backends.postgresql}}}\n";

/// How tasks are driven, by the queue that is there.
const TASKS: [(&str, &str); 2] = [
    (
        "django-q2",
        "# Tasks run as well: `actors: {q: {cluster: real}}`, and as steps `start: q`, `enqueue: APP.tasks.NAME` with\n\
         # `args: [...]`, `drain: q`.\n",
    ),
    (
        "Celery",
        "# Tasks of Celery are functions: `actors: {app: {python: APP.tasks}}` and the step `{python: app, run: NAME(...)}`.\n",
    ),
];

/// Finds out what it can, asks the rest, and writes.
pub fn init(arguments: &InitArgs) -> Result<Exit> {
    let folder = std::env::current_dir().cannot_run(|| "find the current folder".to_owned())?;
    if let Some((_, file, _)) = Section::of(&folder)? {
        let message = format!("{} has a section of dj-regress already", shown(&file).display());
        return Err(Error::usage(message).hint(format!("`{} config` shows what it says", shell::program())));
    }
    let known = Known::find(&folder, arguments)?;
    let (file, section) = known.section(&folder);
    let cases = folder.join(CASES);
    let files = [
        (cases.join("first.yaml"), known.case()),
        (cases.join("seed.py"), SEED.to_owned()),
        (cases.join("case.schema.json"), schema::text()),
    ];
    if let Some((there, _)) = files.iter().find(|(path, _)| path.exists()) {
        let message = format!("{} is there already", shown(there).display());
        return Err(Error::usage(message).hint("nothing was written; move it, or write the section by hand"));
    }
    for (path, text) in &files {
        write(path, text)?;
    }
    append(&file, &section)?;
    super::print(&format!(
        "{}wrote the section in {}, and {CASES}/ with first.yaml, seed.py and case.schema.json\n\
         next: `{} run first`; then make the case yours\n",
        known.told(&folder),
        shown(&file).display(),
        shell::program()
    ))?;
    Ok(Exit::AsDeclared)
}

/// What the section and the first case are made from.
struct Known {
    root: PathBuf,
    settings: String,
    /// What the section says of requirements; nothing where what is found is enough.
    requirements: Vec<String>,
    page: String,
    survey: Survey,
}

impl Known {
    fn find(folder: &Path, arguments: &InitArgs) -> Result<Self> {
        let roots = Survey::roots(folder);
        let root = match (&arguments.root, roots.as_slice()) {
            (Some(root), _) => folder.join(root),
            (None, [root]) => root.clone(),
            (None, []) => {
                return Err(Error::usage("there is no manage.py here, nor in the folders below")
                    .hint("go to the folder of your project, or name that of manage.py: `--root FOLDER`"));
            }
            (None, several) => {
                let names: Vec<String> = several.iter().map(|root| shown(root).display().to_string()).collect();
                folder.join(ask("--root FOLDER", "the folder of manage.py", &names)?)
            }
        };
        let survey = Survey::of(folder, &root, arguments.settings.as_deref());
        let settings = match &survey.settings {
            Some(settings) => settings.clone(),
            None => ask("--settings MODULE", "the settings module", &survey.modules)?,
        };
        let requirements = match (&survey.requirements, &survey.django) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(release)) => vec![format!("django=={release}.*")],
            (None, None) => vec![ask("--requirements FILE", "where the packages of the project stand", &[])?],
        };
        let requirements = arguments.requirements.clone().map_or(requirements, |named| vec![named]);
        let page = match arguments.page.clone().or_else(|| survey.admin.clone()) {
            Some(page) => page,
            None => ask("--page PATH", "a page that only a user who is logged in can see", &[])?,
        };
        Ok(Self { root, settings, requirements, page, survey })
    }

    /// Where the section goes, and its text.
    fn section(&self, folder: &Path) -> (PathBuf, String) {
        let (file, head) = match folder.join(SHARED) {
            file if file.is_file() => (file, "\n[tool.dj-regress]\n"),
            _ => (folder.join(crate::project::OWN), ""),
        };
        let mut text = head.to_owned();
        let mut line = |key: &str, value: String| text.extend([key, " = ", value.as_str(), "\n"]);
        if let Ok(below) = self.root.strip_prefix(folder)
            && !below.as_os_str().is_empty()
        {
            line("root", quoted(&below.display().to_string()));
        }
        line("settings", quoted(&self.settings));
        line("cases", quoted(CASES));
        let driver = (!self.survey.has_driver).then(|| "psycopg[binary]".to_owned());
        let requirements: Vec<String> = self.requirements.iter().chain(&driver).map(|word| quoted(word)).collect();
        line("requirements", format!("[{}]", requirements.join(", ")));
        line("seed", format!("[{}]", quoted(&format!("{CASES}/seed.py:fill"))));
        text.push_str(
            "# env = {SECRET_KEY = \"for-arms-only\"}    # what the settings read; nothing else of yours gets in\n",
        );
        (file, text)
    }

    fn case(&self) -> String {
        let settings = if self.survey.database == Database::Other { ON_POSTGRES } else { "" };
        let tasks = TASKS.iter().find(|(queue, _)| self.survey.queue == Some(*queue)).map_or("", |(_, tasks)| tasks);
        let blanks = [("{page}", self.page.as_str()), ("{settings}\n", settings), ("{tasks}\n", tasks)];
        blanks.iter().fold(CASE.to_owned(), |text, (blank, value)| text.replace(blank, value))
    }

    fn told(&self, folder: &Path) -> String {
        let requirements = match (&self.survey.requirements, &self.survey.django) {
            (Some(file), _) => file.clone(),
            (None, Some(release)) => format!("none; the settings were made by Django {release}"),
            (None, None) => "none".to_owned(),
        };
        let rows = [
            (
                "manage.py",
                self.root.strip_prefix(folder).map_or_else(|_| self.root.as_path(), shown).display().to_string(),
            ),
            ("settings", self.settings.clone()),
            ("requirements", requirements),
            ("database", self.survey.database.to_string()),
            ("queue", self.survey.queue.unwrap_or("none").to_owned()),
            ("page", self.page.clone()),
        ];
        rows.iter()
            .map(|(what, found)| format!("found {what:<12}   {}\n", if found.is_empty() { "." } else { found }))
            .collect()
    }
}

/// Asks for what is not found. Where nobody can answer, the option to add is said.
fn ask(option: &str, what: &str, choices: &[String]) -> Result<String> {
    let choices = if choices.is_empty() { String::new() } else { format!(", one of {}", choices.join(", ")) };
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Error::usage(format!("{what} is not found{choices}")).hint(format!("add `{option}`")));
    }
    terminal::ask(&format!("{what}{choices}: ")).and_then(|answer| {
        if answer.is_empty() {
            return Err(Error::usage(format!("{what} is not known")).hint(format!("add `{option}`")));
        }
        Ok(answer)
    })
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let doing = || format!("write {}", shown(path).display());
    fs::create_dir_all(path.parent().unwrap_or(path)).cannot_run(doing)?;
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::usage(format!("{} is there already", shown(path).display())),
        _ => Error::cannot_run(format!("{}: {error}", doing())),
    })?;
    file.write_all(text.as_bytes()).cannot_run(doing)
}

fn append(path: &Path, text: &str) -> Result<()> {
    let doing = || format!("write {}", shown(path).display());
    let mut file = OpenOptions::new().create(true).append(true).open(path).cannot_run(doing)?;
    let ends = fs::read(path).is_ok_and(|before| before.is_empty() || before.ends_with(b"\n"));
    let text = if ends { text.to_owned() } else { format!("\n{text}") };
    file.write_all(text.as_bytes()).cannot_run(doing)
}
