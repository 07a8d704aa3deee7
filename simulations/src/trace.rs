//! What has happened: a hash over everything, and the last of it in words.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::host::HostId;

/// Entries kept to be shown.
const KEPT: usize = 4_000;

/// Every event of a run, hashed in order: two runs with the same hash have
/// seen the same events at the same moments.
pub(crate) struct Trace {
    hash: blake3::Hasher,
    events: u64,
    kept: VecDeque<Entry>,
    /// Every line goes to standard error as well.
    pub(crate) aloud: bool,
}

/// One line of the story.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Duration,
    pub(crate) host: Option<HostId>,
    pub(crate) what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.6} s  ", self.at.as_secs_f64())?;
        match self.host {
            Some(host) => write!(f, "{:<10} ", host.name())?,
            None => write!(f, "{:<10} ", "")?,
        }
        f.write_str(&self.what)
    }
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { hash: blake3::Hasher::new(), events: 0, kept: VecDeque::new(), aloud: false }
    }

    /// Hashes an event: when, where, which kind, and its bytes.
    pub(crate) fn event(&mut self, at: Duration, host: Option<HostId>, kind: u8, bytes: &[u8]) {
        self.events += 1;
        let mut head = [0; 13];
        head[..8].copy_from_slice(&u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
        head[8..12].copy_from_slice(&host.map_or(u32::MAX, |host| host.0).to_le_bytes());
        head[12] = kind;
        self.hash.update(&head);
        self.hash.update(bytes);
    }

    /// Keeps a line to be shown, and hashes it.
    pub(crate) fn line(&mut self, at: Duration, host: Option<HostId>, what: String) {
        self.event(at, host, u8::MAX, what.as_bytes());
        let entry = Entry { at, host, what };
        if self.aloud {
            #[allow(clippy::print_stderr, reason = "asked for on the command line")]
            {
                eprintln!("{entry}");
            }
        }
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(entry);
    }

    /// The last lines that concern one of `hosts` or none in particular, oldest first.
    pub(crate) fn last(&self, hosts: &[HostId], count: usize) -> Vec<Entry> {
        let concerns = |entry: &&Entry| hosts.is_empty() || entry.host.is_none_or(|host| hosts.contains(&host));
        let mut last: Vec<Entry> = self.kept.iter().rev().filter(concerns).take(count).cloned().collect();
        last.reverse();
        last
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The hash so far, in hex (128 bits).
    pub(crate) fn digest(&self) -> String {
        self.hash.finalize().to_hex()[..32].to_owned()
    }
}
