//! Files of records: how they are written so that a killed process spoils no other's, and how they are read.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A record as it is appended, in one write: on a line of its own, with a line end before it and after it.
///
/// A process that is killed in the middle of a write leaves a part of a record (where it crosses a page of the file); the
/// line end before the next record keeps that part to itself.
///
/// # Errors
///
/// The record cannot be said in JSON.
pub fn line<T: Serialize>(record: &T) -> serde_json::Result<Vec<u8>> {
    let mut line = vec![b'\n'];
    serde_json::to_writer(&mut line, record)?;
    line.push(b'\n');
    Ok(line)
}

/// The records of a file, with the number of their line, from 1. Parts of records are left out: a killed process's, and
/// what is just being written.
pub fn records<T: DeserializeOwned>(text: &str) -> impl Iterator<Item = Result<T, (usize, serde_json::Error)>> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(index, line)| record(line).map(|read| read.map_err(|error| (index + 1, error))))
}

/// The record of a line; none, where it is empty or a part of one.
pub fn record<T: DeserializeOwned>(line: &str) -> Option<serde_json::Result<T>> {
    match serde_json::from_str(line) {
        _ if line.is_empty() => None,
        Err(error) if error.is_eof() => None,
        read => Some(read),
    }
}
