//! Errors in a case file: where, what, and what was probably meant. One renderer for all of them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::error::Error;

/// Between a message and its help where both are one text.
const HELP: &str = "\n= help: ";

/// A place in a case file, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Line, 1-based.
    pub line: usize,
    /// Column, 1-based.
    pub column: usize,
    /// Length; a caret is drawn for each character, at least one.
    pub len: usize,
}

/// One thing that is wrong in a case file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong; no final full stop.
    pub message: String,
    /// Where; absent while the error is on its way up to somebody who knows.
    pub span: Option<Span>,
    /// What to do.
    pub help: Option<String>,
    /// What stands there, where a variable brought it.
    pub label: Option<String>,
    /// The key that is not known, where another variant may know it.
    pub unknown: Option<Box<Unknown>>,
    /// Whether it is about what the value is, not about what it is for.
    is_mismatch: bool,
}

/// A key that a variant does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The key.
    pub key: String,
    /// The enum.
    pub noun: &'static str,
    /// The variant, by the key that names it.
    pub variant: String,
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { help: error.hint, ..Self::new(error.message) }
    }
}

impl Diagnostic {
    /// A diagnostic without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None, label: None, unknown: None, is_mismatch: false }
    }

    /// A value of another kind than expected.
    pub fn mismatch(message: impl Into<String>) -> Self {
        Self { is_mismatch: true, ..Self::new(message) }
    }

    /// What is wrong has been said already, on another way.
    pub fn said() -> Self {
        Self::new("")
    }

    /// Whether it has been said already.
    pub fn is_said(&self) -> bool {
        self.message.is_empty()
    }

    /// Says where: at the value where it is of the wrong kind, else at what holds it.
    #[must_use]
    pub fn or_within(self, value: Span, holder: Span) -> Self {
        let span = if self.is_mismatch { value } else { holder };
        self.or_at(span)
    }

    /// Says where, unless that is known better already.
    #[must_use]
    pub fn or_at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what stands there, where a variable brought it.
    #[must_use]
    pub fn labelled(mut self, uses: &HashMap<Span, String>) -> Self {
        self.label = self.span.and_then(|span| uses.get(&span).cloned());
        self
    }

    /// Says which known word was probably meant, or which there are.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(near) = nearest(word, known.iter().copied()) {
            return self.help(format!("did you mean `{near}`?"));
        }
        match known.as_slice() {
            [] => self,
            [only] => self.help(format!("there is only `{only}`")),
            _ => {
                let list: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
                self.help(format!("there are {}", list.join(", ")))
            }
        }
    }

    /// Message and help in one text, for errors that go through serde: see [`Diagnostic::of_text`].
    pub fn with_help(&self) -> String {
        match &self.help {
            Some(help) => format!("{}{HELP}{help}", self.message),
            None => self.message.clone(),
        }
    }

    /// From message and help in one text.
    pub fn of_text(text: &str) -> Self {
        match text.split_once(HELP) {
            Some((message, help)) => Self::new(message).help(help),
            None => Self::new(text),
        }
    }

    /// Renders it like a compiler does, without colour.
    pub fn render(&self, path: &Path, source: &str) -> String {
        let mut out = format!("error: {}\n", self.message);
        let span = self.span.unwrap_or(Span { line: 1, column: 1, len: 0 });
        let number = span.line.to_string();
        let gutter = " ".repeat(number.len());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{gutter}--> {}:{}:{}", path.display(), span.line, span.column);
        if let Some(line) = source.lines().nth(span.line.saturating_sub(1)) {
            let (line, before) = crop(line.trim_end(), span.column.saturating_sub(1));
            // A tab before the caret stays a tab, so that both lines move alike.
            let indent: String = line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let room = line.chars().count().saturating_sub(before).max(1);
            let carets = "^".repeat(span.len.clamp(1, room));
            let label = self.label.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
            let _ = writeln!(out, "{gutter} |\n{number} | {line}\n{gutter} | {indent}{carets}{label}");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{gutter} = help: {help}");
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// The part of a line around a column that a terminal can show, without what would move its cursor; and where the column
/// is in it.
fn crop(line: &str, column: usize) -> (String, usize) {
    const SHOWN: usize = 160;
    let plain = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let from = if line.chars().count() <= SHOWN { 0 } else { column.saturating_sub(SHOWN / 2) };
    let part = line.chars().skip(from).take(SHOWN).map(plain);
    if from == 0 {
        return (part.collect(), column);
    }
    (std::iter::once('\u{2026}').chain(part).collect(), column - from + 1)
}

/// The known word nearest to this one, if it is near enough to be a slip.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
