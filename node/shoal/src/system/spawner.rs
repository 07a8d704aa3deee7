use shoal_ports::{BoxFuture, Spawner, TaskHandle};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

/// Tasks on the runtime on which it was made. All end with [`TokioSpawner::stop`].
pub(crate) struct TokioSpawner {
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// The peer's own: every line that a task logs is within it.
    span: Span,
}

impl TokioSpawner {
    pub(crate) fn new(span: Span) -> Self {
        Self { runtime: Handle::current(), tasks: TaskTracker::new(), stop: CancellationToken::new(), span }
    }

    /// Ends every task at its next await, and waits for that and for work
    /// that blocks.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Spawner for TokioSpawner {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        let stop = self.stop.clone();
        let task = async move {
            if stop.run_until_cancelled(task).await.is_none() {
                tracing::trace!(name, "ended with the peer");
            }
        };
        let task = self.tasks.spawn_on(task.instrument(self.span.clone()), &self.runtime);
        TaskHandle::new(move || task.abort())
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let span = self.span.clone();
        self.tasks.spawn_blocking_on(move || span.in_scope(work), &self.runtime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_task_ends_with_the_peer() {
        let spawner = TokioSpawner::new(Span::none());
        let (sent, received) = tokio::sync::oneshot::channel::<()>();
        spawner.spawn(
            "forever",
            async move {
                let _held = sent;
                std::future::pending().await
            }
            .boxed(),
        );
        spawner.stop().await;
        assert!(received.await.is_err(), "the task was dropped, and with it what it held");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_value_comes_back_from_where_blocking_is_allowed() {
        let spawner = TokioSpawner::new(Span::none());
        let spawner: &dyn Spawner = &spawner;
        assert_eq!(spawner.run_blocking(|| 7).await, Some(7));
    }
}
