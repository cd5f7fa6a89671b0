//! A statement's text, cut into what can be told apart without understanding it.

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// A bare word: keyword or identifier.
    Word(&'a str),
    /// A quoted identifier, without its quotes.
    Quoted(String),
    /// A literal or a number.
    Literal(&'a str),
    /// Any other character.
    Mark(char),
}

impl Token<'_> {
    /// Whether it is this word, in whatever case.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// Whether it is one of these words.
    pub fn is_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    /// The name that it is, as Postgres folds it.
    pub fn identifier(&self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word.to_lowercase()),
            Token::Quoted(name) => Some(name.clone()),
            _ => None,
        }
    }
}

/// Cuts a text; blanks and comments are left out.
pub fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let (token, length) = if c.is_whitespace() {
            (None, c.len_utf8())
        } else if rest.starts_with("--") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (None, comment(rest))
        } else if c == '"' {
            let length = quoted(rest, '"', false);
            let inner = rest[1..length].strip_suffix('"').unwrap_or(&rest[1..length]);
            (Some(Token::Quoted(inner.replace("\"\"", "\""))), length)
        } else if c == '\'' {
            let length = quoted(rest, '\'', false);
            (Some(Token::Literal(&rest[..length])), length)
        } else if (c == 'e' || c == 'E') && rest[1..].starts_with('\'') {
            let length = 1 + quoted(&rest[1..], '\'', true);
            (Some(Token::Literal(&rest[..length])), length)
        } else if let Some(length) = dollar_quoted(rest) {
            (Some(Token::Literal(&rest[..length])), length)
        } else if c.is_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            (Some(Token::Word(&rest[..length])), length)
        } else if c.is_ascii_digit() {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len());
            (Some(Token::Literal(&rest[..length])), length)
        } else {
            (Some(Token::Mark(c)), c.len_utf8())
        };
        found.extend(token);
        rest = &rest[length..];
    }
    found
}

/// What a literal says, without what encloses it.
pub fn said(literal: &str) -> &str {
    if let Some(end) = literal.strip_prefix('$').and_then(|rest| rest.find('$')) {
        let delimiter = end + 2;
        return literal.get(delimiter..literal.len() - delimiter).unwrap_or_default();
    }
    literal.trim_start_matches(['e', 'E']).trim_matches('\'')
}

/// Length of a block comment; they nest in Postgres.
fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a quoted piece, closing quote included; a doubled quote stands for itself.
fn quoted(text: &str, quote: char, backslash: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if backslash && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|&(_, next)| next == quote) {
                chars.next();
            } else {
                return at + quote.len_utf8();
            }
        }
    }
    text.len()
}

/// Length of `$tag$ ... $tag$`, if the text begins with one.
fn dollar_quoted(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('$')?;
    let tag_end = inner.find('$')?;
    let tag = &inner[..tag_end];
    if tag.starts_with(|c: char| c.is_ascii_digit()) || !tag.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let delimiter = &text[..tag_end + 2];
    let body = &text[delimiter.len()..];
    Some(body.find(delimiter).map_or(text.len(), |end| delimiter.len() + end + delimiter.len()))
}
