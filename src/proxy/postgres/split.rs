//! The statements of a simple query, which may be several.

/// Cuts at semicolons that stand neither in a literal, a quoted name, a comment nor in parentheses. Pieces without
/// anything to execute are left out, as Postgres's parser does.
pub fn statements(text: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let (mut start, mut depth, mut is_empty) = (0, 0_usize, true);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        let skipped = skip(rest, at.checked_sub(1).map(|before| text[before]));
        match byte {
            b';' if depth == 0 => {
                if !is_empty {
                    found.push(&text[start..at]);
                }
                (start, is_empty) = (at + 1, true);
            }
            _ => {
                is_empty &= byte.is_ascii_whitespace() || is_comment(rest);
                match byte {
                    b'(' => depth += 1,
                    b')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        at += skipped;
    }
    if !is_empty {
        found.push(&text[start..]);
    }
    found
}

fn is_comment(rest: &[u8]) -> bool {
    rest.starts_with(b"--") || rest.starts_with(b"/*")
}

/// The length of what begins here: a literal, a quoted name, a comment, or one byte.
fn skip(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte > 127);
    match rest[0] {
        b'\'' => {
            let escapes = matches!(before, Some(b'e' | b'E'));
            quoted(rest, escapes)
        }
        b'"' => quoted(rest, false),
        b'-' if is_comment(rest) => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        b'/' if is_comment(rest) => comment(rest),
        b'$' if !in_word => dollar_quoted(rest).unwrap_or(1),
        _ => 1,
    }
}

/// A doubled quote ends one piece and begins another: the same for this purpose.
fn quoted(rest: &[u8], escapes: bool) -> usize {
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'\\' if escapes => at += 2,
            byte if byte != rest[0] => at += 1,
            _ if escapes && rest.get(at + 1) == Some(&rest[0]) => at += 2,
            _ => return at + 1,
        }
    }
    rest.len()
}

fn comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn dollar_quoted(rest: &[u8]) -> Option<usize> {
    let tag = rest[1..].iter().position(|&byte| byte == b'$')?;
    let name = &rest[1..=tag];
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte > 127;
    if name.first().is_some_and(u8::is_ascii_digit) || !name.iter().all(is_name) {
        return None;
    }
    let (delimiter, body) = rest.split_at(tag + 2);
    let end = body.windows(delimiter.len()).position(|window| window == delimiter);
    Some(end.map_or(rest.len(), |end| 2 * delimiter.len() + end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        statements(text.as_bytes()).into_iter().map(|piece| String::from_utf8_lossy(piece).trim().to_owned()).collect()
    }

    #[rstest]
    #[case("", &[])]
    #[case(" ;; /* ; */ ; -- ;\n", &[])]
    #[case("SELECT 1", &["SELECT 1"])]
    #[case("SELECT 1;", &["SELECT 1"])]
    #[case("BEGIN; SELECT ';' ;COMMIT", &["BEGIN", "SELECT ';'", "COMMIT"])]
    #[case("SELECT 'it''s;' ; b", &["SELECT 'it''s;'", "b"])]
    #[case(r"SELECT E'\';'; b", &[r"SELECT E'\';'", "b"])]
    #[case(r"SELECT '\'; b", &[r"SELECT '\'", "b"])]
    #[case("SELECT $$;$$; SELECT $a$;$$;$a$; SELECT $1;b", &["SELECT $$;$$", "SELECT $a$;$$;$a$", "SELECT $1", "b"])]
    #[case("CREATE RULE r AS ON INSERT TO t DO (a; b); c", &["CREATE RULE r AS ON INSERT TO t DO (a; b)", "c"])]
    #[case("/* /* ; */ ; */ a; \"x;\"", &["/* /* ; */ ; */ a", "\"x;\""])]
    fn a_query_is_cut_as_the_server_does(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(texts(text), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_cut(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = statements(&bytes);
        }

        #[test]
        fn pieces_in_any_order_can_be_cut(pieces in prop::collection::vec(prop::sample::select(vec!["a", "'", "\"", "$$", "$a$", "$", "/*", "*/", "--", "\n", ";", "(", ")", "E'", "\\", "é"]), 0..24)) {
            let _ = statements(pieces.concat().as_bytes());
        }
    }
}
