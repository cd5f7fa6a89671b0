//! Commands out of a stream of bytes, as Redis itself reads them: incremental, keeping their names and the beginnings of
//! their first arguments and of the last.

use std::ops::Range;

/// What is kept of a command's name. The longest of Redis's own has 20 bytes.
const MAX_NAME: usize = 64;

/// Of how many arguments something is kept, beside the last.
const FIRST: usize = 12;

/// The longest number is that of 64 bits.
const MAX_NUMBER: usize = 20;

/// The longest inline command that Redis takes.
const MAX_INLINE: usize = 64 << 10;

/// Redis's `proto-max-bulk-len`, unless configured.
const MAX_BULK: i64 = 512 << 20;

/// Redis counts arguments in 31 bits.
const MAX_ARGUMENTS: i64 = i32::MAX as i64;

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The first byte of a command.
    Begin,
    /// A line without a count of arguments, of so many bytes so far.
    Inline(usize),
    /// The number of arguments.
    Count,
    /// The `$` of an argument.
    Dollar,
    /// The length of an argument.
    Length,
    /// An argument, of which so many bytes are missing, with the two after it.
    Argument(u64),
    /// Nothing can be understood any more.
    Lost,
}

/// Cuts a client's bytes into commands.
#[derive(Debug)]
pub struct Requests {
    part: Part,
    number: Number,
    /// Arguments still to come.
    missing: u64,
    name: Vec<u8>,
    /// The name is complete.
    is_named: bool,
    /// The first arguments after the name, and the last.
    arguments: Vec<Vec<u8>>,
}

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// Its name, or the beginning of it.
    pub name: &'a [u8],
    /// The beginnings of its first arguments, and of the last; none of an inline command.
    pub arguments: &'a [Vec<u8>],
}

/// The line was none that Redis takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Default for Requests {
    fn default() -> Self {
        let (name, arguments) = (Vec::new(), Vec::new());
        Self { part: Part::Begin, number: Number::default(), missing: 0, name, is_named: false, arguments }
    }
}

impl Requests {
    /// Whether the stream may end here.
    pub fn is_between_commands(&self) -> bool {
        matches!(self.part, Part::Begin | Part::Lost)
    }

    /// Takes the next bytes and hands out each command that they complete, with its place in them: one that
    /// has begun before them has its beginning at 0.
    ///
    /// # Errors
    ///
    /// Once, where the bytes are no commands; nothing after is understood.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Command<'_>, Range<usize>)) -> Result<(), Malformed> {
        let (mut at, mut start) = (0, 0);
        while at < bytes.len() {
            if self.part == Part::Begin {
                start = at;
            }
            let taken = self.step(&bytes[at..]).inspect_err(|_| self.part = Part::Lost)?;
            at += taken;
            if self.part == Part::Begin {
                if self.is_named {
                    each(Command { name: &self.name, arguments: &self.arguments }, start..at);
                }
                self.name.clear();
                self.arguments.clear();
                self.is_named = false;
            }
        }
        Ok(())
    }

    /// Takes some bytes of one part.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self.part {
            Part::Begin if bytes[0] == b'*' => {
                (self.part, self.number) = (Part::Count, Number::default());
                Ok(1)
            }
            Part::Begin => {
                self.part = Part::Inline(0);
                Ok(0)
            }
            Part::Inline(before) => {
                let end = bytes.iter().position(|&byte| byte == b'\n');
                let line = &bytes[..end.unwrap_or(bytes.len())];
                self.read_inline(line);
                let length = before + line.len();
                if length > MAX_INLINE {
                    return Err(Malformed);
                }
                self.part = Part::Inline(length);
                if end.is_some() {
                    self.is_named = !self.name.is_empty();
                    self.part = Part::Begin;
                }
                Ok(line.len() + usize::from(end.is_some()))
            }
            Part::Count => {
                if let Some(count) = self.number.push(bytes[0])? {
                    if count > MAX_ARGUMENTS {
                        return Err(Malformed);
                    }
                    self.missing = count.max(0).unsigned_abs();
                    self.part = if self.missing == 0 { Part::Begin } else { Part::Dollar };
                }
                Ok(1)
            }
            Part::Dollar => {
                if bytes[0] != b'$' {
                    return Err(Malformed);
                }
                (self.part, self.number) = (Part::Length, Number::default());
                Ok(1)
            }
            Part::Length => {
                if let Some(length) = self.number.push(bytes[0])? {
                    if !(0..=MAX_BULK).contains(&length) {
                        return Err(Malformed);
                    }
                    self.part = Part::Argument(length.unsigned_abs() + 2);
                    if self.is_named {
                        self.arguments.truncate(FIRST);
                        self.arguments.push(Vec::new());
                    }
                }
                Ok(1)
            }
            Part::Argument(missing) => Ok(self.read_argument(bytes, missing)),
            Part::Lost => Ok(bytes.len()),
        }
    }

    /// Keeps the first word of a line.
    fn read_inline(&mut self, line: &[u8]) {
        for &byte in line {
            let is_blank = byte.is_ascii_whitespace();
            if self.is_named || (is_blank && self.name.is_empty()) {
                continue;
            }
            self.is_named = is_blank;
            if !is_blank && self.name.len() < MAX_NAME {
                self.name.push(byte);
            }
        }
    }

    fn read_argument(&mut self, bytes: &[u8], missing: u64) -> usize {
        let length = bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
        // Without the two bytes after it, and no more than is kept.
        let text = length.min(usize::try_from(missing.saturating_sub(2)).unwrap_or(usize::MAX));
        let kept = if self.is_named { self.arguments.last_mut() } else { Some(&mut self.name) };
        if let Some(kept) = kept {
            let room = MAX_NAME - kept.len();
            kept.extend_from_slice(&bytes[..text.min(room)]);
        }
        let missing = missing - length as u64;
        self.part = Part::Argument(missing);
        if missing == 0 {
            self.is_named = true;
            self.missing -= 1;
            self.part = if self.missing == 0 { Part::Begin } else { Part::Dollar };
        }
        length
    }
}

