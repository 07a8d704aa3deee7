//! One thread, no time but ours: runs every task until nothing is left to do,
//! and only then lets the world go on to its next event.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;

use futures::task::AtomicWaker;

/// Tells when all tasks wait for something.
#[derive(Default)]
pub(crate) struct Idle {
    reached: AtomicBool,
    waker: AtomicWaker,
}

impl Idle {
    /// Ready once nothing else can run.
    pub(crate) async fn reached(&self) {
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            if self.reached.swap(false, Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn park(&self) {
        self.reached.store(true, Relaxed);
        self.waker.wake();
    }
}

/// Runs `main` and whatever it spawns on this thread.
///
/// The runtime has no timer, no I/O and no other thread: a task that asks
/// tokio for the time panics, so a simulated peer cannot use it unnoticed.
/// Tasks run in the order in which they were woken.
pub(crate) fn run<T, F: Future<Output = T>>(main: impl FnOnce(Arc<Idle>) -> F) -> std::io::Result<T> {
    let idle = Arc::new(Idle::default());
    let parked = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(move || parked.park()).build()?;
    let value = runtime.block_on(main(idle));
    // Tasks of peers that are still up end here, whatever they wait for.
    drop(runtime);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn idle_is_reached_when_all_others_wait_and_not_before() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = log.clone();
        run(async move |idle: Arc<Idle>| {
            let (wake, woken) = tokio::sync::oneshot::channel::<()>();
            let task = seen.clone();
            tokio::spawn(async move {
                for n in 0..100 {
                    task.lock().unwrap().push(n);
                    tokio::task::yield_now().await;
                }
                woken.await.unwrap();
                task.lock().unwrap().push(200);
            });
            idle.reached().await;
            seen.lock().unwrap().push(100);
            wake.send(()).unwrap();
            idle.reached().await;
            seen.lock().unwrap().push(300);
        })
        .unwrap();
        let expected: Vec<i32> = (0..=100).chain([200, 300]).collect();
        assert_eq!(*log.lock().unwrap(), expected);
    }
}
