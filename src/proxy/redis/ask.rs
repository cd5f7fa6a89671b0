//! What the harness itself says to a server; none of it is counted.

use std::io;

use super::reply::{Found, Replies};
use crate::proxy::wire::observer::Broken;
use crate::proxy::wire::stream::Stream;

/// Says commands of the harness to a server, and waits until each is answered; the bytes of the answers.
///
/// # Errors
///
/// Where one is answered by an error, or the connection fails.
pub async fn ask<S: AsRef<str>>(server: &Stream, commands: &[Vec<S>]) -> Result<Vec<u8>, Broken> {
    let mut said = Vec::new();
    for command in commands {
        said.extend(format!("*{}\r\n", command.len()).into_bytes());
        for argument in command.iter().map(AsRef::as_ref) {
            said.extend(format!("${}\r\n{argument}\r\n", argument.len()).into_bytes());
        }
    }
    server.write_all(&said).await?;
    let (mut replies, mut buffer, mut answers) = (Replies::default(), [0; 4096], Vec::new());
    let (mut missing, mut failed) = (commands.len(), false);
    while missing > 0 {
        server.readable().await?;
        let length = match server.try_read(&mut buffer) {
            Ok(0) => return Err(Broken::Io),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        let result = replies.push(&buffer[..length], |found, _| {
            if let Found::Reply(reply) = found {
                missing = missing.saturating_sub(1);
                failed |= reply.is_error();
            }
        });
        if failed || result.is_err() {
            return Err(Broken::Malformed);
        }
        answers.extend_from_slice(&buffer[..length]);
    }
    Ok(answers)
}
