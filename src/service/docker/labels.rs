//! Labels: whose a container or an image is.

use testcontainers::bollard::models::ContainerSummary;

/// The labels of every container.
pub(super) const RUN: &str = "dj-regress.run";
pub(super) const TOKEN: &str = "dj-regress.token";

/// The label of images that we have made: of which.
pub(super) const MADE: &str = "dj-regress.made";

/// Whose containers they are: the run, and a secret of its own, so that no other run's name is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The id of the run.
    pub run: String,
    /// What only this run (and who sweeps it) knows.
    pub token: String,
}

/// A container of some run of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it says it is.
    pub owner: Owner,
}

impl Labelled {
    pub(super) fn of(found: ContainerSummary) -> Option<Self> {
        let mut labels = found.labels?;
        let owner = Owner { run: labels.remove(RUN)?, token: labels.remove(TOKEN)? };
        let name = found.names?.into_iter().next()?;
        Some(Self { id: found.id?, name: name.trim_start_matches('/').to_owned(), owner })
    }
}
