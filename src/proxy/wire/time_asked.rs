//! What was asked of a server whose time is not the arm's.

use std::sync::Arc;

use parking_lot::Mutex;

/// How much of a text is kept.
const LONGEST: usize = 120;

/// The first of each kind, on all connections of an actor.
#[derive(Debug, Clone, Default)]
pub struct TimeAsked(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    asked: Option<String>,
    lasting: Option<String>,
}

impl TimeAsked {
    /// This asks the server for its time.
    pub fn ask(&self, text: impl AsRef<str>) {
        self.0.lock().asked.get_or_insert_with(|| shortened(text.as_ref()));
    }

    /// This lets something last for a time by the server's clock.
    pub fn last(&self, text: impl AsRef<str>) {
        self.0.lock().lasting.get_or_insert_with(|| shortened(text.as_ref()));
    }

    /// What first asked for the server's time.
    pub fn asked(&self) -> Option<String> {
        self.0.lock().asked.clone()
    }

    /// What first let something last: it is still there when the arm's clock has moved beyond that.
    pub fn lasting(&self) -> Option<String> {
        self.0.lock().lasting.clone()
    }
}

fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
