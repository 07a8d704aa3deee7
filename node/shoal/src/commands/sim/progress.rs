//! A line on stderr that says how far a simulation is, on a terminal only.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use shoal_sim::{Report, ShrinkStep, Simulation, SwarmProgress, Watch, on_own_stack};

use crate::failure::Failure;
use crate::units::count;

const TICK: Duration = Duration::from_millis(250);

pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new() -> Self {
        Self::unless(false)
    }

    /// None, if the story is told on stderr anyway.
    fn unless(aloud: bool) -> Self {
        let bar = (!aloud && std::io::stderr().is_terminal()).then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::new_spinner().with_style(style)
        });
        Self(bar)
    }

    fn say(&self, words: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(words());
            bar.tick();
        }
    }

    pub(super) fn swarm(&self, progress: SwarmProgress) {
        self.say(|| {
            let SwarmProgress { runs, seeds, simulated, events, wall } = progress;
            let of = if seeds == u64::MAX { String::new() } else { format!(" of {}", count(seeds)) };
            let rate = simulated.as_secs_f64() / wall.as_secs_f64().max(1e-9);
            format!("{}{of} seeds, {} events, {rate:.0} simulated seconds per second", count(runs), count(events))
        });
    }

    /// A line that stays.
    pub(super) fn line(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    pub(super) fn shrinking(&self, step: ShrinkStep) {
        self.say(|| format!("shrinking, run {}: {}", step.runs, step.size));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

/// Runs it, on a thread of its own.
pub(super) async fn run(simulation: &Simulation) -> Result<Report, Failure> {
    let (watch, started, simulation) = (Watch::default(), Instant::now(), simulation.clone());
    let progress = Progress::unless(simulation.aloud);
    let seen = watch.clone();
    let mut report = std::pin::pin!(on_thread(move || simulation.run_watched(&watch)));
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            report = &mut report => return Ok(report??),
            _ = ticks.tick() => progress.say(|| {
                let rate = seen.events() as f64 / started.elapsed().as_secs_f64().max(1e-9);
                let at = if seen.begun().is_some() { "" } else { ", the mesh forms" };
                format!("{:.0} s simulated, {} events/s{at}", seen.simulated().as_secs_f64(), count(rate as u64))
            }),
        }
    }
}

/// Runs `work` where simulations can run. It goes on to its end, or to that of
/// the process.
pub(super) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(move || on_own_stack(work)).await;
    Ok(done.map_err(|error| Failure::request(format!("the simulation ended early: {error}"), ""))??)
}
