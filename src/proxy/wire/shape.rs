//! What a statement is: its verb and the first table that it names.
//!
//! The same reading serves the ledger's texts (with Django's `%s`) and the server's normalised ones
//! (with `$1`), so that the two can be compared.

use std::fmt;

use serde::Serialize;

/// A statement's verb, in capitals, and the table it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Shape {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `COMMIT`, ...
    pub verb: String,
    /// The first table named, without its schema. Absent where there is none.
    pub table: Option<String>,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "{} {table}", self.verb),
            None => f.write_str(&self.verb),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    /// A bare word: keyword or identifier.
    Word(&'a str),
    /// A quoted identifier, without its quotes.
    Quoted(String),
    /// A literal or a number; its text does not matter.
    Literal,
    /// Any other character.
    Mark(char),
}

impl Token<'_> {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn identifier(&self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word.to_ascii_lowercase()),
            Token::Quoted(name) => Some(name.clone()),
            _ => None,
        }
    }
}

/// Reads a statement's shape. Never fails: what it does not understand has its first word as verb.
pub fn shape(sql: &str) -> Shape {
    let tokens = tokens(sql);
    shape_of(&tokens)
}

/// Statements that the server executes without their passing Django's execute wrappers: the driver's
/// transaction control, session set-up and pings, COPY, what it does with server-side cursors, and the
/// server's own checks of foreign keys (Django's are deferred: at COMMIT they count as top-level).
pub fn is_unseen(sql: &str) -> bool {
    if sql.contains(" ONLY ") && sql.contains(" OPERATOR(pg_catalog.=) ") {
        return true;
    }
    let shape = shape(sql);
    match shape.verb.as_str() {
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SET" | "SHOW" | "FETCH" | "MOVE" | "CLOSE" | "DISCARD"
        | "COPY" | "DEALLOCATE" => true,
        "SELECT" if shape.table.is_none() => {
            let text = sql.trim().trim_end_matches(';');
            text.contains("set_config(")
                || text.eq_ignore_ascii_case("SELECT $1")
                || text.eq_ignore_ascii_case("SELECT 1")
        }
        _ => false,
    }
}

fn shape_of(tokens: &[Token<'_>]) -> Shape {
    // `(SELECT ...) UNION (SELECT ...)` begins with a parenthesis.
    let start = tokens.iter().position(|token| !matches!(token, Token::Mark('('))).unwrap_or(0);
    let tokens = &tokens[start..];
    let Some(Token::Word(first)) = tokens.first() else {
        return Shape { verb: String::new(), table: None };
    };
    let verb = first.to_ascii_uppercase();
    let after = |keyword: &str| tokens.iter().position(|token| token.is(keyword)).map(|at| &tokens[at + 1..]);
    let table = match verb.as_str() {
        "SELECT" => from(tokens),
        "INSERT" | "MERGE" => after("INTO").and_then(name),
        "DELETE" => after("FROM").and_then(name),
        "UPDATE" | "TRUNCATE" | "LOCK" => name(&tokens[1..]),
        "ALTER" | "CREATE" | "DROP" if tokens.get(1).is_some_and(|token| token.is("TABLE")) => name(&tokens[2..]),
        "WITH" => return main_statement(tokens).map_or(Shape { verb, table: None }, shape_of),
        // A server-side cursor: the query that it is for.
        "DECLARE" => return after("FOR").filter(|rest| !rest.is_empty()).map_or(Shape { verb, table: None }, shape_of),
        // The two that go by one word on the wire.
        "ROLLBACK" | "RELEASE" => {
            let verb = if tokens.iter().any(|token| token.is("TO")) { "ROLLBACK TO".to_owned() } else { verb };
            return Shape { verb, table: None };
        }
        _ => None,
    };
    Shape { verb, table }
}

/// The statement after the common table expressions of a `WITH`.
fn main_statement<'t, 's>(tokens: &'t [Token<'s>]) -> Option<&'t [Token<'s>]> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(1) {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth = depth.saturating_sub(1),
            _ if depth == 0 && ["SELECT", "INSERT", "UPDATE", "DELETE"].iter().any(|verb| token.is(verb)) => {
                return Some(&tokens[at..]);
            }
            _ => {}
        }
    }
    None
}

/// The first table after a FROM that belongs to a query, not to `EXTRACT(year FROM x)`.
fn from(tokens: &[Token<'_>]) -> Option<String> {
    let mut in_query = vec![true];
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(') => in_query.push(
                tokens
                    .get(at + 1)
                    .is_some_and(|next| next.is("SELECT") || next.is("WITH") || matches!(next, Token::Mark('('))),
            ),
            Token::Mark(')') if in_query.len() > 1 => {
                in_query.pop();
            }
            _ if token.is("FROM") && in_query.last() == Some(&true) => {
                if let Some(table) = name(&tokens[at + 1..]) {
                    return Some(table);
                }
            }
            _ => {}
        }
    }
    None
}

