use std::collections::BTreeMap;
use std::time::Duration;

/// What is to happen, by when; events of one moment in the order in which they
/// were entered.
#[derive(Debug)]
pub struct EventHeap<E> {
    now: Duration,
    entered: u64,
    events: BTreeMap<(Duration, u64), E>,
}

impl<E> Default for EventHeap<E> {
    fn default() -> Self {
        Self { now: Duration::ZERO, entered: 0, events: BTreeMap::new() }
    }
}

impl<E> EventHeap<E> {
    /// Virtual time since the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Enters an event that happens `after` now.
    pub fn push(&mut self, after: Duration, event: E) {
        self.entered += 1;
        self.events.insert((self.now + after, self.entered), event);
    }

    /// Goes on to the next event, if there is one up to `end`; else to `end`.
    pub fn pop_until(&mut self, end: Duration) -> Option<E> {
        match self.events.first_entry() {
            Some(entry) if entry.key().0 <= end => {
                let ((at, _), event) = entry.remove_entry();
                self.now = at;
                Some(event)
            }
            Some(_) | None => {
                self.now = self.now.max(end);
                None
            }
        }
    }
}
