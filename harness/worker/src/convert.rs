//! JSON to Python and back, and exceptions as messages.

use dj_regress_protocol::Failed;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Value};

/// Deeper values (and those that contain themselves) come as their `repr`.
const DEPTH: usize = 32;

/// A JSON value as plain Python.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(truth) => truth.into_bound_py_any(py),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => integer.into_bound_py_any(py),
            (None, Some(integer)) => integer.into_bound_py_any(py),
            (None, None) => number.as_f64().into_bound_py_any(py),
        },
        Value::String(text) => text.into_bound_py_any(py),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(entries) => Ok(to_dict(py, entries)?.into_any()),
    }
}

/// A JSON object as a dict; also what keyword arguments are made of.
pub fn to_dict<'py>(py: Python<'py>, entries: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in entries {
        dict.set_item(key, to_python(py, value)?)?;
    }
    Ok(dict)
}

/// A Python value as JSON; what JSON cannot say as its `repr`.
pub fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    from_nested(value, DEPTH)
}

fn from_nested(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    // Exact types only: an enum or a lazy string would lose what it is.
    if let Ok(truth) = value.cast_exact::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if value.cast_exact::<PyInt>().is_ok() {
        if let Ok(integer) = value.extract::<i64>() {
            return Ok(integer.into());
        }
        if let Ok(integer) = value.extract::<u64>() {
            return Ok(integer.into());
        }
    }
    if let Ok(float) = value.cast_exact::<PyFloat>()
        && float.value().is_finite()
    {
        return Ok(float.value().into());
    }
    if value.is_instance_of::<PyString>()
        && let Ok(text) = value.extract::<String>()
    {
        return Ok(text.into());
    }
    if depth > 0 {
        if value.cast_exact::<PyList>().is_ok() || value.is_instance_of::<PyTuple>() {
            let mut items = Vec::new();
            for item in value.try_iter()? {
                items.push(from_nested(&item?, depth - 1)?);
            }
            return Ok(items.into());
        }
        if let Ok(dict) = value.cast_exact::<PyDict>()
            && dict.keys().iter().all(|key| key.is_instance_of::<PyString>())
        {
            let mut entries = Map::new();
            for (key, item) in dict.iter() {
                entries.insert(key.extract()?, from_nested(&item, depth - 1)?);
            }
            return Ok(entries.into());
        }
    }
    Ok(value.repr()?.to_string_lossy().into_owned().into())
}

/// An exception as the controller wants to read it.
pub fn failed(py: Python<'_>, error: &PyErr) -> Failed {
    let exception = error.get_type(py).name().map_or_else(|_| "<unnamed>".into(), |name| name.to_string());
    let message =
        error.value(py).str().map_or_else(|_| "<unprintable>".into(), |text| text.to_string_lossy().into_owned());
    let traceback = py
        .import("traceback")
        .and_then(|module| {
            // Fetched through the stable ABI, the value does not carry its traceback everywhere.
            let parts = (error.get_type(py), error.value(py), error.traceback(py));
            module.call_method1("format_exception", parts)
        })
        .and_then(|lines| lines.extract::<Vec<String>>())
        .map_or_else(|_| String::new(), |lines| lines.concat());
    Failed { exception, message, traceback }
}
