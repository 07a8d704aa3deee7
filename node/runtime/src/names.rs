//! Object names: one register each, and the listing over them.

mod listing;
mod turns;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use shoal_register::{Decision, Ending, Outcome};
use shoal_types::{AppendId, Appends, Error, Manifest, NameValue, ObjectName, RegisterKey, RegisterOp, Result, wire};

use crate::collect::Lease;
use crate::context::{Context, lock};
use crate::history;
use crate::peer::{PutCondition, Terms};
use crate::planted::Planted;
use crate::registers::{self, Acceptors, Begin, Proposing};
pub(crate) use listing::{list, scan};
pub(crate) use turns::Turns;

/// Asks what a register holds. Where not all acceptors agree, they do
/// afterwards: what is read is known to a majority from then on.
pub(crate) async fn settle(context: &Arc<Context>, key: &RegisterKey) -> Result<Option<Bytes>> {
    let outcome = propose(context, key, Begin::Asking, |_| Decision::Leave).await?;
    Ok(outcome.value)
}

/// One operation on a register, no layout's, under whatever layout is in force.
///
/// # Errors
/// [`Error::Invalid`] for a value that is longer than a register's can be:
/// nobody is told it, not this peer's own acceptor either.
pub(crate) async fn propose(
    context: &Arc<Context>,
    key: &RegisterKey,
    begin: Begin,
    mut change: impl FnMut(Option<&Bytes>) -> Decision + Send,
) -> Result<Outcome> {
    let mut too_long = None;
    let bounded = |found: Option<&Bytes>| {
        let decision = change(found);
        too_long = match &decision {
            Decision::Write(Some(value)) if value.len() > RegisterOp::VALUE_BYTES_MAX => Some(value.len()),
            Decision::Write(_) | Decision::Leave | Decision::Refuse => None,
        };
        if too_long.is_some() { Decision::Refuse } else { decision }
    };
    let placed_by = key.placed_by().ok_or_else(|| Error::bug("a layout is decided by its members"))?;
    let present = || {
        let layout = context.require_layout()?;
        let groups = layout.acceptors(placed_by).groups();
        Ok(Acceptors { groups, layout: layout.id() })
    };
    let proposing = Proposing { begin, is_built_on };
    let outcome = registers::operate(context, key.clone(), present()?, Some(&present), proposing, bounded).await?;
    match too_long {
        Some(bytes) if outcome.ending == Ending::Refused => Err(Error::invalid(
            format!("'{key}' would be {bytes} bytes long, and {} is the most", RegisterOp::VALUE_BYTES_MAX),
            "",
        )),
        Some(_) | None => Ok(outcome),
    }
}

/// Whether what a name's register holds was built on a value that was decided
/// on `before`: it has the id then that the change drew, if that drew one.
fn is_built_on(before: Option<&Bytes>, value: Option<&Bytes>, now: Option<&Bytes>) -> Option<bool> {
    let [before, value, now] = [before, value, now].map(|held| Standing::of(held.cloned()).map(|it| it.appends));
    now.ok()?.has(&value.ok()?, &before.ok()?)
}

async fn found(context: &Arc<Context>, name: &ObjectName) -> Result<Option<Bytes>> {
    settle(context, &RegisterKey::Object(name.clone())).await
}

/// The manifest in what a register holds; `None` when the name stands for nothing.
fn manifest(value: Option<&Bytes>) -> Result<Option<Manifest>> {
    Ok(Standing::of(value.cloned())?.manifest)
}

/// What a name stands for, with all that an append must know.
#[derive(Default)]
pub(crate) struct Standing {
    pub(crate) manifest: Option<Manifest>,
    pub(crate) appends: Appends,
    /// All that the register holds.
    value: Option<Bytes>,
}

impl Standing {
    fn of(value: Option<Bytes>) -> Result<Self> {
        let (manifest, appends) = match value.as_deref().map(wire::decode::<NameValue>).transpose()? {
            Some(NameValue::Object(manifest)) => (Some(manifest), Appends::default()),
            Some(NameValue::Appended { manifest, appends }) => (Some(manifest), appends),
            Some(NameValue::Gone { appends, .. }) => (None, appends),
            // A former version stands nowhere but in a register of its own.
            Some(NameValue::Removed { .. } | NameValue::Former { .. }) | None => (None, Appends::default()),
        };
        Ok(Self { manifest, appends, value })
    }

