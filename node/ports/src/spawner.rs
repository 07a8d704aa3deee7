use futures::future::BoxFuture;

/// Tasks of one peer's incarnation: all end with it.
pub trait Spawner: Send + Sync {
    /// Runs `task` beside everything else.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle;

    /// Runs `work`, which may block on a disk, off the reactor.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>);
}

/// A spawned task; dropping the handle lets it run on.
pub struct TaskHandle(Box<dyn Fn() + Send + Sync>);

impl TaskHandle {
    pub fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(abort))
    }

    /// Ends the task at its next await.
    pub fn abort(&self) {
        (self.0)();
    }
}

impl dyn Spawner {
    /// The value of `work`, run where blocking is allowed; `None` when the
    /// peer ends first.
    pub async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = futures::channel::oneshot::channel();
        self.blocking(Box::new(move || {
            // The caller may have gone; then nobody wants the value.
            let _ = done.send(work());
        }));
        result.await.ok()
    }
}
