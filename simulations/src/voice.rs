//! What peers log while they are simulated: it becomes part of the story.
//!
//! It never enters the hash of a run, so that a run that is told aloud is the
//! same run, and a log line that is reworded does not make another of it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

use crate::trace::Entry;
use crate::watch::Watch;

/// Lines kept to be shown.
const KEPT: usize = 1_000;

/// The crates whose words are wanted: ours.
const OURS: &str = "shoal";

/// What was said last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Voice(Arc<Mutex<VecDeque<Entry>>>);

impl Voice {
    fn lines(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is logged on this thread from here on, until what comes back
    /// is dropped: warnings, and with `aloud` (then on standard error as well)
    /// what is of interest.
    pub(crate) fn listen(&self, watch: Watch, aloud: bool) -> tracing::subscriber::DefaultGuard {
        let level = if aloud { Level::INFO } else { Level::WARN };
        tracing::dispatcher::set_default(&Dispatch::new(Listener { voice: self.clone(), watch, level, aloud }))
    }

    /// Puts the last lines that pass among `story`, by time.
    pub(crate) fn join(&self, story: &mut Vec<Entry>, count: usize, concerns: impl Fn(&Entry) -> bool) {
        let lines = self.lines();
        let mut last: Vec<Entry> = lines.iter().rev().filter(|entry| concerns(entry)).take(count).cloned().collect();
        last.reverse();
        story.extend(last);
        // Stable: of one moment, what happened comes before what was said of it.
        story.sort_by_key(|entry| entry.at);
    }
}

/// The subscriber of one run.
struct Listener {
    voice: Voice,
    watch: Watch,
    level: Level,
    aloud: bool,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level && metadata.target().starts_with(OURS)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        let what =
            format!("{} {}{}", event.metadata().level().as_str().to_ascii_lowercase(), words.message, words.fields);
        let entry = Entry { at: self.watch.simulated(), host: self.watch.host(), what };
        if self.aloud {
            #[allow(clippy::print_stderr, reason = "asked for on the command line")]
            {
                eprintln!("{entry}");
            }
        }
        let mut lines = self.voice.lines();
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(entry);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.fields, " {}={value}", field.name());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::HostId;

    #[test]
    fn warnings_are_kept_with_their_moment_and_host() {
        let (voice, watch) = (Voice::default(), Watch::default());
        let listening = voice.listen(watch.clone(), false);
        watch.turn(Duration::from_secs(2), Some(HostId(4)), 1);
        tracing::warn!(peer = %"abc", tasks = 2, name = "x", "is lost");
        tracing::info!("of no interest here");
        tracing::warn!(target: "others", "of no interest at all");
        drop(listening);
        tracing::warn!("said too late");
        let mut story = Vec::new();
        voice.join(&mut story, 10, |_| true);
        let told: Vec<String> = story.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["    2.000000 s  peer-4     warn is lost peer=abc tasks=2 name=x"]);
    }
}
