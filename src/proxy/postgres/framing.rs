//! Messages out of a stream of bytes: incremental, without copying what is not kept.
//!
//! After start-up both sides send the same frame: a type byte, a length that counts itself, a body. Bodies stream
//! past; only those that say something about statements are kept, each up to a bound.

use std::fmt;
use std::ops::Range;

use crate::proxy::wire::stream::Side;

/// What is kept of a statement's text. A longer one is cut: its shape is in its beginning.
pub const MAX_TEXT: usize = 1 << 20;

/// What is kept of a message that holds names.
const MAX_NAMES: usize = 4 << 10;

/// What is kept of a command tag, e.g. `INSERT 0 1`.
const MAX_TAG: usize = 64;

/// What is kept of BackendKeyData: the number of the server's process.
const PROCESS: usize = 4;

/// The longest message that Postgres itself takes is just below.
const MAX_LENGTH: u32 = 1 << 30;

/// A buffer grown beyond this for one long text is given back after it.
const MAX_IDLE_BUFFER: usize = 16 << 10;

impl Side {
    /// How much of a body the session wants to see.
    fn kept(self, kind: u8) -> usize {
        match (self, kind) {
            (Self::Client, b'Q' | b'P') => MAX_TEXT,
            (Self::Client, b'B' | b'C' | b'E') => MAX_NAMES,
            (Self::Server, b'C') => MAX_TAG,
            (Self::Server, b'Z') => 1,
            (Self::Server, b'K') => PROCESS,
            _ => 0,
        }
    }
}

/// A complete message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type byte.
    pub kind: u8,
    /// The length of its body.
    pub length: usize,
    /// The beginning of its body, as far as it is kept for its type.
    pub body: &'a [u8],
}

/// A length that no message has. Nothing after it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The type byte before it; 0 in start-up.
    pub kind: u8,
    /// The length it claims.
    pub length: u32,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {:?} claims a length of {}", char::from(self.kind), self.length)
    }
}

impl std::error::Error for Malformed {}

/// Cuts one direction of a connection into messages.
#[derive(Debug)]
pub struct Framer {
    side: Side,
    header: [u8; 5],
    header_length: usize,
    /// Of the body, still to come.
    missing: usize,
    /// Of a body that did not come in one piece.
    kept: Vec<u8>,
}

impl Framer {
    /// Begins after start-up.
    pub fn new(side: Side) -> Self {
        Self { side, header: [0; 5], header_length: 0, missing: 0, kept: Vec::new() }
    }

    /// Whether the stream may end here.
    pub fn is_between_messages(&self) -> bool {
        self.header_length == 0
    }

    /// How many of the last bytes belong to a message whose end is missing, if it may be a CommandComplete.
    pub fn undecided(&self) -> usize {
        match self.header_length {
            1..5 if self.header[0] == b'C' => self.header_length,
            5 if self.header[0] == b'C' => {
                let length = body_length(self.header).unwrap_or(usize::MAX);
                if length <= MAX_TAG { 5 + length - self.missing } else { 0 }
            }
            _ => 0,
        }
    }

    /// Takes the next bytes and hands out each message that they complete, with its place in them: one that has begun
    /// before them has its beginning at 0.
    ///
    /// # Errors
    ///
    /// Where a length is none; the messages before it have been handed out.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Message<'_>, Range<usize>)) -> Result<(), Malformed> {
        let (whole, mut start) = (bytes.len(), 0);
        while !bytes.is_empty() {
            let is_new = self.header_length < 5;
            if is_new {
                let taken = (5 - self.header_length).min(bytes.len());
                self.header[self.header_length..][..taken].copy_from_slice(&bytes[..taken]);
                self.header_length += taken;
                bytes = &bytes[taken..];
                if self.header_length < 5 {
                    return Ok(());
                }
                self.missing = body_length(self.header)?;
            }
            let (kind, wanted) = (self.header[0], self.side.kept(self.header[0]));
            let arrived = &bytes[..self.missing.min(bytes.len())];
            bytes = &bytes[arrived.len()..];
            self.missing -= arrived.len();
            let is_complete = self.missing == 0;
            let span = start..whole - bytes.len();
            if is_complete && is_new {
                each(Message { kind, length: arrived.len(), body: &arrived[..wanted.min(arrived.len())] }, span);
            } else {
                let room = wanted.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&arrived[..room.min(arrived.len())]);
                if is_complete {
                    each(Message { kind, length: body_length(self.header)?, body: &self.kept }, span);
                }
            }
            if is_complete {
                start = whole - bytes.len();
                self.header_length = 0;
                self.kept.clear();
                self.kept.shrink_to(MAX_IDLE_BUFFER);
            }
        }
        Ok(())
    }
}

