//! The extension module `dj_regress.worker`: what runs inside every Python process of a run.
//!
//! Here are the message loop, the ledger, the journal, the holds, the clock and the fingerprints; what needs to know Django,
//! django-q2 or waitress is in the Python modules beside it (`harness/worker/python/dj_regress`).

mod append;
mod channel;
mod clock;
mod convert;
mod fingerprint;
mod fork;
mod hold;
mod journal;
mod ledger;
mod run;
mod site;
mod world;

use pyo3::prelude::*;

/// The module as Python imports it.
#[pymodule]
fn worker(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<hold::Holds>()?;
    module.add_class::<journal::Journal>()?;
    module.add_class::<ledger::Ledger>()?;
    module.add_function(wrap_pyfunction!(clock::attach, module)?)?;
    module.add_function(wrap_pyfunction!(clock::machine, module)?)?;
    module.add_function(wrap_pyfunction!(fingerprint::fingerprint, module)?)?;
    module.add_function(wrap_pyfunction!(fingerprint::fingerprint_tree, module)?)?;
    module.add_function(wrap_pyfunction!(fingerprint::digest, module)?)?;
    module.add_function(wrap_pyfunction!(run::run, module)?)?;
    module.add_function(wrap_pyfunction!(world::seal, module)?)?;
    module.add_function(wrap_pyfunction!(world::join, module)?)?;
    module.add_function(wrap_pyfunction!(world::own_folders, module)?)?;
    Ok(())
}
