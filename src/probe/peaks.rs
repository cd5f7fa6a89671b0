//! `memory`: how far a process grew at its peak. The kernel keeps one high-water mark per process; windows that lie in
//! each other share it.

use std::fs;

/// A process's memory at a moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// In memory now (`VmRSS`).
    pub resident: u64,
    /// The most that was since its high-water mark was last reset (`VmHWM`).
    pub peak: u64,
}

impl Memory {
    /// Looks at a process. The error says what `/proc` did not.
    pub fn of(pid: u32) -> Result<Self, String> {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        Self::parse(&status).ok_or_else(|| format!("{path} has no VmRSS and VmHWM: this kernel does not tell them"))
    }

    /// `VmHWM:\t   12345 kB`, a line each.
    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { resident: bytes("VmRSS")?, peak: bytes("VmHWM")? })
    }
}

/// Makes what is in memory now the high-water mark (`proc(5)`). The error says who forbids it, and what to do.
pub fn reset(pid: u32) -> Result<(), String> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").map_err(|error| {
        format!(
            "the high-water mark of its memory cannot be reset: writing 5 to {path}: {error}. Some containers and \
             hardened kernels refuse it: run on a machine that does not, or leave `of: memory` out"
        )
    })
}

/// The windows of one process that have begun and not ended, the outermost first.
#[derive(Debug, Default)]
pub struct Peaks {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    window: Option<String>,
    /// In memory at its beginning.
    resident: u64,
    /// The most so far.
    peak: u64,
}

impl Peaks {
    /// Begins a window (without a name: the case). The mark is reset next, so what it was belongs to the windows around.
    pub fn begin(&mut self, window: Option<&str>, now: Memory) {
        self.fold(now);
        let (window, resident) = (window.map(str::to_owned), now.resident);
        self.open.push(Open { window, resident, peak: resident });
    }

    /// Ends a window: how far the process grew in it at its peak. `None` if it has not begun.
    pub fn end(&mut self, window: Option<&str>, now: Memory) -> Option<u64> {
        self.fold(now);
        let at = self.open.iter().rposition(|open| open.window.as_deref() == window)?;
        let ended = self.open.remove(at);
        Some(ended.peak.saturating_sub(ended.resident))
    }

    fn fold(&mut self, now: Memory) {
        for open in &mut self.open {
            open.peak = open.peak.max(now.peak);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tpython\nVmPeak:\t  99 kB\nVmHWM:\t   20 kB\nVmRSS:\t   12 kB\nRssAnon:\t   1 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident: 12 << 10, peak: 20 << 10 }));
        assert_eq!(Memory::parse("Name:\tkthreadd\n"), None);
        assert_eq!(Memory::parse("VmHWM:\t 1 kB\nVmRSS:\t many kB\n"), None);
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let why = Memory::of(u32::MAX).expect_err("there is no such process");
        assert!(why.starts_with("/proc/4294967295/status cannot be read"), "{why}");
        let why = reset(u32::MAX).expect_err("there is no such process");
        assert!(why.contains("writing 5 to /proc/4294967295/clear_refs") && why.contains("leave `of: memory` out"));
    }

    #[test]
    fn a_window_that_has_not_begun_has_no_peak() {
        assert_eq!(Peaks::default().end(Some("w"), Memory { resident: 1, peak: 2 }), None);
    }

    /// The kernel's part: what is in memory, and its high-water mark.
    struct Kernel(Memory);

    impl Kernel {
        fn becomes(&mut self, resident: u64) {
            self.0 = Memory { resident, peak: self.0.peak.max(resident) };
        }

        fn reset(&mut self) {
            self.0.peak = self.0.resident;
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Becomes(u64),
        Begins,
        Ends,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![(0_u64..1000).prop_map(Event::Becomes), Just(Event::Begins), Just(Event::Ends)];
        prop::collection::vec(event, 0..60)
    }

    proptest! {
        /// Each window's peak is the most that was in it, whatever windows lie in it or around it.
        #[test]
        fn no_reset_loses_the_peak_of_a_window_around_it(events in events()) {
            let mut kernel = Kernel(Memory { resident: 500, peak: 700 });
            let mut peaks = Peaks::default();
            // By name: what was there at the beginning, and all that was there since.
            let mut open: Vec<(String, Vec<u64>)> = Vec::new();
            for (at, event) in events.into_iter().enumerate() {
                match event {
                    Event::Becomes(resident) => {
                        kernel.becomes(resident);
                        for (_, seen) in &mut open {
                            seen.push(resident);
                        }
                    }
                    Event::Begins => {
                        peaks.begin(Some(&at.to_string()), kernel.0);
                        kernel.reset();
                        open.push((at.to_string(), vec![kernel.0.resident]));
                    }
                    Event::Ends => {
                        let Some((name, seen)) = open.pop() else { continue };
                        let expected = seen.iter().max().zip(seen.first()).map(|(most, first)| most - first);
                        prop_assert_eq!(peaks.end(Some(&name), kernel.0), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn of_a_real_process_a_window_sees_its_own_peak_only() {
        let pid = std::process::id();
        let touch = |mib: usize| std::hint::black_box(vec![1_u8; mib << 20]).len();
        let now = || Memory::of(pid).unwrap_or_else(|why| panic!("{why}"));
        let mut peaks = Peaks::default();
        for window in [None, Some("inner")] {
            peaks.begin(window, now());
            // Not every machine lets us.
            if reset(pid).is_err() {
                return;
            }
            if window.is_none() {
                touch(64);
            }
        }
        touch(16);
        let (inner, outer) = (peaks.end(Some("inner"), now()), peaks.end(None, now()));
        // Other tests of this program allocate meanwhile, little.
        assert!((15 << 20..48 << 20).contains(&inner.unwrap_or_default()), "{inner:?}");
        assert!(outer.is_some_and(|outer| outer >= 63 << 20), "{outer:?}");
    }
}
