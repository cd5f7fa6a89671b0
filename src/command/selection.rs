//! The cases that a command is for.

use std::path::PathBuf;

use crate::case::{Case, load};
use crate::cli::CaseArgs;
use crate::error::{Error, Result};

/// The cases that are selected, read and checked.
pub fn load(arguments: &CaseArgs) -> Result<Vec<Case>> {
    load::load_files(&select(arguments)?, &arguments.cases_dir)
}

/// The files of the cases that are selected.
pub fn select(arguments: &CaseArgs) -> Result<Vec<PathBuf>> {
    let folder = &arguments.cases_dir;
    if arguments.cases.is_empty() && !folder.is_dir() {
        if let Some(file) = Error::file_in_the_way(folder) {
            return Err(file.hint("`--cases-dir` names the folder of the cases"));
        }
        return Err(Error::nothing_selected(format!("there is no folder `{}`", folder.display()))
            .hint("name a case file, or with `--cases-dir` the folder of the cases"));
    }
    load::discover(&arguments.cases, folder)
}