    /// Whether nothing has changed the name in between.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.value == other.value
    }

    /// Whether it is what it is by this request alone, whatever was there before.
    pub(crate) fn is_latest(&self, request: Option<AppendId>) -> bool {
        request.is_some_and(|id| self.appends.is_latest(id))
    }

    /// Whether it is what it is by this request, among others.
    pub(crate) fn is_by(&self, request: Option<AppendId>) -> bool {
        request.is_some_and(|id| self.appends.contains(id))
    }
}

/// What a name stands for now.
pub(crate) async fn standing(context: &Arc<Context>, name: &ObjectName) -> Result<Standing> {
    Standing::of(found(context, name).await?)
}

/// What became of an append.
pub(crate) enum Swapped {
    Written,
    /// It had been made before: this is what there is.
    WasMade(Manifest),
    /// The name does not stand any more for what it stood for.
    Refused,
}

/// An append that is about to be made.
pub(crate) struct Appending {
    pub(crate) id: AppendId,
    /// All that the name is the work of then.
    pub(crate) appends: Appends,
    /// On its new chunks.
    pub(crate) lease: Lease,
    pub(crate) begin: Begin,
}

/// Makes a name stand for `written`, the work of all appends, if it stands for
/// nothing else than `before`, and the lease on its new chunks is not over. An
/// error leaves it in doubt: the append may be in effect, unless it has more
/// chunks than an object can have ([`Error::Invalid`]).
pub(crate) async fn swap(
    context: &Arc<Context>,
    name: &ObjectName,
    before: &Standing,
    written: &Manifest,
    appending: Appending,
) -> Result<Swapped> {
    let Appending { id, appends, lease, begin } = appending;
    Manifest::check_chunks(written.chunks.len())?;
    let value = wire::encode(&NameValue::Appended { manifest: written.clone(), appends })?;
    let (before, clock) = (before.value.clone(), context.clone());
    let change = move |found: Option<&Bytes>| {
        if found == before.as_ref() && !lease.is_over(&clock) {
            return Decision::Write(Some(value.clone()));
        }
        // An earlier round of this very append, of which nobody heard.
        match Standing::of(found.cloned()) {
            Ok(found) if found.appends.contains(id) => Decision::Leave,
            Ok(_) | Err(_) => Decision::Refuse,
        }
    };
    let outcome = turns::take(context, name, true, begin, Box::new(change)).await?;
    match outcome.ending {
        Ending::Written => Ok(Swapped::Written),
        Ending::Left => match Standing::of(outcome.value)?.manifest {
            Some(manifest) => Ok(Swapped::WasMade(manifest)),
            None => Err(removed_since(name, "appended to")),
        },
        Ending::Refused => Ok(Swapped::Refused),
    }
}

/// The manifest that a name stands for now.
pub(crate) async fn read(context: &Arc<Context>, name: &ObjectName) -> Result<Option<Manifest>> {
    if context.has_planted(Planted::StaleRead)
        && let Some(value) = read_here(context, name).await?
    {
        return manifest(Some(&value));
    }
    manifest(found(context, name).await?.as_ref())
}

/// A planted bug: what was accepted here last, without asking anybody.
async fn read_here(context: &Arc<Context>, name: &ObjectName) -> Result<Option<Bytes>> {
    let (store, key) = (context.ports.store.clone(), RegisterKey::Object(name.clone()));
    Ok(context.blocking(move || store.register_get(&key)).await?.and_then(|entry| entry.value))
}

/// Like [`read`]; a name that stands for nothing is an error.
pub(crate) async fn require(context: &Arc<Context>, name: &ObjectName) -> Result<Manifest> {
    read(context, name).await?.ok_or_else(|| missing(name))
}

/// What was `done` under an id ("put", "appended to") is there no more.
pub(crate) fn removed_since(name: &ObjectName, done: &str) -> Error {
    Error::not_found(
        format!("'{name}' was {done}, and removed since"),
        "to have it there, do so anew, under another id",
    )
}

fn missing(name: &ObjectName) -> Error {
    let folder = name.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    Error::not_found(format!("there is no object '{name}'"), format!("see what there is with: shoal ls {folder}/"))
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    Written,
    WasWritten(Earlier),
    /// The lease on its chunks was over: nothing was changed.
    TooLate,
}

/// What a name stands for by a request that was made before, among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Earlier {
    pub(crate) manifest: Manifest,
    /// Whether that is what others have made of it since.
    pub(crate) is_replaced: bool,
}