/// The table named at the start: `ONLY`, `TABLE`, `IF EXISTS` skipped, schema dropped.
fn name(tokens: &[Token<'_>]) -> Option<String> {
    let noise = ["ONLY", "TABLE", "IF", "NOT", "EXISTS", "LATERAL"];
    let start = tokens.iter().position(|token| !noise.iter().any(|word| token.is(word)))?;
    let mut table = tokens[start].identifier()?;
    let mut rest = &tokens[start + 1..];
    while let [Token::Mark('.'), next, after @ ..] = rest {
        table = next.identifier()?;
        rest = after;
    }
    Some(table)
}

fn tokens(sql: &str) -> Vec<Token<'_>> {
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
            (Some(Token::Literal), quoted(rest, '\'', false))
        } else if (c == 'e' || c == 'E') && rest[1..].starts_with('\'') {
            (Some(Token::Literal), 1 + quoted(&rest[1..], '\'', true))
        } else if let Some(length) = dollar_quoted(rest) {
            (Some(Token::Literal), length)
        } else if c.is_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            (Some(Token::Word(&rest[..length])), length)
        } else if c.is_ascii_digit() {
            (Some(Token::Literal), rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len()))
        } else {
            (Some(Token::Mark(c)), c.len_utf8())
        };
        found.extend(token);
        rest = &rest[length..];
    }
    found
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        r#"SELECT cache_key, value, expires FROM "django_cache_table" WHERE cache_key IN (%s)"#,
        "SELECT django_cache_table"
    )]
    #[case("SELECT COUNT(*) FROM django_cache_table", "SELECT django_cache_table")]
    #[case("UPDATE \"django_cache_table\" SET value = $1", "UPDATE django_cache_table")]
    #[case("INSERT INTO public.\"t\" (a) VALUES ('FROM x')", "INSERT t")]
    #[case("DELETE FROM ONLY t WHERE a = $$ FROM y $$", "DELETE t")]
    #[case("SELECT EXTRACT(year FROM \"o\".\"at\") FROM \"orders\" AS o", "SELECT orders")]
    #[case("SELECT COUNT(*) FROM (SELECT DISTINCT a FROM \"inner\") subquery", "SELECT inner")]
    #[case("(SELECT a FROM x) UNION (SELECT a FROM y)", "SELECT x")]
    #[case("WITH c AS (SELECT a FROM x) UPDATE y SET a = 1 FROM c", "UPDATE y")]
    #[case("DECLARE \"_django_curs_1\" NO SCROLL CURSOR WITH HOLD FOR SELECT a FROM big", "SELECT big")]
    #[case("/* FROM a */ select 1 -- FROM b", "SELECT")]
    #[case("ROLLBACK TO SAVEPOINT s1", "ROLLBACK TO")]
    #[case("ROLLBACK", "ROLLBACK")]
    #[case("TRUNCATE TABLE t", "TRUNCATE t")]
    #[case("CREATE TABLE IF NOT EXISTS \"T\" (a int)", "CREATE T")]
    #[case("", "")]
    fn a_statement_has_a_verb_and_its_first_table(#[case] sql: &str, #[case] expected: &str) {
        assert_eq!(shape(sql).to_string(), expected);
    }

    #[rstest]
    #[case("COMMIT", true)]
    #[case("SELECT set_config('TimeZone', $1, $2)", true)]
    #[case("SELECT $1", true)]
    #[case(
        r#"SELECT $2 FROM ONLY "public"."shop_order" x WHERE "id" OPERATOR(pg_catalog.=) $1 FOR KEY SHARE OF x"#,
        true
    )]
    #[case("FETCH FORWARD $1 FROM \"c\"", true)]
    #[case("ROLLBACK TO SAVEPOINT s1", false)]
    #[case("SELECT a FROM shop_order", false)]
    #[case("SELECT count(*)", false)]
    fn what_wrappers_cannot_see_is_known(#[case] sql: &str, #[case] expected: bool) {
        assert_eq!(is_unseen(sql), expected);
    }

    proptest! {
        #[test]
        fn any_text_has_a_shape(sql in any::<String>()) {
            let _ = shape(&sql);
        }

        #[test]
        fn pieces_of_sql_in_any_order_have_a_shape(pieces in prop::collection::vec(prop::sample::select(vec!["SELECT", "FROM", "(", ")", "'", "\"", "$$", "$a$", "/*", "*/", "--", "\n", "x", ".", "WITH", "E'\\", "é", "DECLARE", "FOR"]), 0..24)) {
            let _ = shape(&pieces.join(" "));
            let _ = shape(&pieces.concat());
        }

        #[test]
        fn what_stands_in_a_literal_does_not_matter(literal in "[^'\\\\]{0,20}") {
            let with = format!("SELECT a FROM t WHERE b = '{literal}'");
            prop_assert_eq!(shape(&with).to_string(), "SELECT t");
        }

        #[test]
        fn what_stands_in_a_comment_does_not_matter(comment in "[^*/]{0,20}") {
            let with = format!("/*{comment}*/ DELETE /*{comment}*/ FROM t");
            prop_assert_eq!(shape(&with).to_string(), "DELETE t");
        }
    }
}
