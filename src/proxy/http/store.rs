//! What is stored: answers by their request, and by the fields of it that the answer varies with. Bounded; what has not
//! been used for longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, VARY};

use super::directives::split;
use super::policy::Policy;

/// In all, what is being stored included.
pub const MAX_BYTES: usize = 64 << 20;

/// Of one answer.
pub const MAX_OBJECT: usize = 8 << 20;

/// Answers in all.
pub const MAX_ENTRIES: usize = 10_000;

/// Answers to one request that differ by its fields; they are looked through one by one.
pub const MAX_VARIANTS: usize = 64;

/// What an entry costs beside its texts, roughly.
const OVERHEAD: usize = 512;

/// An answer as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Of the answer.
    pub status: StatusCode,
    /// Of the answer, as they are given to clients but for the age.
    pub headers: HeaderMap,
    /// Shared by all who are given it.
    pub body: Bytes,
    /// How long it is fresh.
    pub policy: Policy,
    /// Which requests it is for.
    pub vary: Vary,
}

/// The fields of a request that an answer varies with, as the request had them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vary(Vec<(HeaderName, Vec<HeaderValue>)>);

impl Vary {
    /// Of an answer; nothing if it is for no other request at all.
    pub fn of(answer: &HeaderMap, request: &HeaderMap) -> Option<Self> {
        let mut vary = Self::default();
        for value in answer.get_all(VARY) {
            for name in split(value.as_bytes()) {
                // What is no name is taken for what cannot be compared.
                let name = HeaderName::from_bytes(name).ok().filter(|name| name.as_str() != "*")?;
                if !vary.0.iter().any(|(known, _)| *known == name) {
                    let values = request.get_all(&name).iter().cloned().collect();
                    vary.0.push((name, values));
                }
            }
        }
        vary.0.sort_unstable_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        Some(vary)
    }

    /// Whether a request has the fields alike; how they are parted and spaced does not count.
    fn matches(&self, request: &HeaderMap) -> bool {
        self.0.iter().all(|(name, values)| {
            let mine = values.iter().flat_map(|value| split(value.as_bytes()));
            mine.eq(request.get_all(name).iter().flat_map(|value| split(value.as_bytes())))
                && values.is_empty() != request.contains_key(name)
        })
    }
}

impl Stored {
    fn size(&self, key: &str) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| 32 + name.as_str().len() + value.len()).sum();
        let vary: usize = self.vary.0.iter().flat_map(|(_, values)| values).map(|value| 32 + value.len()).sum();
        OVERHEAD + self.body.len() + headers + vary + key.len()
    }
}

/// All that is stored.
#[derive(Debug, Default)]
pub struct Store {
    /// The newest of a key is the first.
    keys: HashMap<Arc<str>, Vec<Slot>>,
    /// By when they were used last.
    order: BTreeMap<u64, Arc<str>>,
    bytes: usize,
    /// Being stored.
    reserved: usize,
    tick: u64,
    evictions: u64,
}

#[derive(Debug)]
struct Slot {
    stored: Arc<Stored>,
    size: usize,
    used: u64,
}

impl Store {
    /// The newest answer for a request.
    pub fn find(&mut self, key: &str, request: &HeaderMap) -> Option<Arc<Stored>> {
        let slots = self.keys.get_mut(key)?;
        let slot = slots.iter_mut().find(|slot| slot.stored.vary.matches(request))?;
        self.tick += 1;
        if let Some(key) = self.order.remove(&slot.used) {
            self.order.insert(self.tick, key);
        }
        slot.used = self.tick;
        Some(Arc::clone(&slot.stored))
    }

