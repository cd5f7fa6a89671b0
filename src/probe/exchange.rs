//! Web requests of the harness's own clients, and what came of them.

use hyper::StatusCode;
use hyper::body::Bytes;

/// One request, and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The actor that it was for.
    pub target: String,
    /// Method and target.
    pub request: String,
    /// `CLOCK_MONOTONIC` in nanoseconds when it was about to be sent.
    pub begun: u64,
    /// The same when the last of the answer was there, or it was given up.
    pub ended: u64,
    /// Status and the beginning of the body, or why there is none.
    pub outcome: Result<(u16, Bytes), String>,
}

impl Exchange {
    /// Whether it got no answer, or one of 400 or more.
    pub fn is_error(&self) -> bool {
        !self.outcome.as_ref().is_ok_and(|(status, _)| *status < 400)
    }

    /// Whether a server broke over it: its answer is of 500 or more.
    pub fn is_broken(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|(status, _)| *status >= 500)
    }

    /// Whether it was answered, and not by somebody who only refused to read it.
    pub fn is_handled(&self) -> bool {
        let refused = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            StatusCode::NOT_IMPLEMENTED,
        ];
        self.outcome.as_ref().is_ok_and(|(status, _)| !refused.iter().any(|refused| refused.as_u16() == *status))
    }
}