/// A number and the two bytes after it, of which Redis looks at the first.
#[derive(Debug, Default)]
pub struct Number {
    digits: Vec<u8>,
    returned: bool,
}

impl Number {
    /// The next byte; the number after its last one.
    ///
    /// # Errors
    ///
    /// Where it is none of 64 bits, or not written as Redis writes it.
    pub fn push(&mut self, byte: u8) -> Result<Option<i64>, Malformed> {
        if self.returned {
            return self.value().map(Some);
        }
        match byte {
            b'\r' => self.returned = true,
            _ if self.digits.len() < MAX_NUMBER => self.digits.push(byte),
            _ => return Err(Malformed),
        }
        Ok(None)
    }

    fn value(&self) -> Result<i64, Malformed> {
        let number = std::str::from_utf8(&self.digits).ok().and_then(|text| text.parse::<i64>().ok());
        // No sign, no leading zero.
        number.filter(|number| number.to_string().as_bytes() == self.digits).ok_or(Malformed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// The names found, whether the bytes were malformed, and whether they end between commands.
    fn read(pieces: &[&[u8]]) -> (Vec<String>, bool, bool) {
        let mut requests = Requests::default();
        let mut names = Vec::new();
        let mut malformed = false;
        for piece in pieces {
            let mut end = 0;
            malformed |= requests
                .push(piece, |Command { name, arguments }, span| {
                    assert!(span.start >= end && span.end <= piece.len() && span.start < span.end);
                    end = span.end;
                    assert!(
                        arguments.len() <= FIRST + 1 && arguments.iter().all(|argument| argument.len() <= MAX_NAME)
                    );
                    names.push(String::from_utf8_lossy(name).into_owned());
                })
                .is_err();
            assert!(requests.name.capacity() <= 2 * MAX_NAME && requests.number.digits.capacity() <= 2 * MAX_NUMBER);
        }
        (names, malformed, requests.is_between_commands())
    }

    #[rstest]
    #[case(b"*1\r\n$4\r\nPING\r\n", &["PING"])]
    #[case(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\r\n*\r\n*1\r\n$4\r\nEXEC\r\n", &["SET", "EXEC"])]
    #[case(b"PING\r\n  set k v \n\r\n\n*0\r\n*-1\r\nEXEC\n", &["PING", "set", "EXEC"])]
    #[case(b"*2\r\n$0\r\n\r\n$0\r\n\r\n", &[""])]
    fn commands_are_known_by_their_first_argument(#[case] bytes: &[u8], #[case] expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(read(&[bytes]), (expected, false, true));
    }

    #[rstest]
    #[case(b"*x\r\n")]
    #[case(b"*01\r\n")]
    #[case(b"*+1\r\n")]
    #[case(b"*2147483648\r\n")]
    #[case(b"*99999999999999999999999")]
    #[case(b"*1\r\nPING\r\n")]
    #[case(b"*1\r\n$-1\r\n")]
    #[case(b"*1\r\n$536870913\r\n")]
    fn what_redis_refuses_is_malformed_once(#[case] bytes: &[u8]) {
        let stream = [b"PING\r\n", bytes, b"PING\r\n*x\r\n"].concat();
        assert_eq!(read(&[&stream, b"*x\r\n"]), (vec!["PING".to_owned()], true, true));
    }

    #[test]
    fn an_inline_command_without_an_end_is_malformed() {
        let piece = vec![b'a'; 1 << 10];
        assert!(!read(&vec![&piece[..]; 64]).1);
        assert!(read(&vec![&piece[..]; 65]).1);
    }

    #[test]
    fn the_first_arguments_and_the_last_are_kept() {
        let words: Vec<String> = (0..20).map(|number| number.to_string()).chain(["x".repeat(100)]).collect();
        let bytes: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        let mut kept = Vec::new();
        let command = format!("*{}\r\n{bytes}*1\r\n$4\r\nPING\r\n", words.len());
        Requests::default().push(command.as_bytes(), |command, _| kept.push(command.arguments.to_vec())).unwrap();
        let expected: Vec<Vec<u8>> =
            words[1..=FIRST].iter().cloned().chain(["x".repeat(MAX_NAME)]).map(String::into_bytes).collect();
        assert_eq!(kept, [expected, Vec::new()]);
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..5), 0..6),
            at in prop::collection::vec(any::<prop::sample::Index>(), 0..20)
        ) {
            let mut stream = Vec::new();
            for command in &commands {
                stream.extend(format!("*{}\r\n", command.len()).into_bytes());
                for argument in command {
                    stream.extend(format!("${}\r\n", argument.len()).into_bytes());
                    stream.extend(argument);
                    stream.extend(b"\r\n");
                }
            }
            let names: Vec<String> =
                commands.iter().map(|command| String::from_utf8_lossy(&command[0][..command[0].len().min(MAX_NAME)]).into_owned()).collect();
            prop_assert_eq!(read(&pieces(&stream, &at)), (names, false, true));
        }

        #[test]
        fn any_bytes_are_commands_or_malformed_however_they_are_cut(
            stream in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"*$\r\n\r\n0123 ".to_vec())], 0..300),
            at in prop::collection::vec(any::<prop::sample::Index>(), 0..20)
        ) {
            prop_assert_eq!(read(&pieces(&stream, &at)), read(&[&stream]));
        }
    }

    fn pieces<'a>(stream: &'a [u8], at: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = at.iter().map(|index| index.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
    }
}
