//! A value that one actor keeps and all may look at.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

/// Changed in place, however large it is; whoever waits for a change is woken
/// in the order in which they began to wait (a `tokio::sync::watch` would wake
/// them in a random one).
pub(crate) struct Published<T> {
    inner: RwLock<Inner<T>>,
    changed: Notify,
}

struct Inner<T> {
    value: T,
    /// Counts the changes.
    version: u64,
}

impl<T> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { inner: RwLock::new(Inner { value, version: 0 }), changed: Notify::new() }
    }

    /// What `look` makes of the value as it is now. `look` is brief.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.read().value)
    }

    /// Which version this is: it grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.read().version
    }

    /// Lets `change` change it, and say whether it did.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        let inner = &mut *self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if change(&mut inner.value) {
            inner.version += 1;
            self.changed.notify_waiters();
        }
    }

    /// Waits until there is a version after `seen`; gives it.
    pub(crate) async fn after(&self, seen: u64) -> u64 {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let version = self.version();
            if version > seen {
                return version;
            }
            changed.await;
        }
    }

    // What it guards is whole even if somebody panicked meanwhile.
    fn read(&self) -> RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn whoever_waits_is_woken_by_a_change_and_by_nothing_else() {
        let published = Published::new(1);
        let mut waiting = std::pin::pin!(published.after(0));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        published.change(|_| false);
        assert_eq!(waiting.as_mut().now_or_never(), None);
        published.change(|value| {
            *value = 2;
            true
        });
        assert_eq!(waiting.as_mut().now_or_never(), Some(1));
        assert_eq!(published.look(|value| *value), 2);
        assert_eq!(published.after(0).now_or_never(), Some(1));
        assert_eq!(published.after(1).now_or_never(), None);
    }
}
