//! SIGINT and SIGTERM, and of clients SIGHUP: their terminal is gone.

use std::fmt::Display;
use std::io::Write;
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
    hangup: Option<Signal>,
}

impl Interrupts {
    /// From now on SIGINT and SIGTERM arrive here rather than end the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup: None })
    }

    /// And SIGHUP, unless whoever started this wants it to outlive the terminal, as nohup does.
    fn listen_at_terminal() -> Result<Self, Failure> {
        // Where there is nothing to be read of it, it stays as it was.
        let is_ignored = std::fs::read_to_string("/proc/self/status")
            .map_or(true, |status| ignores(&status, SignalKind::hangup().as_raw_value()));
        let hangup = if is_ignored { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self { hangup, ..Self::listen()? })
    }

    /// The next signal's number.
    pub(crate) async fn next(&mut self) -> i32 {
        let hung_up = async { self.hangup.as_mut()?.recv().await };
        tokio::select! {
            Some(()) = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            Some(()) = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            Some(()) = hung_up => SignalKind::hangup().as_raw_value(),
            else => std::future::pending().await,
        }
    }

    /// Ends the process at the next signal, or when the clean-up after the
    /// first takes too long: a write to a pipe that nobody empties blocks.
    pub(crate) fn end_soon(mut self, signal: i32) {
        // Of a terminal that is gone both the shell and the kernel tell.
        self.hangup = None;
        tokio::spawn(async move {
            let signal = tokio::time::timeout(CLEAN_UP_TIME_MAX, self.next()).await.unwrap_or(signal);
            std::process::exit(128 + signal);
        });
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::request(format!("cannot listen for signals: {error}"), ""))
}

/// Whether a process of which the kernel says this (proc(5), `status`) ignores a signal.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// A line on stderr for whoever interrupted, who may be gone with the terminal.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs a client's `work` until it is done or a signal comes. Dropping the
/// work cancels it; `clean_up` says goodbye to whoever must know.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = Result<T, Failure>>,
    clean_up: impl AsyncFnOnce(),
) -> Result<T, Failure> {
    let (told, mut signalled) = tokio::sync::watch::channel(None);
    let mut interrupts = Interrupts::listen_at_terminal()?;
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
    say("interrupted");
    Err(Failure::signalled(signal.unwrap_or(SignalKind::interrupt().as_raw_value())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_signal_is_ignored_is_read_from_what_the_kernel_says() {
        let status = "Name:\tshoal\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1) && ignores(status, 13));
        assert!(!ignores(status, 2) && !ignores("Name:\tshoal\n", 1));
    }
}
