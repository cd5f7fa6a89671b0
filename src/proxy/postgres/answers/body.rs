//! Parts of messages.

/// The rows that a command tag ends with: `FETCH 2000`, `INSERT 0 3`; none in `BEGIN`. What a portal returned before it
/// was suspended is told by no tag.
pub fn rows(tag: &[u8]) -> u64 {
    let last = text(tag).rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    str::from_utf8(last).ok().and_then(|rows| rows.parse().ok()).unwrap_or_default()
}

/// The process in BackendKeyData.
pub fn backend(body: &[u8]) -> u32 {
    body.first_chunk().map_or(0, |process| u32::from_be_bytes(*process))
}

/// A text up to its zero byte.
pub fn text(body: &[u8]) -> &[u8] {
    body.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A name up to its zero byte, and what follows.
pub fn name(body: &[u8]) -> (Vec<u8>, &[u8]) {
    let name = text(body);
    (name.to_vec(), body.get(name.len() + 1..).unwrap_or_default())
}
