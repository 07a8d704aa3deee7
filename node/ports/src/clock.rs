use std::time::Duration;

use futures::future::BoxFuture;

/// Time. In simulation it is virtual, and each peer's wall clock has its own skew.
pub trait Clock: Send + Sync {
    /// Monotonic time since an arbitrary moment before the peer started.
    fn now(&self) -> Duration;

    /// Wall-clock time in ms since the epoch: for people, never for decisions.
    fn wall_ms(&self) -> u64;

    /// Ready once `delay` has passed.
    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()>;
}
