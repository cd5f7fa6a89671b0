//! Commands that wait for time, let something last for a time, or ask for the time.

use std::time::Duration;

use crate::proxy::wire::time_asked::TimeAsked;

/// What waits, and how long at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The client.
    Client(Duration),
    /// All clients of the server.
    Everybody(Duration),
}

impl Wait {
    /// How long.
    pub fn length(self) -> Duration {
        match self {
            Self::Client(length) | Self::Everybody(length) => length,
        }
    }
}

/// How long a command waits, if it says so. One that says 0 waits for ever, or for as long as the arm lives.
pub fn waits(verb: &str, arguments: &[Vec<u8>]) -> Option<Wait> {
    let number = |argument: Option<&Vec<u8>>| -> Option<f64> { std::str::from_utf8(argument?).ok()?.parse().ok() };
    let (unit, amount) = match verb {
        "BLPOP" | "BRPOP" | "BRPOPLPUSH" | "BLMOVE" | "BZPOPMIN" | "BZPOPMAX" => (1.0, number(arguments.last())),
        "BLMPOP" | "BZMPOP" => (1.0, number(arguments.first())),
        "WAIT" | "WAITAOF" => (1e-3, number(arguments.last())),
        "XREAD" | "XREADGROUP" => (1e-3, number(after(arguments, b"BLOCK"))),
        "CLIENT" if is(arguments.first(), b"PAUSE") => (1e-3, number(arguments.get(1))),
        _ => return None,
    };
    let length = Duration::try_from_secs_f64(amount? * unit).ok().filter(|length| !length.is_zero())?;
    Some(if verb == "CLIENT" { Wait::Everybody(length) } else { Wait::Client(length) })
}

/// Keeps in mind what a command wants of a server that has another time than the arm.
pub fn tell(verb: &str, arguments: &[Vec<u8>], asked: &TimeAsked) {
    let has = |option: &[u8]| arguments.iter().skip(1).any(|argument| argument.eq_ignore_ascii_case(option));
    let text = || {
        let words = arguments.iter().map(|argument| String::from_utf8_lossy(argument).into_owned());
        std::iter::once(verb.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    };
    match verb {
        "TIME" | "EXPIREAT" | "PEXPIREAT" | "HEXPIREAT" | "HPEXPIREAT" | "EXPIRETIME" | "PEXPIRETIME"
        | "HEXPIRETIME" | "HPEXPIRETIME" => asked.ask(text()),
        "SET" | "GETEX" | "HSETEX" | "HGETEX" if has(b"EXAT") || has(b"PXAT") => asked.ask(text()),
        // An entry of a stream is named by the time.
        "XADD" if arguments.iter().any(|argument| argument == b"*") => asked.ask(text()),
        "EXPIRE" | "PEXPIRE" | "SETEX" | "PSETEX" | "HEXPIRE" | "HPEXPIRE" => asked.last(text()),
        "SET" | "GETEX" | "HSETEX" | "HGETEX" if has(b"EX") || has(b"PX") => asked.last(text()),
        _ => {}
    }
}

fn after<'a>(arguments: &'a [Vec<u8>], option: &[u8]) -> Option<&'a Vec<u8>> {
    let at = arguments.iter().position(|argument| argument.eq_ignore_ascii_case(option))?;
    arguments.get(at + 1)
}

fn is(argument: Option<&Vec<u8>>, word: &[u8]) -> bool {
    argument.is_some_and(|argument| argument.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn words(command: &str) -> (String, Vec<Vec<u8>>) {
        let mut words = command.split(' ');
        let verb = words.next().unwrap_or_default().to_owned();
        (verb, words.map(|word| word.as_bytes().to_owned()).collect())
    }

    #[rstest]
    #[case("BLPOP a b 0.5", Some(Wait::Client(Duration::from_millis(500))))]
    #[case("BLMOVE a b LEFT RIGHT 2", Some(Wait::Client(Duration::from_secs(2))))]
    #[case("BZMPOP 3 1 a MIN", Some(Wait::Client(Duration::from_secs(3))))]
    #[case("WAIT 1 250", Some(Wait::Client(Duration::from_millis(250))))]
    #[case("XREADGROUP GROUP g c COUNT 1 block 100 STREAMS s >", Some(Wait::Client(Duration::from_millis(100))))]
    #[case("XREAD STREAMS s 0", None)]
    #[case("CLIENT pause 70 WRITE", Some(Wait::Everybody(Duration::from_millis(70))))]
    #[case("CLIENT ID", None)]
    #[case("BLPOP a 0", None)]
    #[case("BLPOP a x", None)]
    #[case("LPOP a 5", None)]
    fn how_long_a_command_waits_is_in_its_arguments(#[case] command: &str, #[case] expected: Option<Wait>) {
        let (verb, arguments) = words(command);
        assert_eq!(waits(&verb, &arguments), expected);
    }

    #[rstest]
    #[case("TIME", true, false)]
    #[case("SET k v PXAT 5", true, false)]
    #[case("EXPIREAT k 5", true, false)]
    #[case("XADD s * a 1", true, false)]
    #[case("XADD s 1-1 a 1", false, false)]
    #[case("SET k v EX 60", false, true)]
    #[case("SETEX k 60 v", false, true)]
    #[case("PEXPIRE k 60", false, true)]
    #[case("SET EX v", false, false)]
    #[case("GET k", false, false)]
    fn what_a_command_wants_of_the_servers_time_is_known(
        #[case] command: &str,
        #[case] asks: bool,
        #[case] lasts: bool,
    ) {
        let ((verb, arguments), asked) = (words(command), TimeAsked::default());
        tell(&verb, &arguments, &asked);
        let expected = |is_there: bool| is_there.then(|| command.to_owned());
        assert_eq!((asked.asked(), asked.lasting()), (expected(asks), expected(lasts)));
    }
}