    /// Stores an answer, in place of an earlier one for the same requests.
    pub fn insert(&mut self, key: &str, stored: Stored) {
        let size = stored.size(key);
        self.remove_where(key, |slot| slot.stored.vary == stored.vary);
        if let Some(oldest) =
            self.keys.get(key).filter(|slots| slots.len() >= MAX_VARIANTS).and_then(|slots| slots.last())
        {
            let used = oldest.used;
            self.remove_where(key, |slot| slot.used == used);
            self.evictions += 1;
        }
        while self.order.len() >= MAX_ENTRIES && self.evict() {}
        if !self.make_room(size) {
            return;
        }
        let key: Arc<str> = self.keys.get_key_value(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key));
        self.tick += 1;
        self.bytes += size;
        self.order.insert(self.tick, Arc::clone(&key));
        self.keys.entry(key).or_default().insert(0, Slot { stored: Arc::new(stored), size, used: self.tick });
    }

    /// Forgets the answers that would be given to a request.
    pub fn remove(&mut self, key: &str, request: &HeaderMap) {
        self.remove_where(key, |slot| slot.stored.vary.matches(request));
    }

    /// Forgets all answers of a key.
    pub fn invalidate(&mut self, key: &str) {
        self.remove_where(key, |_| true);
    }

    /// Keeps room for what is being stored, if there is any.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        let has_room = self.make_room(bytes);
        self.reserved += if has_room { bytes } else { 0 };
        has_room
    }

    /// Gives kept room back.
    pub fn release(&mut self, bytes: usize) {
        self.reserved -= bytes;
    }

    /// How many answers are stored.
    pub fn entries(&self) -> u64 {
        self.order.len() as u64
    }

    /// What they take.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// How many had to make room.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    fn make_room(&mut self, bytes: usize) -> bool {
        while self.bytes + self.reserved + bytes > MAX_BYTES {
            if !self.evict() {
                return false;
            }
        }
        true
    }

    /// Forgets what has not been used for longest.
    fn evict(&mut self) -> bool {
        let Some((used, key)) = self.order.pop_first() else { return false };
        self.remove_where(&key, |slot| slot.used == used);
        self.evictions += 1;
        true
    }

    fn remove_where(&mut self, key: &str, is_removed: impl Fn(&Slot) -> bool) {
        let Some(slots) = self.keys.get_mut(key) else { return };
        slots.retain(|slot| {
            let is_removed = is_removed(slot);
            if is_removed {
                self.bytes -= slot.size;
                self.order.remove(&slot.used);
            }
            !is_removed
        });
        if slots.is_empty() {
            self.keys.remove(key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use hyper::header::{CACHE_CONTROL, COOKIE};

    use super::super::policy::Received;
    use super::*;
    use crate::case::CacheKind;

    fn stored(length: usize, vary: &str, cookie: &str) -> Stored {
        let (mut headers, mut request) = (HeaderMap::new(), HeaderMap::new());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        headers.insert(VARY, vary.parse().unwrap());
        request.insert(COOKIE, cookie.parse().unwrap());
        let (status, now) = (StatusCode::OK, SystemTime::UNIX_EPOCH);
        let received = Received { request: &request, status, headers: &headers, asked_at: now, came_at: now };
        let policy = Policy::of(CacheKind::Strict, &received).unwrap();
        let vary = Vary::of(&headers, &request).unwrap();
        Stored { status, headers, body: vec![0; length].into(), policy, vary }
    }

    #[test]
    fn there_are_only_so_many_answers_and_the_last_used_stay() {
        let mut store = Store::default();
        for number in 0..MAX_ENTRIES {
            store.insert(&number.to_string(), stored(1, "", ""));
        }
        assert!(store.find("0", &HeaderMap::new()).is_some());
        store.insert("new", stored(1, "", ""));
        assert_eq!((store.entries(), store.evictions()), (MAX_ENTRIES as u64, 1));
        assert!(store.find("0", &HeaderMap::new()).is_some());
        assert!(store.find("1", &HeaderMap::new()).is_none());
    }

    #[test]
    fn what_is_being_stored_takes_room_too() {
        let mut store = Store::default();
        store.insert("a", stored(MAX_OBJECT, "", ""));
        assert!(store.reserve(MAX_BYTES - MAX_OBJECT / 2));
        assert_eq!((store.entries(), store.bytes(), store.evictions()), (0, 0, 1));
        assert!(!store.reserve(MAX_OBJECT));
        store.insert("b", stored(MAX_OBJECT, "", ""));
        assert_eq!(store.entries(), 0);
        store.release(MAX_BYTES - MAX_OBJECT / 2);
        store.insert("b", stored(MAX_OBJECT, "", ""));
        assert_eq!(store.entries(), 1);
    }

    #[test]
    fn all_that_is_forgotten_gives_its_room_back() {
        let mut store = Store::default();
        for cookie in ["a", "b", "b", "c"] {
            store.insert("a", stored(9, "Cookie", cookie));
        }
        assert_eq!(store.entries(), 3);
        let mut request = HeaderMap::new();
        assert!(store.find("a", &request).is_none());
        request.insert(COOKIE, HeaderValue::from_static("b"));
        store.remove("a", &request);
        assert_eq!(store.entries(), 2);
        store.invalidate("a");
        assert_eq!((store.entries(), store.bytes(), store.keys.len(), store.order.len()), (0, 0, 0, 0));
    }
}
