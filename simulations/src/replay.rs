//! A run as one line of text, which runs it again.
//!
//! ```text
//! scenario=swarm seed=42 peers=7 duration=34s faults=3,5 trace=5f1c0a…
//! ```
//!
//! The first word says where the scenario comes from, the others what was
//! changed in it. Words are in any order, each at most once. A space, a quote or
//! a `%` within a word is written as in addresses (`my%20scenario.toml`).

mod numbers;
mod origin;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use shoal_runtime::Planted;
use shoal_types::{Error, Result};

use crate::scenario::{Bytes, Share, Span};
use crate::simulation::Simulation;
pub use origin::Origin;
pub(crate) use origin::Source;

/// What a trace's hash is cut to: enough to tell runs apart.
const TRACE_DIGITS: usize = 16;

/// What all lines look like, for errors.
const HINT: &str = "a line is such as 'scenario=swarm seed=42 faults=3,5'; a violation prints its own";

/// All that a run depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    pub origin: Origin,
    pub seed: u64,
    /// Only these of the planned faults, by number.
    pub only: Option<BTreeSet<usize>>,
    pub planted: Option<Planted>,
    pub mixes_attempts: bool,
    /// How the hash of the run's trace began, in hex.
    pub trace: Option<String>,
}

impl Replay {
    pub fn new(origin: Origin, seed: u64) -> Self {
        Self { origin, seed, only: None, planted: None, mixes_attempts: false, trace: None }
    }

    /// The line for a simulation, and for the hash of its trace if it has run.
    pub fn of(simulation: &Simulation, trace: Option<&str>) -> Self {
        Self {
            origin: simulation.source.origin.clone(),
            seed: simulation.seed,
            only: simulation.only.clone(),
            planted: simulation.planted,
            mixes_attempts: simulation.mixes_attempts,
            trace: trace.and_then(|trace| trace.get(..TRACE_DIGITS)).map(str::to_owned),
        }
    }

    /// What it describes. `read` gives the text of a file.
    ///
    /// # Errors
    ///
    /// There is no such scenario, or a file cannot be read or is wrong.
    pub fn simulation(&self, read: impl Fn(&str) -> Result<String>) -> Result<Simulation> {
        Ok(Simulation {
            only: self.only.clone(),
            planted: self.planted,
            mixes_attempts: self.mixes_attempts,
            ..Simulation::from_source(self.origin.source(read)?, self.seed)?
        })
    }

    /// Whether a trace is the one that the line tells of; `None` if it tells of none.
    pub fn is_same_trace(&self, trace: &str) -> Option<bool> {
        self.trace.as_ref().map(|expected| trace.starts_with(expected.as_str()))
    }

    /// The command that runs it.
    pub fn command(&self) -> String {
        format!("shoal sim replay '{self}'")
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(f, "scenario={} seed={}", escaped(&origin.scenario), self.seed)?;
        let mut word = |key: &str, value: Option<String>| match value {
            Some(value) => write!(f, " {key}={value}"),
            None => Ok(()),
        };
        word("peers", origin.peers.map(|peers| peers.to_string()))?;
        word("duration", origin.duration.map(|duration| duration.to_string()))?;
        word("lose", origin.lose.map(share))?;
        word("job", origin.job.as_deref().map(escaped))?;
        word("jobs", origin.jobs.map(|jobs| jobs.to_string()))?;
        word("clients", origin.clients.map(|clients| clients.to_string()))?;
        word("data", origin.data.map(|data| data.to_string().replace(' ', "")))?;
        word("faults", self.only.as_ref().map(numbers::print))?;
        word("planted", self.planted.map(|planted| planted.as_str().to_owned()))?;
        word("mixes-attempts", self.mixes_attempts.then(|| "yes".to_owned()))?;
        word("trace", self.trace.clone())
    }
}

impl FromStr for Replay {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut words = Words::of(line)?;
        let scenario =
            words.take("scenario").ok_or_else(|| Error::invalid("a replay line without a scenario", HINT))?;
        let origin = Origin {
            scenario: unescaped(&scenario)?,
            peers: words.parse("peers")?,
            duration: words.parse::<Span>("duration")?,
            lose: words.parse::<Share>("lose")?,
            job: words.take("job").map(|job| unescaped(&job)).transpose()?,
            jobs: words.parse("jobs")?,
            clients: words.parse("clients")?,
            data: words.parse::<Bytes>("data")?,
        };
        let replay = Self {
            origin,
            seed: words.parse("seed")?.ok_or_else(|| Error::invalid("a replay line without a seed", HINT))?,
            only: words.read("faults", numbers::parse)?,
            planted: words.parse("planted")?,
            mixes_attempts: words.read("mixes-attempts", |text| (text == "yes").then_some(true))?.unwrap_or_default(),
            trace: words
                .read("trace", |text| text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| text.to_owned()))?,
        };
        words.end()?;
        Ok(replay)
    }
}

/// The words of a line that nobody has taken yet.
struct Words(BTreeMap<String, String>);

impl Words {
    fn of(line: &str) -> Result<Self> {
        let mut words = BTreeMap::new();
        for word in line.split_whitespace() {
            let Some((key, value)) = word.split_once('=') else {
                return Err(Error::invalid(format!("'{word}' in a replay line is not KEY=VALUE"), HINT));
            };
            if words.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(Error::invalid(format!("'{key}' is twice in a replay line"), HINT));
            }
        }
        Ok(Self(words))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    fn read<T>(&mut self, key: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.take(key) else {
            return Ok(None);
        };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::invalid(format!("'{text}' is no value for '{key}' in a replay line"), HINT)),
        }
    }

    fn parse<T: FromStr>(&mut self, key: &str) -> Result<Option<T>> {
        self.read(key, |text| text.parse().ok())
    }

    fn end(self) -> Result<()> {
        match self.0.into_keys().next() {
            Some(key) => Err(Error::invalid(format!("'{key}' is nothing that a replay line has"), HINT)),
            None => Ok(()),
        }
    }
}

/// In per cent where that says it exactly.
fn share(share: Share) -> String {
    // 0.07 × 100 is a little more than 7.
    let percent = format!("{}%", (share.0 * 1e6).round() / 1e4);
    if percent.parse() == Ok(share) { percent } else { share.0.to_string() }
}

/// Without anything at which a shell or a line would be cut.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '%' | '\'' | '"' => format!("%{:02x}", u32::from(c)),
            c if c.is_whitespace() || c.is_control() => {
                c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02x}")).collect()
            }
            c => c.to_string(),
        })
        .collect()
}

fn unescaped(text: &str) -> Result<String> {
    let wrong = || Error::invalid(format!("'{text}' in a replay line has a % without two digits"), HINT);
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
