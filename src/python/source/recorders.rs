//! What no fix may touch: the files that record what is measured.

use std::path::Path;

use super::{Refusal, Sources, package_of};

impl Sources {
    /// Refuses a state in which a recorder of the harness says something else: what it would count is not what happens.
    pub fn leaves_alone(&self, recorders: &[&str], folder: &Path) -> Result<(), Refusal> {
        let touched = recorders.iter().find(|file| {
            self.changed.contains_key(**file) && self.root_of(package_of(file)).is_some_and(|root| root == folder)
        });
        match touched {
            Some(file) => {
                Err(Refusal(format!("{file} records what is measured: a change of it says nothing of the app")))
            }
            None => Ok(()),
        }
    }
}
