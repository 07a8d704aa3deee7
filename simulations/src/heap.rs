use std::collections::BTreeMap;
use std::time::Duration;

/// What is to happen, by when; events of one moment in the order in which they
/// were entered.
#[derive(Debug)]
pub struct EventHeap<E> {
    now: Duration,
    entered: u64,
    events: BTreeMap<EventKey, E>,
}

/// By which an event that was entered can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    at: Duration,
    entered: u64,
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

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Enters an event that happens `after` now.
    pub fn push(&mut self, after: Duration, event: E) -> EventKey {
        self.push_at(self.now.saturating_add(after), event)
    }

    /// Enters an event that happens at a moment, or now if that has passed.
    pub fn push_at(&mut self, at: Duration, event: E) -> EventKey {
        self.entered += 1;
        let key = EventKey { at: at.max(self.now), entered: self.entered };
        self.events.insert(key, event);
        key
    }

    /// Takes back an event that has not happened.
    pub fn cancel(&mut self, key: EventKey) -> Option<E> {
        self.events.remove(&key)
    }

    /// Takes back all events of a kind, in their order. Costs a look at every one that waits.
    pub fn take_if(&mut self, mut wanted: impl FnMut(&E) -> bool) -> Vec<E> {
        self.events.extract_if(.., |_, event| wanted(event)).map(|(_, event)| event).collect()
    }

    /// Goes on to the next event, if there is one up to `end`; else to `end`.
    pub fn pop_until(&mut self, end: Duration) -> Option<E> {
        match self.events.first_entry() {
            Some(entry) if entry.key().at <= end => {
                let (key, event) = entry.remove_entry();
                self.now = key.at;
                Some(event)
            }
            Some(_) | None => {
                self.now = self.now.max(end);
                None
            }
        }
    }
}
