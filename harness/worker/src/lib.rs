//! The extension module `dj_regress.worker` (stub).
