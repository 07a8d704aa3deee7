use futures::lock::{Mutex, MutexGuard};
use shoal_types::ObjectName;

/// So many names can be appended to at a time through one peer. Names share a
/// turn by chance; that costs time, never more.
const TURNS: usize = 64;

/// Appends to one name go one after another where they come through one peer:
/// they would only be in each other's way.
pub(crate) struct AppendTurns([Mutex<()>; TURNS]);

impl Default for AppendTurns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl AppendTurns {
    /// Waits for the turn of a name, which is held until the guard is dropped.
    pub(crate) async fn of(&self, name: &ObjectName) -> MutexGuard<'_, ()> {
        let hash = blake3::hash(name.as_str().as_bytes());
        self.0[usize::from(hash.as_bytes()[0]) % TURNS].lock().await
    }
}
