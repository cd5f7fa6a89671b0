//! The first packet of a connection, the only one without a type byte.

use super::framing::Malformed;
use crate::proxy::wire::counters::Client;

/// Postgres's own bound.
pub const MAX_LENGTH: usize = 10_000;

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// What a client begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// A session, of protocol 3.
    Session(Client),
    /// A request to cancel what another connection does.
    Cancel,
    /// A request for TLS or for GSSAPI encryption, before anything else.
    Encryption,
}

/// The length of a packet, from its first four bytes.
///
/// # Errors
///
/// Where no packet has this length.
pub fn length(first: [u8; 4]) -> Result<usize, Malformed> {
    let length = u32::from_be_bytes(first);
    let found = usize::try_from(length).unwrap_or(usize::MAX);
    if (8..=MAX_LENGTH).contains(&found) { Ok(found) } else { Err(Malformed { kind: 0, length }) }
}

/// Reads a whole packet.
///
/// # Errors
///
/// Where it is none of protocol 3.
pub fn parse(packet: &[u8]) -> Result<Startup, Malformed> {
    let malformed = Malformed { kind: 0, length: u32::try_from(packet.len()).unwrap_or(u32::MAX) };
    let Some((code, rest)) = packet.get(4..).and_then(<[u8]>::split_first_chunk) else { return Err(malformed) };
    match u32::from_be_bytes(*code) {
        CANCEL => Ok(Startup::Cancel),
        TLS | GSS => Ok(Startup::Encryption),
        version if version >> 16 == 3 => Ok(Startup::Session(client(rest))),
        _ => Err(malformed),
    }
}

/// Pairs of names and values, each ended by a zero byte.
fn client(parameters: &[u8]) -> Client {
    let mut client = Client::default();
    let mut texts = parameters.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        match &*name {
            "user" => client.user = value.into_owned(),
            "database" => client.database = value.into_owned(),
            "application_name" => client.application_name = value.into_owned(),
            _ => {}
        }
    }
    if client.database.is_empty() {
        client.database.clone_from(&client.user);
    }
    client
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
        [&u32::try_from(rest.len() + 8).unwrap().to_be_bytes()[..], &code.to_be_bytes(), rest].concat()
    }

    #[test]
    fn a_session_says_who_it_is() {
        let parsed = parse(&packet(3 << 16, b"user\0app\0application_name\0web\0options\0\0\0"));
        let client = Client { user: "app".into(), database: "app".into(), application_name: "web".into() };
        assert_eq!(parsed, Ok(Startup::Session(client)));
    }

    #[test]
    fn requests_are_told_from_sessions_and_other_protocols() {
        assert_eq!(parse(&packet(TLS, b"")), Ok(Startup::Encryption));
        assert_eq!(parse(&packet(GSS, b"")), Ok(Startup::Encryption));
        assert_eq!(parse(&packet(CANCEL, &[0; 8])), Ok(Startup::Cancel));
        assert!(parse(&packet(2 << 16, b"")).is_err());
    }

    #[test]
    fn a_packet_has_at_least_a_code_and_at_most_ten_thousand_bytes() {
        for bad in [0, 7, 10_001, u32::from_be_bytes(*b"GET "), u32::from_be_bytes([0x16, 3, 1, 2])] {
            assert!(length(bad.to_be_bytes()).is_err());
        }
        assert_eq!(length(8_u32.to_be_bytes()), Ok(8));
    }

    proptest! {
        #[test]
        fn any_packet_is_understood_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100), rest in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
            prop_assert!(parse(&packet(3 << 16, &rest)).is_ok());
        }
    }
}
