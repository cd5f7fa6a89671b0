//! What a statement is: its verb, and what it does to which tables.
//!
//! The same reading serves the wire's texts, the ledger's (with Django's `%s`) and the server's normalised ones (with `$1`),
//! so that they can be compared.

use std::fmt;

use serde::Serialize;

use super::tokens::{Token, said, tokens};
use super::touch::Touch;
use super::touches::Scanner;

/// A statement's verb, in capitals, and what it does to which tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Shape {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `COMMIT`, ...
    pub verb: String,
    /// Each table once for each thing that is done to it; first those that stand outside of parentheses.
    pub touches: Vec<Touch>,
}

impl Shape {
    /// Of a statement that is known by its verb alone.
    pub fn of_verb(verb: impl Into<String>) -> Self {
        Self { verb: verb.into(), touches: Vec::new() }
    }

    /// The first table.
    pub fn table(&self) -> Option<&str> {
        self.touches.first().map(|touch| touch.table.as_str())
    }

    /// Whether it does this, to this table; where one is not given, whatever it is.
    pub fn does(&self, verb: Option<&str>, table: Option<&str>) -> bool {
        let is_one = |touch: &Touch| {
            verb.is_none_or(|verb| touch.verb == verb) && table.is_none_or(|table| touch.table == table)
        };
        match (verb, table) {
            (Some(verb), None) if self.verb == verb => true,
            (None, None) => true,
            _ => self.touches.iter().any(is_one),
        }
    }
}

impl fmt::Display for Shape {
    /// `INSERT a`; where more is touched, `INSERT a + SELECT b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verb)?;
        for (index, touch) in self.touches.iter().enumerate() {
            match index {
                0 if touch.verb == self.verb => write!(f, " {}", touch.table)?,
                0 => write!(f, " ({} {})", touch.verb, touch.table)?,
                _ => write!(f, " + {} {}", touch.verb, touch.table)?,
            }
        }
        Ok(())
    }
}

/// How a statement gets past Django's execute wrappers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Through them.
    #[default]
    Wrapped,
    /// A driver's own: transactions, session set-up, pings, what it does with server-side cursors.
    Driver,
    /// Of the app, by a method of Django's cursors that has no wrappers: `copy`, `callproc`.
    Cursor,
}

/// What a text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is executed.
    pub shape: Shape,
    /// The name that `PREPARE` gives to it: nothing is executed yet.
    pub prepares: Option<String>,
    /// The name that `EXECUTE` calls.
    pub executes: Option<String>,
    /// How it is sent, if no wrapper saw it.
    pub way: Way,
}

/// Reads a statement's shape. Never fails: what it does not understand has its first word as verb.
pub fn shape(sql: &str) -> Shape {
    read(sql).shape
}

/// Statements that the server executes without their passing Django's execute wrappers: the driver's own, and the server's
/// checks of foreign keys (Django's are deferred: at COMMIT they count as top-level).
pub fn is_unseen(sql: &str) -> bool {
    let tokens = without_end(tokens(sql));
    is_of_driver(&tokens) || is_check_of_key(&tokens)
}

/// Reads a text. Of several statements the first has the say, and what all of them touch is told.
pub fn read(sql: &str) -> Reading {
    let tokens = without_end(tokens(sql));
    let mut reading = Reading::default();
    for (index, statement) in tokens.split(|token| *token == Token::Mark(';')).filter(|one| !one.is_empty()).enumerate()
    {
        let one = read_one(statement);
        if index == 0 {
            reading = one;
            continue;
        }
        for touch in one.shape.touches {
            if !reading.shape.touches.contains(&touch) {
                reading.shape.touches.push(touch);
            }
        }
    }
    reading.way = match tokens.first() {
        _ if is_of_driver(&tokens) => Way::Driver,
        Some(word) if word.is("COPY") => Way::Cursor,
        _ if is_call_of_cursor(&tokens) => Way::Cursor,
        _ => Way::Wrapped,
    };
    reading
}

/// Without semicolons at its end.
fn without_end(mut tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    while tokens.last() == Some(&Token::Mark(';')) {
        tokens.pop();
    }
    tokens
}

