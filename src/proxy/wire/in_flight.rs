//! Bytes under way with a delay: in order, several chunks at once.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is under way at most, in bytes of memory.
const MAX_COST: usize = 8 << 20;

/// What a chunk costs beside its bytes.
const CHUNK_COST: usize = 64;

/// One direction's bytes that were counted and wait to be passed on.
#[derive(Debug, Default)]
pub struct InFlight {
    chunks: VecDeque<Chunk>,
    length: usize,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    passed: usize,
    due: Instant,
}

impl InFlight {
    /// Adds bytes that are due at `due`, but never before those in front of them.
    pub fn push(&mut self, bytes: &[u8], due: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.length += bytes.len();
        match self.chunks.back_mut() {
            Some(last) if last.due == due => last.bytes.extend_from_slice(bytes),
            _ => self.chunks.push_back(Chunk { bytes: bytes.to_vec(), passed: 0, due }),
        }
    }

    /// The first bytes, and when they are due; the last `held` bytes are not among them.
    pub fn front(&self, held: usize) -> Option<(&[u8], Instant)> {
        let chunk = self.chunks.front()?;
        let bytes = &chunk.bytes[chunk.passed..];
        let bytes = &bytes[..bytes.len().min(self.length.saturating_sub(held))];
        (!bytes.is_empty()).then_some((bytes, chunk.due))
    }

    /// The first bytes have been passed on.
    pub fn pass(&mut self, length: usize) {
        self.length -= length;
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.passed += length;
            if chunk.passed == chunk.bytes.len() {
                self.chunks.pop_front();
            }
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether more may be put under way.
    pub fn has_room(&self) -> bool {
        self.length + self.chunks.len() * CHUNK_COST < MAX_COST
    }

    /// Forgets what is under way.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A delay that is off by up to `jitter` in either direction, from a sequence of numbers that is the same every time.
pub fn jittered((latency, jitter): (Duration, Duration), seed: &mut u64) -> Duration {
    // SplitMix64.
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let part = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    (latency + jitter.mul_f64(2.0 * part)).saturating_sub(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_in_order_and_the_held_ones_back() {
        let (mut in_flight, now) = (InFlight::default(), Instant::now());
        in_flight.push(b"abc", now + Duration::from_millis(5));
        in_flight.push(b"de", now);
        assert_eq!(in_flight.front(1), Some((&b"abc"[..], now + Duration::from_millis(5))));
        in_flight.pass(3);
        assert_eq!(in_flight.front(1), Some((&b"d"[..], now)));
        in_flight.pass(1);
        assert_eq!((in_flight.front(1), in_flight.is_empty()), (None, false));
        assert_eq!(in_flight.front(0).map(|(bytes, _)| bytes), Some(&b"e"[..]));
        in_flight.pass(1);
        in_flight.push(b"f", now);
        assert_eq!(in_flight.front(0), Some((&b"f"[..], now)));
    }

    #[test]
    fn there_is_an_end_even_for_chunks_of_one_byte() {
        let (mut in_flight, now) = (InFlight::default(), Instant::now());
        let mut chunks = 0_u64;
        while in_flight.has_room() {
            chunks += 1;
            in_flight.push(b"x", now + Duration::from_micros(chunks));
        }
        assert!(chunks < 200_000);
    }

    #[test]
    fn a_delay_is_off_by_at_most_its_jitter() {
        let (latency, jitter) = (Duration::from_millis(10), Duration::from_millis(4));
        let mut seed = 1;
        let delays: Vec<_> = (0..1000).map(|_| jittered((latency, jitter), &mut seed)).collect();
        assert!(delays.iter().all(|delay| delay.abs_diff(latency) <= jitter));
        assert!(delays.iter().any(|delay| *delay < latency) && delays.iter().any(|delay| *delay > latency));
        assert_eq!(jittered((jitter, Duration::ZERO), &mut seed), jitter);
        assert!(jittered((Duration::ZERO, jitter), &mut seed) <= jitter);
    }
}
