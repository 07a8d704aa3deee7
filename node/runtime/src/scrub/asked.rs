//! A scrub that somebody asks for, and watches.
//!
//! ```text
//!   asking peer                         each member
//!   Scrub { bytes_per_second } ──flow──▶ reads copy after copy
//!   ◀── progress, each second or so ───
//!   closes the flow ───────────────────▶ stops within a second or so
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use shoal_ports::{Flow, FlowReader, FlowWriter};
use shoal_types::{ChunkId, Error, FlowHeader, LastScrub, PeerId, Result, ScrubProgress, wire};

use crate::context::Context;
use crate::serve::refuse;

/// How often it is said how far a scrub is. Whoever asked for it can stop it
/// as often.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// Members that scrub at once for one who asks: each reads its own disk, and
/// what is mended comes from the others.
const MEMBERS_AT_ONCE: usize = 64;

/// For how long a member may say nothing: a copy that is put back from several
/// slow holders takes long.
const SILENT_FOR: Duration = Duration::from_secs(600);

/// What a member says of its scrub: how far it is, or why it goes no further.
#[derive(Debug, Clone)]
pub struct ScrubUpdate {
    pub peer: PeerId,
    pub outcome: Result<ScrubProgress>,
}

/// Has members read all of their copies, each so many bytes a second at most.
/// One that cannot says so once, and the others go on. Dropping the stream
/// stops all of them.
pub(crate) fn scrub(context: &Arc<Context>, members: Vec<PeerId>, rate: u64) -> BoxStream<'static, ScrubUpdate> {
    let context = context.clone();
    let of_one = move |peer| of_one(context.clone(), peer, rate).boxed();
    stream::iter(members).map(of_one).flatten_unordered(MEMBERS_AT_ONCE).boxed()
}

fn of_one(context: Arc<Context>, peer: PeerId, rate: u64) -> impl Stream<Item = ScrubUpdate> + Send {
    // `None` once it is over, `Some(None)` before it has begun.
    stream::unfold(Some(None), move |state: Option<Option<Source>>| {
        let context = context.clone();
        async move {
            let source = match state? {
                Some(source) => Ok(source),
                None => Source::open(context, peer, rate).await,
            };
            let (outcome, source) = match source {
                Ok(mut source) => (source.next().await, Some(source)),
                Err(error) => (Err(error), None),
            };
            let next = source.filter(|_| !is_over(&outcome)).map(Some);
            Some((ScrubUpdate { peer, outcome }, next))
        }
    })
}

/// Scrubs for another peer.
pub(crate) async fn serve(context: &Arc<Context>, rate: u64, mut writer: Box<dyn FlowWriter>) -> Result<()> {
    let mut pass = match Pass::begin(context.clone(), rate) {
        Ok(pass) => pass,
        Err(error) => return refuse(writer, error).await,
    };
    loop {
        let said = pass.step().await;
        if is_over(&said) {
            // Whoever hears that it is over may ask for the next one.
            drop(pass);
            writer.send(wire::encode(&said)?).await?;
            return writer.finish().await;
        }
        // Nobody is there to be told: the scrub ends.
        writer.send(wire::encode(&said)?).await?;
    }
}

fn is_over(said: &Result<ScrubProgress>) -> bool {
    said.as_ref().map_or(true, |progress| progress.is_done)
}

/// A scrub under way, at this peer or at another.
enum Source {
    Here(Pass),
    There { context: Arc<Context>, peer: PeerId, reader: Box<dyn FlowReader> },
}

impl Source {
    async fn open(context: Arc<Context>, peer: PeerId, rate: u64) -> Result<Self> {
        if peer == context.me {
            return Pass::begin(context, rate).map(Self::Here);
        }
        let header = wire::encode(&FlowHeader::Scrub { bytes_per_second: rate })?;
        let open = context.ports.transport.open(peer, header);
        let Flow { writer, reader } = context.timeout("asking for a scrub", context.config.timing.call, open).await?;
        writer.finish().await?;
        Ok(Self::There { context, peer, reader })
    }

    async fn next(&mut self) -> Result<ScrubProgress> {
        match self {
            Self::Here(pass) => pass.step().await,
            Self::There { context, peer, reader } => {
                match context.timeout("a word of a scrub", SILENT_FOR, reader.next()).await? {
                    Some(frame) => wire::decode::<Result<ScrubProgress>>(&frame)?,
                    None => Err(Error::Unreachable { peer: *peer, why: "it ended a scrub without a word".into() }),
                }
            }
        }
    }
}

/// A scrub of this peer. One at a time: two would read the same disk against
/// each other.
struct Pass {
    context: Arc<Context>,
    rate: u64,
    began: Duration,
    /// When the next copy may be read.
    resume: Duration,
    after: Option<ChunkId>,
    found: LastScrub,
}

impl Pass {
    fn begin(context: Arc<Context>, rate: u64) -> Result<Self> {
        if context.scrub_turn.swap(true, Ordering::Relaxed) {
            let name = context.info().name.clone();
            return Err(Error::invalid(
                format!("the copies of {name} are being scrubbed already"),
                "wait until that is done, or stop the command that asked for it",
            ));
        }
        let began = context.ports.clock.now();
        Ok(Self { context, rate: rate.max(1), began, resume: began, after: None, found: LastScrub::default() })
    }

    /// Goes on until there is something to say: after [`SAID_EVERY`], or at the end.
    async fn step(&mut self) -> Result<ScrubProgress> {
        let clock = self.context.ports.clock.clone();
        let until = clock.now() + SAID_EVERY;
        let mut is_done = false;
        while !is_done && clock.now() < until {
            let wait = self.resume.min(until).saturating_sub(clock.now());
            if !wait.is_zero() {
                clock.sleep(wait).await;
                continue;
            }
            let (before, read_at) = (self.found.bytes, clock.now());
            match super::next(&self.context, self.after, &mut self.found).await? {
                Some(chunk) => self.after = Some(chunk),
                None => is_done = true,
            }
            self.resume = read_at + time_of(self.found.bytes - before, self.rate);
        }
        if is_done {
            super::note(&self.context, self.found).await;
        }
        let store = self.context.ports.store.clone();
        let usage = self.context.blocking(move || store.usage()).await?;
        let LastScrub { copies, bytes, bad, mended, .. } = self.found;
        Ok(ScrubProgress {
            copies,
            copies_held: usage.chunks.max(copies),
            bytes,
            bytes_held: usage.chunk_bytes.max(bytes),
            bad,
            mended,
            since_ms: u64::try_from(clock.now().saturating_sub(self.began).as_millis()).unwrap_or(u64::MAX),
            is_done,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.context.scrub_turn.store(false, Ordering::Relaxed);
    }
}

/// How long so many bytes take at so many a second.
fn time_of(bytes: u64, rate: u64) -> Duration {
    let ns = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_copy_follows_from_its_bytes_and_never_overflows() {
        assert_eq!(time_of(64 << 20, 128 << 20), Duration::from_millis(500));
        assert_eq!(time_of(0, 0), Duration::ZERO);
        assert_eq!(time_of(u64::MAX, 1), Duration::from_nanos(u64::MAX));
    }
}
