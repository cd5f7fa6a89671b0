//! What statements do to which tables: in FROM and JOIN, in common table expressions, in subqueries wherever they stand.
//!
//! Nothing is parsed that does not name a table. What is not understood names no table that is not there, and hides none that
//! is: a table stands where the grammar lets nothing else stand.

use super::tokens::Token;
use super::touch::Touch;

/// What stands before the table that it is about.
const NOISE: &[&str] =
    &["ONLY", "LATERAL", "TABLE", "IF", "NOT", "EXISTS", "TEMP", "TEMPORARY", "UNLOGGED", "CONCURRENTLY"];

/// What ends a list of tables.
const ENDS_LIST: &[&str] = &[
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "WINDOW",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "FETCH",
    "FOR",
    "RETURNING",
    "SET",
    "WHEN",
    "VALUES",
    "CASCADE",
    "RESTRICT",
    "IN",
];

/// What stands before a statement within PL/pgSQL.
const BEFORE_STATEMENT: &[&str] = &["BEGIN", "THEN", "ELSE", "LOOP"];

/// What a piece in parentheses knows, or the whole.
#[derive(Debug, Default)]
struct Frame {
    /// Of the statement so far.
    verb: Option<&'static str>,
    /// What it writes to.
    target: Option<String>,
    /// What is done to the table that comes next.
    expects: Option<&'static str>,
    /// What is done to the table after a comma.
    list: Option<&'static str>,
    with: With,
    /// Common table expressions that can be named from here on.
    known: Vec<String>,
}

/// Where in its WITH a statement is.
#[derive(Debug, Default, PartialEq, Eq)]
enum With {
    /// It has none, or it is over.
    #[default]
    No,
    /// A name comes.
    Name { is_recursive: bool },
    /// The body of this one comes, which does not know its own name unless it is recursive.
    Body { name: String, is_recursive: bool },
}

/// Reads statements one after the other.
pub struct Scanner<'t, 's> {
    tokens: &'t [Token<'s>],
    frames: Vec<Frame>,
    /// Whether statements may begin where PL/pgSQL lets them.
    is_block: bool,
    found: Vec<(usize, Touch)>,
    /// The first verb outside of parentheses.
    verb: Option<&'static str>,
}