fn read_one(tokens: &[Token<'_>]) -> Reading {
    let start = tokens.iter().position(|token| *token != Token::Mark('(')).unwrap_or(0);
    let Some(Token::Word(first)) = tokens.get(start) else { return Reading::default() };
    let verb = first.to_ascii_uppercase();
    let after = |keyword: &str| tokens.iter().position(|token| token.is(keyword)).map(|at| &tokens[at + 1..]);
    let of_verb = |touches| Reading { shape: Shape { verb: verb.clone(), touches }, ..Reading::default() };
    let scanned = |rest: &[Token<'_>]| {
        let (inner, touches) = Scanner::new(rest, false).read();
        Shape { verb: inner.map_or_else(|| verb.clone(), str::to_owned), touches }
    };
    let of_list = |verb: &'static str, rest: &[Token<'_>]| -> Vec<Touch> {
        names(rest).into_iter().map(|table| Touch { verb, table }).collect()
    };
    match verb.as_str() {
        "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "WITH" | "VALUES" | "TABLE" => {
            Reading { shape: scanned(tokens), ..Reading::default() }
        }
        // A server-side cursor: the query that it is for.
        "DECLARE" => match after("FOR").filter(|rest| !rest.is_empty()) {
            Some(rest) => Reading { shape: scanned(rest), ..Reading::default() },
            None => of_verb(Vec::new()),
        },
        "PREPARE" if !tokens.get(1).is_some_and(|token| token.is("TRANSACTION")) => match after("AS") {
            Some(rest) => {
                let prepares = tokens.get(1).and_then(Token::identifier);
                Reading { shape: scanned(rest), prepares, ..Reading::default() }
            }
            None => of_verb(Vec::new()),
        },
        "EXECUTE" => {
            let executes = tokens.get(1).and_then(Token::identifier);
            Reading { executes, ..of_verb(Vec::new()) }
        }
        "EXPLAIN" => {
            let inner = tokens.iter().position(|token| token.is_any(&["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]));
            let (said, inner) = tokens.split_at(inner.unwrap_or(tokens.len()));
            let executes = said.iter().any(|token| token.is_any(&["ANALYZE", "ANALYSE"]));
            of_verb(if executes { scanned(inner).touches } else { Vec::new() })
        }
        "COPY" => of_verb(copied(tokens)),
        "CALL" => of_verb(scanned(&tokens[1..]).touches),
        // Its body is a text in a text.
        "DO" => {
            let body =
                tokens.iter().find_map(|token| if let Token::Literal(text) = token { Some(said(text)) } else { None });
            let body = super::tokens::tokens(body.unwrap_or_default());
            of_verb(Scanner::new(&body, true).read().1)
        }
        "TRUNCATE" => of_verb(of_list("TRUNCATE", &tokens[1..])),
        "LOCK" => of_verb(of_list("LOCK", &tokens[1..])),
        "DROP" if tokens.get(1).is_some_and(|token| token.is("TABLE")) => of_verb(of_list("DROP", &tokens[2..])),
        "ALTER" if tokens.get(1).is_some_and(|token| token.is("TABLE")) => {
            of_verb(of_list("ALTER", &tokens[2..]).into_iter().take(1).collect())
        }
        "CREATE" => of_verb(created(tokens)),
        "REFRESH" => of_verb(after("VIEW").map(|rest| of_list("REFRESH", rest)).unwrap_or_default()),
        // The two that go by one word on the wire.
        "ROLLBACK" | "RELEASE" => {
            let is_to = tokens.iter().any(|token| token.is("TO"));
            Reading { shape: Shape::of_verb(if is_to { "ROLLBACK TO" } else { &verb }), ..Reading::default() }
        }
        _ => of_verb(Vec::new()),
    }
}

/// The tables of a list, without their schemas.
fn names(tokens: &[Token<'_>]) -> Vec<String> {
    let noise = ["ONLY", "TABLE", "IF", "NOT", "EXISTS", "CONCURRENTLY"];
    let mut found = Vec::new();
    let mut rest = tokens;
    loop {
        let start = rest.iter().position(|token| !token.is_any(&noise)).unwrap_or(rest.len());
        let Some(mut name) = rest.get(start).and_then(Token::identifier) else { return found };
        rest = &rest[start + 1..];
        while let [Token::Mark('.'), next, after @ ..] = rest {
            let Some(next) = next.identifier() else { break };
            (name, rest) = (next, after);
        }
        found.push(name);
        while let [Token::Mark('*'), after @ ..] = rest {
            rest = after;
        }
        let [Token::Mark(','), after @ ..] = rest else { return found };
        rest = after;
    }
}

/// `COPY t FROM` writes rows, as INSERT does; `COPY t TO` reads them, as SELECT does.
fn copied(tokens: &[Token<'_>]) -> Vec<Touch> {
    if tokens.get(1) == Some(&Token::Mark('(')) {
        return Scanner::new(&tokens[1..], false).read().1;
    }
    let Some(table) = names(&tokens[1..]).into_iter().next() else { return Vec::new() };
    let way = tokens.iter().find(|token| token.is_any(&["FROM", "TO"]));
    let as_verb = if way.is_some_and(|token| token.is("FROM")) { "INSERT" } else { "SELECT" };
    vec![Touch { verb: "COPY", table: table.clone() }, Touch { verb: as_verb, table }]
}

/// `CREATE TABLE t AS SELECT ...` reads, too; `CREATE INDEX ON t` is about t. A view reads nothing before it is read.
fn created(tokens: &[Token<'_>]) -> Vec<Touch> {
    let at = |words: &[&str]| tokens.iter().position(|token| token.is_any(words));
    let create = |table: String| Touch { verb: "CREATE", table };
    if let Some(kind) = at(&["TABLE", "VIEW"]).filter(|kind| *kind <= 4) {
        let mut touches: Vec<Touch> = names(&tokens[kind + 1..]).into_iter().take(1).map(create).collect();
        let is_filled = tokens[kind].is("TABLE") || tokens[..kind].iter().any(|token| token.is("MATERIALIZED"));
        if let Some(query) = at(&["AS"]).filter(|query| is_filled && *query > kind) {
            touches.extend(Scanner::new(&tokens[query + 1..], false).read().1);
        }
        return touches;
    }
    match at(&["INDEX"]).filter(|kind| *kind <= 2).and_then(|_| at(&["ON"])) {
        Some(on) => names(&tokens[on + 1..]).into_iter().take(1).map(create).collect(),
        None => Vec::new(),
    }
}

/// The driver's transactions, session set-up, pings, and what it does with server-side cursors and prepared statements.
fn is_of_driver(tokens: &[Token<'_>]) -> bool {
    let Some((Token::Word(first), rest)) = tokens.split_first() else { return false };
    if rest.contains(&Token::Mark(';')) {
        return false;
    }
    match first.to_ascii_uppercase().as_str() {
        "BEGIN" | "START" | "COMMIT" | "SET" | "SHOW" | "FETCH" | "MOVE" | "CLOSE" | "DISCARD" | "DEALLOCATE" => true,
        "ROLLBACK" => !rest.iter().any(|token| token.is("TO")),
        "SELECT" => match rest {
            // A ping, normalised or not.
            [Token::Literal("1")] | [Token::Mark('$'), Token::Literal("1")] => true,
            [Token::Word("set_config"), Token::Mark('('), arguments @ .., Token::Mark(')')] => {
                let is_plain = |token: &Token<'_>| {
                    matches!(token, Token::Literal(_) | Token::Mark(',' | '$')) || token.is_any(&["false", "true"])
                };
                arguments.iter().all(is_plain)
            }
            _ => false,
        },
        _ => false,
    }
}

/// What the server asks by itself before it believes a foreign key.
fn is_check_of_key(tokens: &[Token<'_>]) -> bool {
    let begins = match tokens {
        [select, Token::Literal(_), rest @ ..] | [select, Token::Mark('$'), Token::Literal(_), rest @ ..]
            if select.is("SELECT") =>
        {
            rest
        }
        _ => return false,
    };
    let [from, only, Token::Quoted(_), Token::Mark('.'), Token::Quoted(_), Token::Word("x"), filter, conditions @ ..] =
        begins
    else {
        return false;
    };
    let [conditions @ .., on, key, share, of, Token::Word("x")] = conditions else { return false };
    let words =
        [(from, "FROM"), (only, "ONLY"), (filter, "WHERE"), (on, "FOR"), (key, "KEY"), (share, "SHARE"), (of, "OF")];
    words.iter().all(|(token, word)| token.is(word))
        && conditions.iter().any(|token| token.is("OPERATOR"))
        && !conditions.iter().any(|token| token.is_any(&["SELECT", "FROM"]))
}

/// What `cursor.callproc` of Django sends: `SELECT * FROM "f"(...)`, with values and nothing else.
fn is_call_of_cursor(tokens: &[Token<'_>]) -> bool {
    let [select, Token::Mark('*'), from, Token::Quoted(_), Token::Mark('('), arguments @ .., Token::Mark(')')] = tokens
    else {
        return false;
    };
    let is_plain = |token: &Token<'_>| !matches!(token, Token::Mark('(' | ')' | ';')) && !token.is("SELECT");
    select.is("SELECT") && from.is("FROM") && arguments.iter().all(is_plain)
}

#[cfg(test)]
mod tests;
