//! Replies out of a stream of bytes, of RESP2 and RESP3: incremental, keeping nothing of them.

use std::ops::Range;

use super::request::{Malformed, Number};

/// A complete reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The type byte of the whole.
    pub kind: u8,
}

impl Reply {
    /// Whether the command failed.
    pub fn is_error(self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }

    /// Whether it answers no command: what a subscriber gets in RESP3.
    pub fn is_push(self) -> bool {
        self.kind == b'>'
    }
}

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The type byte of an element.
    Kind,
    /// A line whose text does not matter.
    Line,
    /// The number after a type byte.
    Number(u8),
    /// So many bytes of a string, with the two after it.
    String(u64),
    /// Nothing can be understood any more.
    Lost,
}

/// Cuts a server's bytes into replies.
#[derive(Debug)]
pub struct Replies {
    part: Part,
    number: Number,
    /// Elements still to come, this one included.
    missing: u64,
    /// The type of the whole, once its first byte is known.
    kind: Option<u8>,
    /// Bytes of the whole so far.
    length: usize,
    /// The first line of the whole has been handed out.
    is_begun: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Self { part: Part::Kind, number: Number::default(), missing: 1, kind: None, length: 0, is_begun: false }
    }
}

/// What is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The first line of an array that is not null.
    Array,
    /// A whole reply.
    Reply(Reply),
}

impl Replies {
    /// Whether the stream may end here.
    pub fn is_between_replies(&self) -> bool {
        self.length == 0 || self.part == Part::Lost
    }

    /// How many of the last bytes belong to a first line that has no end yet.
    pub fn undecided(&self) -> usize {
        if self.is_begun || self.part == Part::Lost { 0 } else { self.length }
    }

    /// Takes the next bytes and hands out what they complete, with its place in them: what has begun before them has its
    /// beginning at 0.
    ///
    /// # Errors
    ///
    /// Once, where the bytes are no replies; nothing after is understood.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Found, Range<usize>)) -> Result<(), Malformed> {
        let (mut at, mut start) = (0, 0);
        while at < bytes.len() {
            let (taken, element) = self.step(&bytes[at..]).inspect_err(|_| self.part = Part::Lost)?;
            at += taken;
            self.length = self.length.saturating_add(taken);
            if self.part == Part::Lost {
                continue;
            }
            if element.is_some() && !self.is_begun && self.kind.is_some() {
                self.is_begun = true;
                if self.kind == Some(b'*') && element != Some(Element::Null) {
                    each(Found::Array, start..at);
                }
            }
            if self.missing == 0 {
                each(Found::Reply(Reply { kind: self.kind.unwrap_or_default() }), start..at);
                *self = Self::default();
                start = at;
            }
        }
        Ok(())
    }

    /// Takes some bytes of one part; what has been read of an element.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, Option<Element>), Malformed> {
        match self.part {
            Part::Kind => {
                let kind = bytes[0];
                // An attribute stands before what it belongs to.
                if self.missing == 1 && self.kind.is_none() && kind != b'|' {
                    self.kind = Some(kind);
                }
                self.part = match kind {
                    b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Part::Line,
                    b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' => Part::Number(kind),
                    _ => return Err(Malformed),
                };
                self.number = Number::default();
                Ok((1, None))
            }
            Part::Line => match bytes.iter().position(|&byte| byte == b'\n') {
                Some(end) => Ok((end + 1, Some(self.complete(Element::Whole)))),
                None => Ok((bytes.len(), None)),
            },
            Part::Number(kind) => {
                let Some(number) = self.number.push(bytes[0])? else { return Ok((1, None)) };
                self.begin(kind, number).map(|element| (1, Some(element)))
            }
            Part::String(missing) => {
                let length = bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
                self.part = Part::String(missing - length as u64);
                let element = (missing == length as u64).then(|| self.complete(Element::Whole));
                Ok((length, element))
            }
            Part::Lost => Ok((bytes.len(), None)),
        }
    }

    /// After the number of an element.
    fn begin(&mut self, kind: u8, number: i64) -> Result<Element, Malformed> {
        let Ok(number) = u64::try_from(number) else {
            return if number == -1 { Ok(self.complete(Element::Null)) } else { Err(Malformed) };
        };
        let elements = match kind {
            b'$' | b'=' | b'!' => {
                self.part = Part::String(number.checked_add(2).ok_or(Malformed)?);
                return Ok(Element::Begun);
            }
            b'%' => number.checked_mul(2),
            b'|' => number.checked_mul(2).and_then(|number| number.checked_add(1)),
            _ => Some(number),
        };
        self.missing = elements.and_then(|number| self.missing.checked_add(number)).ok_or(Malformed)?;
        Ok(self.complete(Element::Begun))
    }

    fn complete(&mut self, element: Element) -> Element {
        self.missing -= 1;
        self.part = Part::Kind;
        element
    }
}