impl<'t, 's> Scanner<'t, 's> {
    /// Of one statement, or of the body of a block.
    pub fn new(tokens: &'t [Token<'s>], is_block: bool) -> Self {
        Self { tokens, frames: vec![Frame::default()], is_block, found: Vec::new(), verb: None }
    }

    /// The main verb, and what is done to which tables: first what stands outside of parentheses.
    pub fn read(mut self) -> (Option<&'static str>, Vec<Touch>) {
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            at = match token {
                Token::Mark(mark) => self.mark(*mark, at),
                Token::Literal(_) => {
                    self.frame().expects = None;
                    at + 1
                }
                Token::Word(_) | Token::Quoted(_) => self.word(at),
            };
        }
        self.found.sort_by_key(|(depth, _)| *depth > 1);
        (self.verb, self.found.into_iter().map(|(_, touch)| touch).collect())
    }

    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn mark(&mut self, mark: char, at: usize) -> usize {
        match mark {
            '(' => {
                let expects = self.frame().expects.take();
                // A query, or tables that are joined.
                let list = expects.map(|_| "SELECT");
                self.frames.push(Frame { verb: list, expects: list, list, ..Frame::default() });
            }
            ')' => {
                if self.frames.len() > 1 {
                    self.frames.pop();
                }
                let tokens = self.tokens;
                let frame = self.frame();
                if let With::Body { name, is_recursive } = &frame.with
                    && at_body(tokens, at)
                {
                    let (name, is_recursive) = (name.clone(), *is_recursive);
                    frame.known.push(name);
                    frame.with = With::Name { is_recursive };
                }
            }
            ';' => self.frames = vec![Frame::default()],
            ',' => {
                let frame = self.frame();
                frame.expects = frame.list;
            }
            // Of a name that goes on.
            '.' => {}
            _ => self.frame().expects = None,
        }
        at + 1
    }

    /// The place after it.
    fn word(&mut self, at: usize) -> usize {
        let token = &self.tokens[at];
        if self.is_in_name(at) {
            return at + 1;
        }
        if let Some(expected) = self.frame().expects {
            if token.is_any(NOISE) {
                return at + 1;
            }
            if token.is("ROWS") && self.next_is(at, "FROM") {
                self.frame().expects = None;
                return at + 2;
            }
            if !token.is_any(&["SELECT", "VALUES", "WITH"]) {
                return self.table(expected, at);
            }
            self.frame().expects = None;
        }
        self.keyword(at);
        at + 1
    }

    /// Takes a table where one stands.
    fn table(&mut self, verb: &'static str, at: usize) -> usize {
        let (mut name, mut end) = (self.tokens[at].identifier().unwrap_or_default(), at + 1);
        let mut is_qualified = false;
        while let (Some(Token::Mark('.')), Some(next)) = (self.tokens.get(end), self.tokens.get(end + 1)) {
            let Some(next) = next.identifier() else { break };
            (name, end, is_qualified) = (next, end + 2, true);
        }
        let reads = verb == "SELECT";
        let is_function = reads && self.tokens.get(end) == Some(&Token::Mark('('));
        let is_known = reads && !is_qualified && self.frames.iter().any(|frame| frame.known.contains(&name));
        let frame = self.frame();
        frame.expects = None;
        if !reads {
            frame.target = Some(name.clone());
        }
        if !is_function && !is_known {
            self.touch(verb, name);
        }
        end
    }

    fn touch(&mut self, verb: &'static str, table: String) {
        let touch = Touch { verb, table };
        let depth = self.frames.len();
        match self.found.iter_mut().find(|(_, found)| *found == touch) {
            Some((known, _)) => *known = depth.min(*known),
            None => self.found.push((depth, touch)),
        }
    }

    fn keyword(&mut self, at: usize) {
        let token = &self.tokens[at];
        if self.is_of_with(at) {
            return;
        }
        let Token::Word(word) = token else { return };
        let before = at.checked_sub(1).map(|before| &self.tokens[before]);
        let (starts, is_block) = (self.starts_statement(before), self.is_block);
        let frame = self.frame();
        let writes_into = matches!(frame.verb, Some("INSERT" | "MERGE"));
        let target = frame.target.clone();
        match word.to_ascii_uppercase().as_str() {
            "WITH" if starts => frame.with = With::Name { is_recursive: false },
            "SELECT" | "PERFORM" => self.begins("SELECT", None),
            "VALUES" if starts => self.begins("VALUES", None),
            "TABLE" if starts => self.begins("SELECT", Some("SELECT")),
            "INSERT" if starts => self.begins("INSERT", None),
            "MERGE" if starts => self.begins("MERGE", None),
            "UPDATE" if starts => self.begins("UPDATE", Some("UPDATE")),
            "DELETE" if starts => self.begins("DELETE", None),
            // What MERGE does to its target, and an INSERT that finds a conflict.
            verb @ ("INSERT" | "UPDATE" | "DELETE") if before.is_some_and(|token| token.is_any(&["THEN", "DO"])) => {
                let verb = ["INSERT", "UPDATE", "DELETE"].into_iter().find(|known| *known == verb);
                if let (Some(verb), Some(table)) = (verb, target) {
                    self.touch(verb, table);
                }
            }
            "INTO" if writes_into && target.is_none() => frame.expects = frame.verb,
            // Within a block it names variables.
            "INTO" if frame.verb == Some("SELECT") && !is_block => frame.expects = Some("CREATE"),
            "FROM" if frame.verb == Some("DELETE") && target.is_none() => frame.expects = Some("DELETE"),
            "FROM" if matches!(frame.verb, Some("SELECT" | "UPDATE")) => {
                let is_comparison = before.is_some_and(|token| token.is("DISTINCT"))
                    && at.checked_sub(2).is_some_and(|at| self.tokens[at].is_any(&["IS", "NOT"]));
                if !is_comparison {
                    let frame = self.frame();
                    (frame.list, frame.expects) = (Some("SELECT"), Some("SELECT"));
                }
            }
            "USING" if matches!(frame.verb, Some("DELETE" | "MERGE")) && frame.list.is_none() => {
                (frame.list, frame.expects) = (Some("SELECT"), Some("SELECT"));
            }
            "JOIN" if frame.verb.is_some() => frame.expects = Some("SELECT"),
            _ if token.is_any(ENDS_LIST) => frame.list = None,
            _ => {}
        }
    }

    /// A statement begins here.
    fn begins(&mut self, verb: &'static str, expects: Option<&'static str>) {
        // `(SELECT ...) UNION (SELECT ...)` begins with a parenthesis.
        let is_main = self.frames.iter().rev().skip(1).all(|frame| frame.verb.is_none() && frame.with == With::No);
        if is_main {
            self.verb.get_or_insert(verb);
        }
        let frame = self.frame();
        frame.with = With::No;
        (frame.verb, frame.expects, frame.list) = (Some(verb), expects, None);
    }

    /// Whether a word is of a WITH: a name, or what stands around one.
    fn is_of_with(&mut self, at: usize) -> bool {
        let token = &self.tokens[at];
        let frame = self.frame();
        let With::Name { is_recursive } = &mut frame.with else { return false };
        if token.is_any(&["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE"]) {
            return false;
        }
        if token.is("RECURSIVE") {
            *is_recursive = true;
            return true;
        }
        let Some(name) = token.identifier() else { return false };
        let is_recursive = *is_recursive;
        if is_recursive {
            frame.known.push(name.clone());
        }
        frame.with = With::Body { name, is_recursive };
        true
    }

    /// Whether a statement can begin after this token.
    fn starts_statement(&mut self, before: Option<&Token<'_>>) -> bool {
        let is_block = self.is_block;
        let after_with = self.frame().with != With::No;
        match before {
            None | Some(Token::Mark('(' | ';')) => true,
            Some(Token::Mark(')')) => after_with,
            Some(word) => is_block && word.is_any(BEFORE_STATEMENT),
        }
    }

    /// Whether a word is the part of a name after its dot.
    fn is_in_name(&self, at: usize) -> bool {
        at.checked_sub(1).is_some_and(|before| self.tokens[before] == Token::Mark('.'))
    }

    fn next_is(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at + 1).is_some_and(|next| next.is(word))
    }
}

/// Whether the parenthesis that closes here is that of a body, and not of a list of columns: `c (a, b) AS (...)`.
fn at_body(tokens: &[Token<'_>], close: usize) -> bool {
    let mut depth = 0_usize;
    for (at, token) in tokens[..=close].iter().enumerate().rev() {
        match token {
            Token::Mark(')') => depth += 1,
            Token::Mark('(') => {
                depth -= 1;
                if depth == 0 {
                    return at.checked_sub(1).is_some_and(|before| tokens[before].is_any(&["AS", "MATERIALIZED"]));
                }
            }
            _ => {}
        }
    }
    false
}
