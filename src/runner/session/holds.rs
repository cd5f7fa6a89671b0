//! Holds: moments at which a process stops itself, so that something can be done to it there.

use std::fs;
use std::path::{Path, PathBuf};

use dj_regress_protocol::{HOLD_BYTES, Hold, Holder, Slot};
use memmap2::{MmapOptions, MmapRaw};

use crate::case::{Action, HoldSpec, State, word};
use crate::error::{Context as _, Result};

/// All holds of an arm, in the order of the case.
#[derive(Debug)]
pub struct Holds {
    path: PathBuf,
    /// Shared with the actors; absent where there are no holds.
    map: Option<MmapRaw>,
    holds: Vec<Known>,
}

/// A hold of the case, and what became of it.
#[derive(Debug)]
struct Known {
    actor: String,
    /// The line of its step.
    line: usize,
    hold: Hold,
    is_armed: bool,
}

impl Holds {
    /// The holds of a state, none armed, in a file to be shared.
    pub fn create(path: &Path, state: &State) -> Result<Self> {
        let holds = state.all_steps().filter_map(|step| match &step.action {
            Action::Hold { actor, hold } => Some((step.line, actor, hold)),
            _ => None,
        });
        let holds: Vec<Known> = (0..).zip(holds).map(|(id, hold)| Known::new(id, state, hold)).collect();
        let map = if holds.is_empty() {
            None
        } else {
            let doing = || format!("make {}", path.display());
            fs::write(path, vec![0; holds.len() * HOLD_BYTES]).cannot_run(doing)?;
            let file = fs::File::options().read(true).write(true).open(path).cannot_run(doing)?;
            Some(MmapOptions::new().map_raw(&file).cannot_run(doing)?)
        };
        Ok(Self { path: path.to_owned(), map, holds })
    }

    /// Where they are shared.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Those of an actor.
    pub fn of(&self, actor: &str) -> Vec<Hold> {
        self.holds.iter().filter(|known| known.actor == actor).map(|known| known.hold.clone()).collect()
    }

    /// From now on the hold of the step in this line holds.
    pub fn arm(&mut self, line: usize) {
        for known in self.holds.iter_mut().filter(|known| known.line == line) {
            known.is_armed = true;
            if let Some(map) = &self.map {
                known.slot(map).arm();
            }
        }
    }

    /// The threads that wait at this actor's holds go on, and none is held any more.
    pub fn release(&mut self, actor: &str) {
        for known in self.holds.iter_mut().filter(|known| known.actor == actor) {
            known.is_armed = false;
            if let Some(map) = &self.map {
                known.slot(map).release();
            }
        }
    }

    /// The hold of this actor that was armed last.
    pub fn armed(&self, actor: &str) -> Option<u32> {
        self.holds.iter().rev().find(|known| known.is_armed && known.actor == actor).map(|known| known.hold.id)
    }
}

impl Known {
    fn new(id: u32, state: &State, (line, actor, hold): (usize, &String, &HoldSpec)) -> Self {
        let holder = match (state.is_web(actor), hold.every) {
            (false, _) => Holder::Process,
            (true, false) => Holder::Thread,
            (true, true) => Holder::EveryThread,
        };
        let hold = Hold {
            id,
            moment: hold.moment.clone(),
            at_return: hold.at_return,
            call: hold.call,
            holder,
            role: hold.role.map(word),
        };
        Self { actor: actor.clone(), line, hold, is_armed: false }
    }

    fn slot<'map>(&self, map: &'map MmapRaw) -> Slot<'map> {
        // SAFETY: the file was made with a slot for every hold, the mapping is alive, and all that share it go through
        // slots as well.
        unsafe { Slot::at(map.as_mut_ptr(), self.hold.id) }
    }
}