/// How far an element was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    /// Its first line; there is more of it.
    Begun,
    /// It is null.
    Null,
    /// To its end.
    Whole,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn read(pieces: &[&[u8]]) -> (Vec<Found>, bool, bool) {
        let mut replies = Replies::default();
        let (mut found, mut malformed) = (Vec::new(), false);
        for piece in pieces {
            malformed |= replies
                .push(piece, |what, span| {
                    assert!(span.end <= piece.len() && span.start < span.end);
                    found.push(what);
                })
                .is_err();
        }
        (found, malformed, replies.is_between_replies())
    }

    /// The types of the replies, after an `a` for an array's first line.
    fn kinds(bytes: &[u8]) -> String {
        let (found, malformed, between) = read(&[bytes]);
        assert!(!malformed && between);
        let kind = |found: &Found| if let Found::Reply(reply) = found { char::from(reply.kind) } else { 'a' };
        found.iter().map(kind).collect()
    }

    #[rstest]
    #[case(b"+OK\r\n-ERR no\r\n:1\r\n_\r\n#t\r\n,1.5\r\n(12\r\n", "+-:_#,(")]
    #[case(b"$3\r\n\r\n+\r\n$-1\r\n$0\r\n\r\n", "$$$")]
    #[case(b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n*0\r\n*-1\r\n+OK\r\n", "a*a**+")]
    #[case(b"%1\r\n+k\r\n+v\r\n~2\r\n:1\r\n:2\r\n>1\r\n+x\r\n=5\r\ntxt:a\r\n!3\r\nERR\r\n", "%~>=!")]
    #[case(b"|1\r\n+ttl\r\n:5\r\n*1\r\n-ERR\r\n+OK\r\n", "a*+")]
    fn replies_are_known_by_their_type(#[case] bytes: &[u8], #[case] expected: &str) {
        assert_eq!(kinds(bytes), expected);
    }

    #[test]
    fn a_first_line_is_undecided_until_its_end() {
        let mut replies = Replies::default();
        for (piece, undecided) in [(&b"+OK\r\n*"[..], 1), (b"12\r", 4), (b"\n", 0), (b":", 0)] {
            replies.push(piece, |_, _| ()).unwrap();
            assert_eq!(replies.undecided(), undecided, "{piece:?}");
        }
    }

    #[rstest]
    #[case(b"?\r\n")]
    #[case(b"*x\r\n")]
    #[case(b"$-2\r\n")]
    #[case(b"*9223372036854775807\r\n*9223372036854775807\r\n*9223372036854775807\r\n")]
    fn what_no_server_says_is_malformed_once(#[case] bytes: &[u8]) {
        let mut replies = Replies::default();
        assert_eq!(replies.push(bytes, |_, _| ()), Err(Malformed));
        assert_eq!(replies.push(b"?", |_, _| ()), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_replies_or_malformed_however_they_are_cut(
            stream in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"+*$:\r\n\r\n012|%>".to_vec())], 0..300),
            at in prop::collection::vec(any::<prop::sample::Index>(), 0..20)
        ) {
            let mut at: Vec<usize> = at.iter().map(|index| index.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[&stream]));
        }
    }
}
