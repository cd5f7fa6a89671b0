//! The message loop that every Python process of a run is in.

use std::path::PathBuf;

use dj_regress_protocol::{ActorKind, Enter, Hello, Reply, Request, Stepped};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::channel::{self, Channel};
use crate::convert::{failed, from_python, to_dict, to_python};
use crate::fork::{self, Side};
use crate::world::refused;

/// Connects to the controller as `name` and does what it asks until it hangs up. Before, it joins the user namespace of
/// the process `users`, without which it could make no other.
#[pyfunction]
#[pyo3(signature = (socket, name, users=None))]
pub fn run(py: Python<'_>, socket: PathBuf, name: String, users: Option<u32>) -> PyResult<()> {
    if let Some(process) = users {
        dj_regress_world::join_user(process).map_err(refused)?;
    }
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(channel::close_inherited, py)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    let channel = Channel::connect(&socket)?;
    let mut process = Process { socket, channel, pid: std::process::id(), actor: None, is_command: false };
    process.hello(py, name)?;
    process.serve(py)?;
    if process.is_command {
        return Ok(());
    }
    fork::exit(py, 0)
}

/// This process, as the controller knows it.
struct Process {
    socket: PathBuf,
    channel: Channel,
    pid: u32,
    /// `dj_regress.actor.Actor`, once it has entered an arm.
    actor: Option<Py<PyAny>>,
    /// Whether it has become a management command, which ends as such.
    is_command: bool,
}

impl Process {
    fn hello(&mut self, py: Python<'_>, name: String) -> PyResult<()> {
        let python = py.import("platform")?.call_method0("python_version")?.extract()?;
        let hello = Hello { name, pid: self.pid, python };
        Ok(self.channel.send(&hello)?)
    }