/// Makes a name stand for `written`, if the condition holds at that moment,
/// and the lease on its chunks is not over; where this very request has done
/// so before, nothing is changed.
///
/// # Errors
/// [`Error::NotFound`] where it has, and was removed since.
pub(crate) async fn write(
    context: &Arc<Context>,
    name: &ObjectName,
    written: &Manifest,
    terms: &Terms,
    lease: Lease,
) -> Result<Listed> {
    Manifest::check_chunks(written.chunks.len())?;
    let (terms, value, is_late) = (terms.clone(), written.clone(), Arc::new(AtomicBool::new(false)));
    let drawn = drawn_for(context, &terms.condition);
    let (late, clock, request) = (is_late.clone(), context.clone(), terms.request);
    let (lists_chunks, begin) = (!written.chunks.is_empty(), begin_under(&terms.condition));
    // Found later on it is by an earlier round of this one, of which nobody heard.
    let (was_made, mut is_first) = (Arc::new(AtomicBool::new(false)), true);
    let made = was_made.clone();
    let change = move |found: Option<&Bytes>| {
        // What does not read has nothing that is remembered.
        let there = Standing::of(found.cloned()).unwrap_or_default();
        let is_made = there.is_by(terms.request) || there.is_by(drawn);
        if std::mem::take(&mut is_first) {
            made.store(is_made, Ordering::Relaxed);
        }
        if is_made {
            return Decision::Leave;
        }
        let is_late = lists_chunks && lease.is_over(&clock);
        late.store(is_late, Ordering::Relaxed);
        if is_late || !holds(&terms.condition, found) {
            return Decision::Refuse;
        }
        put_by(&value, there.appends.put_by_drawn(drawn, terms.request))
            .map_or(Decision::Refuse, |value| Decision::Write(Some(value)))
    };
    let outcome = turns::take(context, name, true, begin, Box::new(change)).await?;
    if outcome.ending == Ending::Refused && is_late.load(Ordering::Relaxed) {
        return Ok(Listed::TooLate);
    }
    match outcome.ending {
        Ending::Written => Ok(Listed::Written),
        Ending::Left if !was_made.load(Ordering::Relaxed) => Ok(Listed::Written),
        Ending::Left => {
            let there = Standing::of(outcome.value)?;
            let is_replaced = !there.is_latest(request);
            let manifest = there.manifest.ok_or_else(|| removed_since(name, "put"))?;
            Ok(Listed::WasWritten(Earlier { manifest, is_replaced }))
        }
        Ending::Refused => Err(conflict(name, manifest(outcome.value.as_ref())?.as_ref())),
    }
}

/// What a register holds of an object that was put.
fn put_by(manifest: &Manifest, appends: Appends) -> Result<Bytes> {
    wire::encode(&match appends.is_empty() {
        true => NameValue::Object(manifest.clone()),
        false => NameValue::Appended { manifest: manifest.clone(), appends },
    })
}

/// A name stands for another version than was expected.
pub(crate) fn conflict(name: &ObjectName, found: Option<&Manifest>) -> Error {
    let found = match found {
        Some(manifest) => format!("it has ETag {}", manifest.etag),
        None => "it does not exist".into(),
    };
    Error::Conflict { name: name.to_string(), found }
}

/// An id for a change with a condition. Of two that write the same at the same
/// time only one may be told that its condition held: each is told from the
/// other by it. And one of which a peer did not hear whether it was made finds
/// it in what others have made of the name since.
fn drawn_for(context: &Context, condition: &PutCondition) -> Option<AppendId> {
    (*condition != PutCondition::Always).then(|| AppendId::drawn(context.random()))
}

/// Whoever has a condition has read before: the longer it waits for a turn the
/// less that is so still.
fn begin_under(condition: &PutCondition) -> Begin {
    match condition {
        PutCondition::Always => Begin::Preparing,
        PutCondition::IfAbsent | PutCondition::IfPresent | PutCondition::IfMatch(_) => Begin::Racing,
    }
}

fn holds(condition: &PutCondition, found: Option<&Bytes>) -> bool {
    match condition {
        PutCondition::Always => true,
        // What does not read is something.
        PutCondition::IfAbsent => matches!(manifest(found), Ok(None)),
        PutCondition::IfPresent => !matches!(manifest(found), Ok(None)),
        PutCondition::IfMatch(etag) => {
            matches!(manifest(found), Ok(Some(manifest)) if manifest.etag == *etag)
        }
    }
}

