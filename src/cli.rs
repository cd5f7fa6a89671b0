//! The command line.

use std::path::PathBuf;

use crate::plan::{Choice, States};
use crate::service::Secret;
use clap::{Args, Parser, Subcommand};

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
    /// Print the JSON Schema of the case language
    Schema,
    /// Say what is here, what would be used, and how to get what is missing
    Doctor,
    /// Remove what interrupted runs left behind
    Clean(CleanArgs),
    /// Removes what a run has made on servers of others; for its keeper, not for people
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
    Keeper {
        /// The run's private folder.
        folder: PathBuf,
    },
}

/// Which cases.
#[derive(Debug, Clone, Args)]
pub struct CaseArgs {
    /// Cases (`django_q/stat_master_list`), folders (`django_q`) or files; all when none is named
    pub cases: Vec<String>,
    /// The folder of the cases, with their `locks/`
    #[arg(long, default_value = "cases", value_name = "FOLDER")]
    pub cases_dir: PathBuf,
}

/// Options of `run`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct RunArgs {
    /// Which cases.
    #[command(flatten)]
    pub selection: CaseArgs,
    /// Where results and logs go; the previous run is kept beside it as `<FOLDER>.old`
    #[arg(long, default_value = "regress.out", value_name = "FOLDER")]
    pub outputdir: PathBuf,
    /// Arms to run at the same time [default: the number of processors]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// The Python for cases that pin none: a version (`3.12`) or the path of an interpreter
    #[arg(long, value_name = "PYTHON")]
    pub python: Option<String>,
    /// States to run; a verdict needs `both`
    #[arg(long, value_name = "STATES", value_enum, default_value_t)]
    pub state: States,
    /// Run the applied state twice, against itself: counts must be equal, bytes within 1 %
    #[arg(long, conflicts_with = "state")]
    pub control: bool,
    /// Where Postgres and Redis run: in containers, as processes of the run's own, or where the two URLs say; with
    /// `auto`, given if a URL is, else the first that is there
    #[arg(long, value_name = "PLACE", default_value = "auto", value_parser = ["auto", "docker", "local", "given"])]
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
    /// Empty the cache as well: environments, wheels, overlays, the templates of Postgres, the images that hold them
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
    /// The folder of the cases, with their `locks/`
    #[arg(long, default_value = "cases", value_name = "FOLDER")]
    pub cases_dir: PathBuf,
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
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',', conflicts_with = "releases")]
    pub pythons: Vec<String>,
}

/// On what `matrix` and `bisect` run.
#[derive(Debug, Clone, Args)]
pub struct MachineArgs {
    /// Where results and logs go; the previous run is kept beside it as `<FOLDER>.old`
    #[arg(long, default_value = "regress.out", value_name = "FOLDER")]
    pub outputdir: PathBuf,
    /// Arms to run at the same time [default: the number of processors]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// The Python for cases that pin none: a version (`3.12`) or the path of an interpreter
    #[arg(long, value_name = "PYTHON")]
    pub python: Option<String>,
    /// Where Postgres and Redis run, as for `run`
    #[arg(long, value_name = "PLACE", default_value = "auto", value_parser = ["auto", "docker", "local", "given"])]
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

/// Options of `new`.
#[derive(Debug, Clone, Args)]
pub struct NewArgs {
    /// The case: `django_q/tasks_run_twice` becomes `cases/django_q/tasks_run_twice.yaml`
    pub name: String,
    /// The folder of the cases
    #[arg(long, default_value = "cases", value_name = "FOLDER")]
    pub cases_dir: PathBuf,
    /// The thread that reports it, e.g. `django-q2#300`
    #[arg(long, value_name = "ISSUE")]
    pub issue: Option<String>,
    /// The release of django-q2 that has the bug
    #[arg(long, value_name = "RELEASE", default_value = "1.11.1")]
    pub release: String,
}