    fn serve(&mut self, py: Python<'_>) -> PyResult<()> {
        while let Some(line) = self.channel.receive(py)? {
            let outcome = match serde_json::from_slice(&line) {
                Ok(Request::Fork(fork)) => match self.fork(py) {
                    Ok(Side::Original) => Ok(Reply::Done),
                    Ok(Side::Copy) => {
                        self.reconnect(py, fork.name)?;
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Ok(Request::RunCluster) => {
                    if self.channel.send(&Reply::Done).is_err() {
                        return Ok(());
                    }
                    self.step(py, "run_cluster", ())?;
                    // Out of the loop and the interpreter as any command: multiprocessing waits for the sentinel.
                    self.is_command = true;
                    return Ok(());
                }
                Ok(request) => self.answer(py, request),
                Err(error) => Err(PyValueError::new_err(format!("not a request: {error}"))),
            };
            if std::process::id() != self.pid {
                // A step forked, and its child fell through into this loop.
                fork::exit(py, 0);
            }
            let reply = match outcome {
                Ok(reply) => reply,
                Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => return Err(error),
                Err(error) => Reply::Failed(failed(py, &error)),
            };
            if self.channel.send(&reply).is_err() {
                // The controller is gone; there is no one to tell.
                return Ok(());
            }
        }
        Ok(())
    }

    fn fork(&self, py: Python<'_>) -> PyResult<Side> {
        if self.actor.is_some() {
            return Err(PyRuntimeError::new_err("an actor cannot be forked: fork its zygote instead"));
        }
        fork::fork(py)
    }

    /// In a fresh copy: its own connection under its own name.
    fn reconnect(&mut self, py: Python<'_>, name: String) -> PyResult<()> {
        let channel = Channel::connect(&self.socket)?;
        std::mem::replace(&mut self.channel, channel).abandon();
        self.pid = std::process::id();
        self.hello(py, name)
    }

    fn answer(&mut self, py: Python<'_>, request: Request) -> PyResult<Reply> {
        let stepped = match request {
            Request::Import(modules) => {
                for module in modules {
                    py.import(module)?;
                }
                return Ok(Reply::Done);
            }
            Request::Prepare(prepare) => {
                let prepared = call(py, "dj_regress.process", "prepare", &prepare)?;
                return Ok(Reply::Prepared(plain(&prepared)?));
            }
            Request::Compare(texts) => {
                let texts = to_python(py, &json(&texts)?)?;
                let differing = py.import("dj_regress.trees")?.call_method1("differing", (texts,))?;
                return Ok(Reply::Compared(differing.extract()?));
            }
            Request::Enter(enter) => return self.enter(py, enter),
            Request::Fork(_) | Request::RunCluster => unreachable!("handled by the loop"),
            Request::Migrate => {
                self.step(py, "migrate", ())?;
                return Ok(Reply::Done);
            }
            Request::Seed(words) => {
                self.step(py, "seed", (words,))?;
                return Ok(Reply::Done);
            }
            Request::Login(fields) => {
                let (name, value) = self.step(py, "login", (to_python(py, &json(&fields)?)?,))?.extract()?;
                return Ok(Reply::Cookie(name, value));
            }
            Request::Serve(serve) => {
                self.step(py, "serve", (serve.socket, serve.threads))?;
                return Ok(Reply::Done);
            }
            Request::CreateCacheTables => {
                self.step(py, "create_cache_tables", ())?;
                return Ok(Reply::Done);
            }
            Request::Start => Stepped { beats: self.count(py, "start", ())?, ..Stepped::default() },
            Request::Restart => Stepped { beats: self.count(py, "restart", ())?, restarts: 1, ..Stepped::default() },
            Request::Beat { count } => Stepped { beats: self.count(py, "beat", (count,))?, ..Stepped::default() },
            Request::Drain { at_most } => Stepped { tasks: self.count(py, "drain", (at_most,))?, ..Stepped::default() },
            Request::Tick { count } => {
                self.step(py, "tick", (count,))?;
                Stepped::default()
            }
            Request::Enqueue(enqueue) => {
                let outcome = self.step(py, "enqueue", (to_python(py, &json(&enqueue)?)?,))?;
                let (accepted, refused): (u64, Option<Bound<'_, PyAny>>) = outcome.extract()?;
                let refused = refused.map(|error| failed(py, &PyErr::from_value(error)));
                return Ok(Reply::Enqueued { accepted, refused });
            }
            Request::Schedule(schedule) => {
                self.step(py, "schedule", (to_python(py, &json(&schedule)?)?,))?;
                return Ok(Reply::Done);
            }
            Request::Lives => {
                let lives = py.import("dj_regress.lives")?.call_method0("lives")?;
                return Ok(Reply::Lives(lives.extract()?));
            }
            Request::Tasks => return Ok(Reply::Tasks(plain(&self.step(py, "tasks", ())?)?)),
            Request::Python { source, times } => {
                self.step(py, "python", (source, times))?;
                Stepped::default()
            }
            Request::Read(expressions) => {
                let expressions = to_python(py, &json(&expressions)?)?;
                let values = self.step(py, "read", (expressions,))?;
                Stepped { values: plain(&values)?, ..Stepped::default() }
            }
        };
        Ok(Reply::Stepped(stepped))
    }

    fn enter(&mut self, py: Python<'_>, enter: Enter) -> PyResult<Reply> {
        if self.actor.is_some() {
            return Err(PyRuntimeError::new_err("this process is an actor already"));
        }
        let module = match &enter.kind {
            ActorKind::SimulatedCluster => None,
            ActorKind::RealCluster | ActorKind::Web => Some(String::new()),
            ActorKind::Python { module } => Some(module.clone()),
        };
        let arguments = PyDict::new(py);
        arguments.set_item("name", &enter.actor)?;
        arguments.set_item("module", module)?;
        arguments.set_item("directory", &enter.directory)?;
        arguments.set_item("service_file", &enter.service_file)?;
        arguments.set_item("ledger", &enter.ledger)?;
        arguments.set_item("clock", &enter.clock)?;
        arguments.set_item("log", &enter.log)?;
        arguments.set_item("journal", &enter.journal)?;
        arguments.set_item("holds", to_python(py, &json(&enter.holds)?)?)?;
        arguments.set_item("holds_file", &enter.holds_file)?;
        arguments.set_item("world", to_python(py, &json(&enter.world)?)?)?;
        let actor = py.import("dj_regress.actor")?.call_method("enter", (), Some(&arguments))?;
        let code = py.import("dj_regress.process")?.call_method1("fingerprints", (enter.watch,))?;
        self.actor = Some(actor.unbind());
        Ok(Reply::Entered(plain(&code)?))
    }

    /// Calls a step of the actor.
    fn step<'py, A>(&self, py: Python<'py>, step: &str, arguments: A) -> PyResult<Bound<'py, PyAny>>
    where
        A: pyo3::call::PyCallArgs<'py>,
    {
        let actor = self
            .actor
            .as_ref()
            .ok_or_else(|| PyRuntimeError::new_err(format!("{step}: this process has not entered an arm")))?;
        actor.bind(py).call_method1(step, arguments)
    }

    fn count<'py, A>(&self, py: Python<'py>, step: &str, arguments: A) -> PyResult<u64>
    where
        A: pyo3::call::PyCallArgs<'py>,
    {
        self.step(py, step, arguments)?.extract()
    }
}

/// Calls a Python function with a message's fields as its keyword arguments.
fn call<'py, T: Serialize>(py: Python<'py>, module: &str, function: &str, message: &T) -> PyResult<Bound<'py, PyAny>> {
    let Value::Object(fields) = json(message)? else {
        return Err(PyValueError::new_err("a message is an object"));
    };
    let arguments = to_dict(py, &fields)?;
    py.import(module)?.call_method(function, (), Some(&arguments))
}

fn json<T: Serialize>(message: &T) -> PyResult<Value> {
    serde_json::to_value(message).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Plain Python data as a type of the protocol.
fn plain<T: DeserializeOwned>(value: &Bound<'_, PyAny>) -> PyResult<T> {
    serde_json::from_value(from_python(value)?)
        .map_err(|error| PyValueError::new_err(format!("not of the protocol: {error}")))
}