fn body_length([kind, length @ ..]: [u8; 5]) -> Result<usize, Malformed> {
    match u32::from_be_bytes(length) {
        length @ 4..=MAX_LENGTH => Ok(length as usize - 4),
        length => Err(Malformed { kind, length }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (u8, usize, Vec<u8>);

    fn messages(side: Side, pieces: &[&[u8]]) -> (Vec<Owned>, Result<(), Malformed>, bool) {
        let mut framer = Framer::new(side);
        let mut found = Vec::new();
        let result = pieces.iter().try_for_each(|piece| {
            framer.push(piece, |message, _| found.push((message.kind, message.length, message.body.to_vec())))
        });
        (found, result, framer.is_between_messages())
    }

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn cut<'a>(stream: &'a [u8], at: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = at.iter().map(|index| index.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
    }

    fn sides() -> impl Strategy<Value = Side> {
        prop::sample::select(vec![Side::Client, Side::Server])
    }

    fn frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let kinds = prop::sample::select(b"QPBECDdcZSX".to_vec());
        prop::collection::vec((kinds, prop::collection::vec(any::<u8>(), 0..200)), 0..12)
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            side in sides(), frames in frames(), at in prop::collection::vec(any::<prop::sample::Index>(), 0..20)
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(kind, body)| frame(*kind, body)).collect();
            let whole = messages(side, &[&stream]);
            prop_assert_eq!(&messages(side, &cut(&stream, &at)), &whole);
            let expected: Vec<Owned> = frames
                .iter()
                .map(|(kind, body)| (*kind, body.len(), body[..side.kept(*kind).min(body.len())].to_vec()))
                .collect();
            prop_assert_eq!(whole, (expected, Ok(()), true));
        }

        #[test]
        fn any_bytes_are_messages_or_malformed_however_they_are_cut(
            side in sides(),
            stream in prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], 0..400),
            at in prop::collection::vec(any::<prop::sample::Index>(), 0..20)
        ) {
            let pieces = cut(&stream, &at);
            prop_assert_eq!(messages(side, &pieces), messages(side, &[&stream]));
        }

        #[test]
        fn what_is_kept_is_bounded_whatever_length_is_claimed(
            side in sides(), kind in any::<u8>(), length in 4_u32..=MAX_LENGTH, pieces in 1_usize..40
        ) {
            let mut framer = Framer::new(side);
            let header = [&[kind][..], &length.to_be_bytes()].concat();
            let mut sent = 0;
            prop_assert!(framer.push(&header, |_, _| ()).is_ok());
            for _ in 0..pieces {
                let piece = vec![b'x'; (64 << 10).min(length as usize - 4 - sent)];
                sent += piece.len();
                prop_assert!(framer.push(&piece, |_, _| ()).is_ok());
                // A vector grows by doubling.
                prop_assert!(framer.kept.capacity() <= 2 * MAX_TEXT);
            }
        }
    }

    #[test]
    fn a_length_below_its_own_or_beyond_a_gibibyte_is_malformed() {
        for length in [0, 3, MAX_LENGTH + 1, u32::MAX] {
            let stream = [frame(b'S', b""), vec![b'Q'], length.to_be_bytes().to_vec()].concat();
            let (found, result, _) = messages(Side::Client, &[&stream]);
            assert_eq!(found, [(b'S', 0, vec![])]);
            assert_eq!(result, Err(Malformed { kind: b'Q', length }));
        }
    }

    #[test]
    fn a_long_text_is_cut_and_its_buffer_given_back() {
        let mut framer = Framer::new(Side::Client);
        let mut seen = None;
        for piece in frame(b'Q', &vec![b'x'; 3 * MAX_TEXT]).chunks(64 << 10) {
            framer.push(piece, |message, _| seen = Some((message.length, message.body.len()))).unwrap();
        }
        assert_eq!(seen, Some((3 * MAX_TEXT, MAX_TEXT)));
        assert!(framer.kept.capacity() <= MAX_IDLE_BUFFER);
    }
}
