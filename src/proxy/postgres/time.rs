//! Statements that ask the server for the time.

use std::borrow::Cow;

use super::framing::Message;

/// Functions that give the server's time.
const FUNCTIONS: &[&str] = &["clock_timestamp", "now", "statement_timestamp", "timeofday", "transaction_timestamp"];

/// What gives it without parentheses.
const NAMES: &[&str] = &["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"];

/// The text of a client's message, if it asks the server for the time.
pub fn asked<'m>(message: &Message<'m>) -> Option<Cow<'m, str>> {
    let mut texts = message.body.split(|&byte| byte == 0);
    let text = match message.kind {
        b'Q' => texts.next(),
        // Its first is the name of what is prepared.
        b'P' => texts.nth(1),
        _ => None,
    };
    let text = String::from_utf8_lossy(text?);
    asks_for_time(&text).then_some(text)
}

/// Whether a statement asks for the time: by a word outside of its literals, quoted names and comments.
pub fn asks_for_time(sql: &str) -> bool {
    let mut rest = sql;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        let length = match first {
            '\'' | '"' => quoted(rest, &rest[..1]),
            '$' if !is_word(before) => match rest[1..].find(|character| !is_word(character)) {
                Some(end) if rest[1 + end..].starts_with('$') => quoted(rest, &rest[..end + 2]),
                _ => 1,
            },
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            _ if is_word(first) => {
                let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                let is = |known: &&str| known.eq_ignore_ascii_case(word);
                let is_called = after.trim_start().starts_with('(');
                if FUNCTIONS.iter().any(|known| is_called && is(known)) || (before != '.' && NAMES.iter().any(is)) {
                    return true;
                }
                end
            }
            _ => first.len_utf8(),
        };
        before = rest[..length].chars().next_back().unwrap_or(' ');
        rest = &rest[length..];
    }
    false
}

/// How long what begins with this mark is, to the next one.
fn quoted(text: &str, mark: &str) -> usize {
    text[mark.len()..].find(mark).map_or(text.len(), |end| end + 2 * mark.len())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("SELECT now()", true)]
    #[case("SELECT pg_catalog.NOW ()", true)]
    #[case("INSERT INTO t (at) VALUES (CURRENT_TIMESTAMP)", true)]
    #[case("SELECT CURRENT_TIMESTAMP(3), 'it''s'", true)]
    #[case("SELECT 'x' || clock_timestamp()", true)]
    #[case("SELECT /* now */ localtime", true)]
    #[case("DELETE FROM t WHERE at < STATEMENT_TIMESTAMP() - $1", true)]
    #[case("SELECT now FROM t", false)]
    #[case("SELECT t.current_date FROM t", false)]
    #[case("SELECT \"current_date\", 'now()', $$ now() $$, $x$ now() $x$ FROM t -- now()", false)]
    #[case("SELECT $1, $2 /* now() */", false)]
    #[case("SELECT 'it''s now()'", false)]
    #[case("SELECT knows(1), nowhere(2)", false)]
    #[case("SELECT 'without an end now()", false)]
    fn the_time_is_asked_for_by_words_and_not_in_what_is_quoted(#[case] sql: &str, #[case] expected: bool) {
        assert_eq!(asks_for_time(sql), expected);
    }

    #[test]
    fn both_ways_to_send_a_statement_are_looked_at() {
        for (kind, body) in [(b'Q', &b"SELECT now()\0"[..]), (b'P', b"name\0SELECT now()\0\0\0")] {
            assert_eq!(asked(&Message { kind, length: body.len(), body }).as_deref(), Some("SELECT now()"));
        }
        assert_eq!(asked(&Message { kind: b'B', length: 0, body: b"now()" }), None);
    }
}
