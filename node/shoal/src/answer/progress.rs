use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use shoal_gateway::view::EventView;

/// A query shorter than this shows nothing of its way.
const SHOWN_AFTER: Duration = Duration::from_millis(400);

/// How far a query is: a line on stderr, on a terminal only.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    on_terminal: bool,
    tasks: u64,
    done: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        Self { bar: None, started: Instant::now(), on_terminal, tasks: 0, done: 0 }
    }

    /// Takes what happened.
    pub(crate) fn event(&mut self, event: &EventView) {
        match event {
            EventView::Planned { tasks, .. } => (self.tasks, self.done) = (u64::from(*tasks), 0),
            EventView::Finished { .. } => self.done = (self.done + 1).min(self.tasks),
            EventView::PeerLost { peer, running, outputs } => self.say(&format!(
                "peer {} was lost; {} tasks run again elsewhere",
                short(peer),
                running.len() + outputs.len()
            )),
            EventView::AttemptFailed { attempt, peer, error } => {
                self.say(&format!("task {attempt} failed on {}: {}", short(peer), error.message));
            }
            EventView::Started { .. } | EventView::Ended { .. } => {}
        }
        if self.on_terminal && self.bar.is_none() && self.started.elapsed() > SHOWN_AFTER {
            self.bar = Some(bar());
        }
        if let Some(bar) = &self.bar {
            bar.set_length(self.tasks);
            bar.set_position(self.done);
        }
    }

    /// Takes the line away: rows come.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.on_terminal => eprintln!("{line}"),
            None => {}
        }
    }
}

fn bar() -> ProgressBar {
    // The template is a constant of ours; should it ever be wrong, the default will do.
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} tasks {wide_bar} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn short(peer: &str) -> &str {
    peer.get(..8).unwrap_or(peer)
}
