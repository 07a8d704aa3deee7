//! SIGINT and SIGTERM.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// How long a client's own clean-up may take after an interrupt: longer than
/// a cancel on this machine takes, shorter than a person waits.
const CLEAN_UP_TIME_MAX: Duration = Duration::from_secs(3);

/// The signals that ask a process to end.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on the signals arrive here rather than end the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::request(format!("cannot listen for signals: {error}"), ""));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The next signal's number.
    pub(crate) async fn next(&mut self) -> i32 {
        tokio::select! {
            Some(()) = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            Some(()) = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            else => std::future::pending().await,
        }
    }

    /// Ends the process at the next signal, or when the clean-up after the
    /// first takes too long: a write to a pipe that nobody empties blocks.
    pub(crate) fn end_soon(mut self, signal: i32) {
        tokio::spawn(async move {
            let signal = tokio::time::timeout(CLEAN_UP_TIME_MAX, self.next()).await.unwrap_or(signal);
            std::process::exit(128 + signal);
        });
    }
}

/// Runs a client's `work` until it is done or a signal comes. Dropping the
/// work cancels it; `clean_up` says goodbye to whoever must know.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = Result<T, Failure>>,
    clean_up: impl AsyncFnOnce(),
) -> Result<T, Failure> {
    let (told, mut signalled) = tokio::sync::watch::channel(None);
    let mut interrupts = Interrupts::listen()?;
    tokio::spawn(async move {
        let signal = interrupts.next().await;
        interrupts.end_soon(signal);
        // Nobody listens any more once the work is done.
        let _ = told.send(Some(signal));
    });
    let signal = {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            outcome = &mut work => return outcome,
            signal = signalled.wait_for(Option::is_some) => signal.ok().and_then(|signal| *signal),
        }
    };
    clean_up().await;
    eprintln!("interrupted");
    Err(Failure::signalled(signal.unwrap_or(SignalKind::interrupt().as_raw_value())))
}
