//! One run a thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use shoal_types::{Error, Result};

use super::tally::Tally;
use super::{Swarm, SwarmProgress, SwarmReport};
use crate::report::Report;
use crate::simulation::{STACK_BYTES, Simulation};
use crate::watch::Watch;

/// Between two words on how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Gives `work` a thread with the stack that simulations need, and waits for it.
///
/// # Errors
///
/// There is no such thread to be had, or it panicked.
pub fn on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let started =
            thread::Builder::new().name("simulation".into()).stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = started.map_err(no_thread)?;
        thread.join().map_err(|_| Error::bug("a simulation's thread panicked"))
    })
}

fn no_thread(error: std::io::Error) -> Error {
    Error::bug(format!("no thread for a simulation: {error}"))
}

/// What comes back from a thread: the number of the run, counted from 0.
struct Ended {
    number: u64,
    outcome: Result<(Simulation, Report)>,
    /// The run itself was cut short.
    cut: bool,
}

pub(super) fn run(swarm: &Swarm, watch: &Watch, mut tell: impl FnMut(SwarmProgress)) -> Result<SwarmReport> {
    let (ended, results) = mpsc::channel();
    let next = AtomicU64::new(0);
    let mut tally = Tally::new(swarm);
    thread::scope(|scope| {
        for n in 0..swarm.threads.max(1) {
            let (next, ended) = (&next, ended.clone());
            let work = move || work(swarm, watch, next, &ended);
            let name = format!("simulation-{n}");
            let started = thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn_scoped(scope, work);
            if let Err(error) = started {
                watch.stop();
                return Err(no_thread(error));
            }
        }
        drop(ended);
        let mut broken = None;
        loop {
            match results.recv_timeout(TELL_EVERY) {
                Ok(Ended { cut: true, .. }) | Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(Ended { number, outcome: Ok((simulation, report)), .. }) => {
                    if !tally.take(number, simulation, report) {
                        watch.stop();
                    }
                }
                Ok(Ended { outcome: Err(error), .. }) => {
                    watch.stop();
                    broken.get_or_insert(error);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            tell(tally.progress());
        }
        broken.map_or(Ok(()), Err)
    })?;
    Ok(tally.report())
}

fn work(swarm: &Swarm, watch: &Watch, next: &AtomicU64, ended: &mpsc::Sender<Ended>) {
    while !watch.is_stopped() {
        let number = next.fetch_add(1, Relaxed);
        if number >= swarm.seeds {
            return;
        }
        let own = watch.another();
        let run = |simulation: Simulation| simulation.run_watched(&own).map(|report| (simulation, report));
        let outcome = swarm.simulation_of(number).and_then(run);
        // Nobody listens once the main thread has failed.
        if ended.send(Ended { number, outcome, cut: own.was_cut() }).is_err() {
            return;
        }
    }
}
