use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The same complaint about the same host is passed on once in this time.
const QUIET: Duration = Duration::from_secs(10);

/// Complaints remembered. While so many are fresh, new ones are dropped:
/// somebody is knocking from many addresses.
const REMEMBERED_MAX: usize = 256;

/// Keeps strangers who knock again and again from flooding the runtime.
#[derive(Default)]
pub(crate) struct Reports(HashMap<(String, String), Instant>);

impl Reports {
    /// Whether to pass this on.
    pub(crate) fn is_fresh(&mut self, address: &str, why: &str, now: Instant) -> bool {
        // Strangers dial from a new port each time.
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        if self.0.len() >= REMEMBERED_MAX {
            self.0.retain(|_, told| now.saturating_duration_since(*told) < QUIET);
        }
        let key = (host.to_string(), why.to_string());
        let told = self.0.get(&key);
        if told.is_some_and(|told| now.saturating_duration_since(*told) < QUIET) {
            return false;
        }
        if told.is_none() && self.0.len() >= REMEMBERED_MAX {
            return false;
        }
        self.0.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_who_knocks_again_is_mentioned_once_in_a_while() {
        let mut reports = Reports::default();
        let start = Instant::now();
        assert!(reports.is_fresh("10.0.0.1:1000", "secret", start));
        assert!(!reports.is_fresh("10.0.0.1:1001", "secret", start));
        assert!(reports.is_fresh("10.0.0.1:1002", "version", start));
        assert!(reports.is_fresh("10.0.0.2:1000", "secret", start));
        assert!(reports.is_fresh("10.0.0.1:1003", "secret", start + QUIET));
    }

    #[test]
    fn a_flood_from_many_hosts_is_cut_off_and_forgotten_in_time() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let passed = (0..2000).filter(|n| reports.is_fresh(&format!("h{n}:1"), "secret", start)).count();
        assert_eq!(passed, REMEMBERED_MAX);
        assert!(reports.is_fresh("late:1", "secret", start + QUIET));
    }
}
