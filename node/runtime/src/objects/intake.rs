//! The bytes of an object on their way in.
//!
//! ```text
//!   body ─▶ batch ─▶ hashes and cutter, aside ─▶ chunks
//!             ▲ the next one is gathered meanwhile
//! ```

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::channel::oneshot;
use futures::stream::BoxStream;
use md5::{Digest, Md5};
use shoal_types::{Format, Result};

use super::recognise::Cutting;
use crate::context::Context;

/// Pieces of one batch, at most: each takes memory besides its bytes.
const BATCH_PIECES: usize = 4_096;

/// Work on so many bytes is done where it comes up: it takes less time than to
/// have another thread do it.
const LIGHT_BYTES: usize = 16 << 10;

/// Cuts a body into chunks, and hashes it, while more of it comes.
pub(super) struct Intake {
    context: Arc<Context>,
    body: BoxStream<'static, Result<Bytes>>,
    is_over: bool,
    bytes: u64,
    work: Work,
}

/// Who has the state of the hashes and the cutter.
enum Work {
    Here(Box<State>),
    Aside(oneshot::Receiver<Result<(Box<State>, Vec<Bytes>)>>),
    /// An error ended it.
    Ended,
}

struct State {
    cutting: Cutting,
    md5: Option<Md5>,
    whole: Whole,
}

/// What is known of a body that has come in.
pub(super) struct TakenIn {
    pub(super) bytes: u64,
    pub(super) format: Format,
    /// Where it was asked for.
    pub(super) md5: Option<[u8; 16]>,
    /// `None` of what is one chunk, or none at all: then it is that one's name.
    pub(super) blake3: Option<blake3::Hash>,
}

impl Intake {
    pub(super) fn new(context: &Arc<Context>, cutting: Cutting, body: BoxStream<'static, Result<Bytes>>) -> Self {
        let state = State { cutting, md5: None, whole: Whole::Nothing };
        let work = Work::Here(Box::new(state));
        Self { context: context.clone(), body, is_over: false, bytes: 0, work }
    }

    /// Computes the MD5 of the content as well; before any of it has come.
    pub(super) fn with_md5(mut self) -> Self {
        if let Work::Here(state) = &mut self.work {
            state.md5 = Some(Md5::new());
        }
        self
    }

    /// How much has come so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The chunks that come next, in order; none once all are there.
    pub(super) async fn next(&mut self) -> Result<Vec<Bytes>> {
        while !self.is_over {
            let batch = self.gather().await?;
            let (state, mut cuts) = self.state().await?;
            cuts.extend(self.begin(state, batch)?);
            if !cuts.is_empty() {
                return Ok(cuts);
            }
        }
        let (mut state, cuts) = self.state().await?;
        if !cuts.is_empty() {
            self.work = Work::Here(state);
            return Ok(cuts);
        }
        let finish = move || {
            let cuts = state.cutting.finish_some()?;
            state.whole.extend(&cuts);
            Ok((state, cuts))
        };
        let is_light = self.bytes <= LIGHT_BYTES as u64;
        let (state, cuts) = if is_light { finish() } else { self.context.blocking(finish).await }?;
        self.work = Work::Here(state);
        Ok(cuts)
    }

    /// To be asked for once [`Intake::next`] gives no more.
    pub(super) async fn finish(mut self) -> Result<TakenIn> {
        let (state, _) = self.state().await?;
        let blake3 = match state.whole {
            Whole::Nothing | Whole::One(_) => None,
            Whole::Many(hasher) => Some(hasher.finalize()),
        };
        let md5 = state.md5.map(|md5| md5.finalize().into());
        Ok(TakenIn { bytes: self.bytes, format: state.cutting.format(), md5, blake3 })
    }

    async fn gather(&mut self) -> Result<Vec<Bytes>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < self.context.config.bounds.put_batch_bytes && batch.len() < BATCH_PIECES {
            match self.body.try_next().await? {
                Some(piece) => {
                    bytes += piece.len();
                    batch.push(piece);
                }
                None => {
                    self.is_over = true;
                    break;
                }
            }
        }
        self.bytes += bytes as u64;
        Ok(batch)
    }

    /// The state, and the chunks that were cut since it was here.
    async fn state(&mut self) -> Result<(Box<State>, Vec<Bytes>)> {
        match std::mem::replace(&mut self.work, Work::Ended) {
            Work::Here(state) => Ok((state, Vec::new())),
            Work::Aside(result) => result.await.map_err(|_| self.context.not_ready("it is stopping"))?,
            Work::Ended => Err(self.context.not_ready("what was put has failed")),
        }
    }

    /// Begins to work on a batch; gives the chunks if that is done already.
    fn begin(&mut self, mut state: Box<State>, batch: Vec<Bytes>) -> Result<Vec<Bytes>> {
        if batch.iter().map(Bytes::len).sum::<usize>() <= LIGHT_BYTES {
            let cuts = state.push(batch)?;
            self.work = Work::Here(state);
            return Ok(cuts);
        }
        let (done, result) = oneshot::channel();
        self.context.ports.spawner.blocking(Box::new(move || {
            let pushed = state.push(batch).map(|cuts| (state, cuts));
            // The put may have been given up meanwhile.
            let _ = done.send(pushed);
        }));
        self.work = Work::Aside(result);
        Ok(Vec::new())
    }
}

impl State {
    fn push(&mut self, batch: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let mut cuts = Vec::new();
        for piece in batch {
            if let Some(md5) = &mut self.md5 {
                md5.update(&piece);
            }
            cuts.extend(self.cutting.push(piece)?);
        }
        self.whole.extend(&cuts);
        Ok(cuts)
    }
}

/// The hash of all chunks one behind the other. That of one alone is its
/// name, which is computed anyway when it is kept.
enum Whole {
    Nothing,
    One(Bytes),
    Many(Box<blake3::Hasher>),
}

impl Whole {
    fn extend(&mut self, cuts: &[Bytes]) {
        for cut in cuts {
            *self = match std::mem::replace(self, Self::Nothing) {
                Self::Nothing => Self::One(cut.clone()),
                Self::One(first) => {
                    let mut hasher = Box::new(blake3::Hasher::new());
                    hasher.update(&first).update(cut);
                    Self::Many(hasher)
                }
                Self::Many(mut hasher) => {
                    hasher.update(cut);
                    Self::Many(hasher)
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_several_chunks_is_that_of_their_bytes_and_that_of_one_is_left_to_its_name() {
        let cuts: Vec<Bytes> = ["a", "bc", "def"].map(|text| Bytes::from_static(text.as_bytes())).into();
        let mut whole = Whole::Nothing;
        whole.extend(&cuts[..1]);
        assert!(matches!(&whole, Whole::One(first) if first == "a"));
        whole.extend(&cuts[1..]);
        let Whole::Many(hasher) = whole else { panic!("three chunks") };
        assert_eq!(hasher.finalize(), blake3::hash(b"abcdef"));
    }
}
