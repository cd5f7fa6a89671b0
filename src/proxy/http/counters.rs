//! What a caching proxy counts.

/// All that went through a caching proxy so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HttpCounters {
    /// From the clients, as far as they could be understood.
    pub requests: u64,
    /// Answered from the store, the origin was not asked.
    pub hits: u64,
    /// GET and HEAD that the origin had to answer. A proxy that stores nothing has none.
    pub misses: u64,
    /// Answered from the store, since the origin said that nothing had changed.
    pub revalidations: u64,
    /// Sent to the origin, for whatever reason.
    pub origin_requests: u64,
    /// Answers 502 and 504 that the proxy gave itself.
    pub errors: u64,
    /// Of these, those to requests that the origin did not answer in time.
    pub timeouts: u64,
    /// Requests and answers that could not be understood, or did not come in time.
    pub malformed: u64,
    /// Answers that are stored now.
    pub entries: u64,
    /// What is stored now.
    pub bytes: u64,
    /// Stored answers that had to make room.
    pub evictions: u64,
    /// From the clients, all bytes.
    pub bytes_up: u64,
    /// To the clients, all bytes.
    pub bytes_down: u64,
}

impl HttpCounters {
    /// What came after `before`; what is stored, as it is now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut window = *self;
        macro_rules! subtract {
            ($($field:ident),*) => { $(window.$field = self.$field.saturating_sub(before.$field);)* };
        }
        subtract!(requests, hits, misses, revalidations, origin_requests, errors, timeouts, malformed, evictions);
        subtract!(bytes_up, bytes_down);
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_what_came_in_it_and_what_is_stored_at_its_end() {
        let before = HttpCounters { requests: 2, hits: 1, entries: 7, bytes: 70, ..HttpCounters::default() };
        let after = HttpCounters { requests: 5, hits: 3, entries: 6, bytes: 60, ..before };
        let expected = HttpCounters { requests: 3, hits: 2, entries: 6, bytes: 60, ..HttpCounters::default() };
        assert_eq!(after.since(&before), expected);
    }
}
