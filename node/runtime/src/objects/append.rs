//! Appending: a compare-and-set of the manifest, made again while others append.
//!
//! ```text
//!   bytes ─▶ cut by themselves ─▶ all but the first chunk to its owners
//!                                     │
//!            read the name ◀──────────┴──────────┐
//!            join: last chunk and first, cut anew│ somebody was faster
//!            compare-and-set of the name ────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use shoal_types::{AppendId, Appends, Error, Etag, Format, Manifest, ObjectName, RegisterKey, Result};

use super::addition::Addition;
use super::joining::join;
use super::recognise::recognise;
use crate::buckets;
use crate::collect::{self, Lease};
use crate::context::Context;
use crate::names::{self, Appending, Standing, Swapped};
use crate::planted::Planted;
use crate::registers::{self, Begin};

/// How often an append is made again because others were faster. Appends
/// through one peer take turns, so that these are others' peers: of as many
/// at a time each round lets one through.
const TRIES: u64 = 100;

/// The pause before the second try, and what it grows by, and to; half of it at random.
const PAUSE_MS: u64 = 10;
const PAUSE_MS_MAX: u64 = 500;

/// What was read before all of the body had come is read again after this.
const FRESH: Duration = Duration::from_secs(1);

/// Appends `body` to an object, which comes into being where there is none.
/// Returns once every new chunk is synced on its owners and the name is
/// decided. In effect it is all of `body` or nothing, behind all that was
/// there at that moment; with `version`, only if that was this version.
///
/// `id` tells this append from every other: asked for again under the same
/// one it is made once, as long as [`Appends`] remembers it. `format` is that
/// of an object that comes into being; of one that is there it must be that
/// one's, or [`Format::Bytes`], which the object then is.
///
/// Costs the appended bytes and one chunk to be read, hashed and written,
/// however long the object is.
///
/// # Errors
/// [`Error::Conflict`] when it is another version, when others were faster
/// [`TRIES`] times, or when it cannot be told any more whether it was made;
/// [`Error::Invalid`] where bytes behind the object would break its format.
pub(crate) async fn append(
    context: &Arc<Context>,
    name: ObjectName,
    format: Option<Format>,
    id: AppendId,
    version: Option<Etag>,
    body: BoxStream<'static, Result<Bytes>>,
) -> Result<Manifest> {
    let (key, read) = (RegisterKey::Object(name.clone()), context.ports.clock.now());
    let mut found = names::standing(context, &name).await?;
    if let Some(made) = made(&name, &found, id)? {
        // Whoever sends is heard out.
        let mut body = body;
        while body.try_next().await?.is_some() {}
        return Ok(made);
    }
    expect(&name, &found, version.as_ref())?;
    let (of_new, body) = recognise(&name, format, body).await?;
    // An object that may grow is of no format that bytes behind it would break,
    // unless it is called so.
    let of_new = if of_new.grows() || of_new == Format::of_name(name.as_str()) { of_new } else { Format::Bytes };
    let addition = Addition::take_in(context, &name, format_after(&name, &found, format, of_new)?, body).await?;
    let _turn = context.append_turns.of(&name).await;
    let (mut lease, mut tried): (Lease, Option<Appends>) = (addition.lease, None);
    let mut in_doubt = None;
    let appended = async {
        for round in 0..TRIES {
            // Whoever changes it at the same time waits until this one is done.
            let turn = registers::if_crowded(context, &key).await;
            if round > 0 && turn.is_none() {
                let pause = (PAUSE_MS * round).min(PAUSE_MS_MAX);
                let pause = pause / 2 + context.random() % pause.div_ceil(2);
                context.ports.clock.sleep(Duration::from_millis(pause)).await;
            }
            // What is to be appended may have come for hours; others may have had their turn.
            if round > 0 || turn.is_some() || context.ports.clock.now() > read + FRESH {
                found = names::standing(context, &name).await?;
            }
            if let Some(made) = made(&name, &found, id)? {
                return Ok(made);
            }
            if tried.as_ref().is_some_and(|before| !found.appends.would_tell_since(before)) {
                let found = format!("{}: many others have changed it since", Error::LOST_SIGHT_OF);
                return Err(Error::Conflict { name: name.to_string(), found });
            }
            expect(&name, &found, version.as_ref())?;
            let format = format_after(&name, &found, format, of_new)?;
            if let (0, Some(there)) = (addition.bytes, &found.manifest) {
                return Ok(there.clone());
            }
            let is_forgotten = context.has_planted(Planted::AppendsTwice);
            let appends = if is_forgotten { found.appends.clone() } else { found.appends.and(id) };
            if lease.is_due(context) {
                let rest: Vec<_> = addition.rest.iter().map(|chunk| chunk.id).collect();
                lease = collect::claim(context, &rest, buckets::durability(context, &name).await?).await?;
            }
            let joined = join(context, &name, found.manifest.as_ref(), &addition, format, appends.count()).await;
            let manifest = match joined {
                Ok(manifest) => manifest,
                // Once others have put something else there, nobody keeps what was there.
                Err(Error::ChunkLost { .. }) if !names::standing(context, &name).await?.is_as(&found) => continue,
                Err(error) => return Err(error),
            };
            let begin = if turn.is_some() { Begin::InTurn } else { Begin::Racing };
            match names::swap(context, &name, &found, &manifest, Appending { id, appends, lease, begin }).await {
                Ok(Swapped::Written) => return Ok(manifest),
                Ok(Swapped::WasMade(there)) => return Ok(there),
                Ok(Swapped::Refused) => registers::note_crowded(context, &key),
                // It may be in effect, or come to be; then it is found there.
                Err(error @ Error::Conflict { .. }) if error.is_in_doubt() => {
                    tried.get_or_insert_with(|| found.appends.clone());
                    in_doubt.get_or_insert(error);
                }
                // Others were faster.
                Err(Error::Conflict { .. }) => registers::note_crowded(context, &key),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Conflict {
            name: name.to_string(),
            found: format!("others changed it at the same time, {TRIES} times"),
        })
    };
    appended.await.map_err(|error| outcome(error, in_doubt))
}

/// What an append ends with that was `in_doubt` before and has come to `error`.
fn outcome(error: Error, in_doubt: Option<Error>) -> Error {
    match in_doubt {
        // What is wrong now says nothing of the time before; that it was removed since says that it was made.
        Some(in_doubt) if !matches!(error, Error::NotFound { .. }) && !error.is_lost_sight_of() => in_doubt,
        Some(_) | None => error,
    }
}

/// The object, if it is what it is by this very append among others.
fn made(name: &ObjectName, found: &Standing, id: AppendId) -> Result<Option<Manifest>> {
    match (found.appends.contains(id), &found.manifest) {
        (true, None) => Err(names::removed_since(name, "appended to")),
        (true, there) => Ok(there.clone()),
        (false, _) => Ok(None),
    }
}

fn expect(name: &ObjectName, found: &Standing, version: Option<&Etag>) -> Result<()> {
    match (version, &found.manifest) {
        (None, _) => Ok(()),
        (Some(version), Some(there)) if there.etag == *version => Ok(()),
        (Some(_), there) => Err(names::conflict(name, there.as_ref())),
    }
}

/// The format of the object once it was appended to; of one that comes into being `of_new`.
fn format_after(name: &ObjectName, found: &Standing, wanted: Option<Format>, of_new: Format) -> Result<Format> {
    let Some(there) = found.manifest.as_ref().filter(|there| there.bytes > 0) else {
        return Ok(of_new);
    };
    match wanted {
        Some(Format::Bytes) => Ok(Format::Bytes),
        Some(wanted) if wanted != there.format => Err(Error::invalid(
            format!("'{name}' is {}, and {} would be appended", there.format.as_str(), wanted.as_str()),
            "leave out --format, or append plain bytes with --format bytes",
        )),
        Some(_) | None if there.format.grows() => Ok(there.format),
        Some(_) | None => Err(Error::invalid(
            format!("'{name}' is a file of format {}, which bytes behind its end would break", there.format.as_str()),
            "put another object beside it: a query reads all that match a pattern; or append with --format bytes, \
             and it is no table any more",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The doubt from before was told in its place, which is asked for again:
    /// so it was made twice just where the peer knew that it could not tell.
    #[test]
    fn an_append_that_was_lost_sight_of_is_not_told_as_one_that_may_be_asked_for_again() {
        let conflict = |found: &str| Error::Conflict { name: "b/k".into(), found: found.into() };
        let (doubt, lost) = (conflict(Error::IN_DOUBT), conflict(Error::LOST_SIGHT_OF));
        let removed = names::removed_since(&"b/k".parse().unwrap(), "appended to");
        for last in [lost.clone(), removed] {
            assert_eq!(outcome(last.clone(), Some(doubt.clone())), last);
        }
        let refused = conflict("it has ETag 7");
        assert_eq!(outcome(refused.clone(), Some(doubt.clone())), doubt);
        assert_eq!(outcome(refused.clone(), None), refused);
    }
}