/// Makes a name stand for nothing, if the condition holds; whether it stood for
/// something, or this very request has removed that before. What it stood for
/// goes into the history unless it is to be gone for good: then nobody else puts
/// it there afterwards either.
///
/// # Errors
/// [`Error::Conflict`] when it stands for another version.
pub(crate) async fn remove(context: &Arc<Context>, name: &ObjectName, terms: &Terms, for_good: bool) -> Result<bool> {
    if terms.condition == PutCondition::IfAbsent {
        return Err(Error::invalid("what is absent cannot be removed", "name the version that is to go, or none"));
    }
    let (nonce, Terms { condition, request }) = (context.random(), terms.clone());
    let drawn = drawn_for(context, &condition);
    let begin = begin_under(&condition);
    // Whatever it was applied to: which one of them counted is not told.
    let replaced = Arc::new(Mutex::new(BTreeSet::new()));
    let met = replaced.clone();
    let change = move |found: Option<&Bytes>| {
        let appends = match Standing::of(found.cloned()) {
            Ok(there) if there.manifest.is_none() || there.is_by(request) || there.is_by(drawn) => {
                return Decision::Leave;
            }
            Ok(there) => there.appends,
            // What does not read has nothing that is remembered.
            Err(_) => Appends::default(),
        };
        lock(&met).extend(found.map(history::number));
        match holds(&condition, found) {
            true => gone(nonce, appends.put_by_drawn(drawn, request))
                .map_or(Decision::Refuse, |value| Decision::Write(Some(value))),
            false => Decision::Refuse,
        }
    };
    let outcome = turns::take(context, name, !for_good, begin, Box::new(change)).await?;
    if for_good && outcome.ending == Ending::Written {
        let replaced = std::mem::take(&mut *lock(&replaced));
        for number in replaced {
            history::bar(context, name, number).await?;
        }
    }
    match outcome.ending {
        Ending::Written => Ok(true),
        Ending::Left => {
            let there = Standing::of(outcome.value)?;
            Ok(there.is_by(request) || there.is_by(drawn))
        }
        Ending::Refused => Err(conflict(name, manifest(outcome.value.as_ref())?.as_ref())),
    }
}

/// What a register holds of a name that stands for nothing any more.
fn gone(nonce: u64, appends: Appends) -> Result<Bytes> {
    wire::encode(&match appends.is_empty() {
        true => NameValue::Removed { nonce },
        false => NameValue::Gone { nonce, appends },
    })
}

#[cfg(test)]
mod tests {
    use shoal_types::{ChunkId, ChunkRef, Etag, Format};

    use super::*;

    fn manifest(chunks: usize) -> Manifest {
        Manifest {
            bytes: chunks as u64,
            etag: Etag("e".into()),
            md5: None,
            format: Format::Bytes,
            modified_ms: 0,
            chunks: vec![ChunkRef { id: ChunkId::of(b"x"), bytes: 1 }; chunks],
            inline: None,
        }
    }

    /// The proposer's own acceptor took what was too long for anybody else: it
    /// was alone with a value that nobody could be told, for good.
    #[tokio::test]
    async fn a_value_that_fits_no_frame_is_told_to_nobody_not_even_to_this_peers_acceptor() {
        let (peer, ..) = crate::tests::peer().await;
        let (context, name) = (peer.context(), "a/b".parse::<ObjectName>().unwrap());
        let key = RegisterKey::Object(name.clone());
        let accepted = || context.ports.store.register_get(&key).unwrap().unwrap().accepted;
        let before = accepted();
        for (bytes, is_taken) in [(RegisterOp::VALUE_BYTES_MAX + 1, false), (RegisterOp::VALUE_BYTES_MAX, true)] {
            let write = |_: Option<&Bytes>| Decision::Write(Some(vec![0; bytes].into()));
            let outcome = propose(context, &key, Begin::Preparing, write).await.map(|outcome| outcome.ending);
            assert_eq!(matches!(outcome, Err(Error::Invalid { .. })), !is_taken, "{outcome:?}");
            assert_eq!(accepted() > before, is_taken);
        }
    }

    #[tokio::test]
    async fn an_object_of_more_chunks_than_one_can_have_is_not_listed() {
        let (peer, ..) = crate::tests::peer().await;
        let (context, name) = (peer.context(), "a/b".parse::<ObjectName>().unwrap());
        let before = standing(context, &name).await.unwrap();
        let (long, id) = (manifest(Manifest::CHUNKS_MAX + 1), AppendId::drawn(1));
        let terms = Terms { condition: PutCondition::Always, request: None };
        let put = write(context, &name, &long, &terms, Lease::new(context)).await;
        let (lease, appends) = (Lease::new(context), before.appends.and(id));
        let appending = Appending { id, appends, lease, begin: Begin::Racing };
        let appended = swap(context, &name, &before, &long, appending).await;
        for refused in [put.map(drop), appended.map(drop)] {
            assert!(refused.unwrap_err().hint().contains("several objects"));
        }
        assert_eq!(standing(context, &name).await.unwrap().value, before.value);
    }
}
