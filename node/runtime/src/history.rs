//! What names stood for before, in buckets that have a history.
//!
//! Whoever is about to replace or remove what a name stands for first writes
//! it into a register of its own, `Version(name, number)`, and then swaps the
//! name only if it still stands for exactly that (`names/turns`). So there is
//! no moment at which an object that was acknowledged is listed by neither,
//! and nobody has to go on after a death: the worst is a version in the
//! history that the name still stands for, which is then not shown.
//!
//! The number is a hash of all that the name's register held: whoever replaces
//! the same thing writes the same register. Whoever removes a name for good
//! leaves a removal there, so that nobody who read the name before puts it into
//! the history afterwards ([`bar`]). A version goes its bucket's time after it
//! was replaced (`expiry`); the chunks that nobody else lists go after that as
//! all do (`collect`).

pub(crate) mod expiry;

use std::sync::Arc;

use bytes::Bytes;
use shoal_register::{Decision, Ending};
use shoal_types::{
    Error, Manifest, NameValue, ObjectName, RegisterKey, RegisterKind, RegisterPlace, RegisterSpan, Result, wire,
};

use crate::context::Context;
use crate::moment::Moment;
use crate::names;
use crate::registers::Begin;

/// Versions in a page.
const PAGE: u32 = 500;

/// How often who keeps a version meets another removal of it, before it gives up.
const TRIES: u32 = 8;

/// What a name stood for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerVersion {
    pub name: ObjectName,
    pub manifest: Manifest,
    /// Until when, in ms since the epoch, by the clock of who replaced it.
    pub replaced_ms: u64,
    /// Where it comes in a listing: ask for what is after it with this.
    pub place: RegisterPlace,
}

impl FormerVersion {
    fn of(key: RegisterKey, value: Option<&Bytes>) -> Result<Option<Self>> {
        let (Some(place), RegisterKey::Version(name, _)) = (key.place(), key) else { return Ok(None) };
        Ok(former(value)?.map(|(manifest, replaced_ms)| Self { name, manifest, replaced_ms, place }))
    }

    fn key(&self) -> RegisterKey {
        RegisterKey::Version(self.name.clone(), self.place.version)
    }
}

/// The version in what a register holds; `None` once it is gone.
fn former(value: Option<&Bytes>) -> Result<Option<(Manifest, u64)>> {
    Ok(match value.map(|value| wire::decode(value)).transpose()? {
        Some(NameValue::Former { manifest, replaced_ms }) => Some((manifest, replaced_ms)),
        Some(
            NameValue::Object(_) | NameValue::Appended { .. } | NameValue::Removed { .. } | NameValue::Gone { .. },
        )
        | None => None,
    })
}

/// Puts what a name stands for (`value`, all that its register holds, as it was
/// read at `read` or later) into its history: it is about to stand for
/// something else. Where it has been removed from there, or that may have been
/// forgotten since, the name is read again: it is put there if the name stands
/// for it still, and was not removed anew meanwhile. Else it is left out.
pub(crate) async fn keep(context: &Arc<Context>, name: &ObjectName, value: &Bytes, mut read: Moment) -> Result<()> {
    let manifest = match wire::decode(value)? {
        NameValue::Object(manifest) | NameValue::Appended { manifest, .. } => manifest,
        NameValue::Removed { .. } | NameValue::Gone { .. } | NameValue::Former { .. } => return Ok(()),
    };
    let replaced_ms = context.ports.clock.wall_ms().max(manifest.modified_ms);
    let kept = wire::encode(&NameValue::Former { manifest, replaced_ms })?;
    let (key, mut removal) = (RegisterKey::Version(name.clone(), number(value)), None);
    for _ in 0..TRIES {
        let is_late = || read.age(context) > context.config.timing.grace / 2;
        let outcome = names::propose(context, &key, Begin::Preparing, |found| match former(found) {
            // One that was about to replace it long ago, and did not, may have written it.
            Ok(Some((_, before_ms))) if before_ms >= replaced_ms => Decision::Leave,
            Ok(None) if found != removal.as_ref() || is_late() => Decision::Refuse,
            Ok(_) | Err(_) => Decision::Write(Some(kept.clone())),
        });
        let outcome = outcome.await?;
        if outcome.ending != Ending::Refused {
            return Ok(());
        }
        (removal, read) = (outcome.value, Moment::now(context));
        if names::settle(context, &RegisterKey::Object(name.clone())).await?.as_ref() != Some(value) {
            return Ok(());
        }
    }
    Err(Error::Conflict { name: name.to_string(), found: format!("others removed its version, {TRIES} times") })
}

/// Which version of a name a value of its register becomes.
pub(crate) fn number(value: &Bytes) -> u64 {
    blake3::hash(value).as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Keeps a version of a name, which does not stand for it any more, out of the
/// history: also from whoever has read the name before, and is about to
/// [`keep`] it.
pub(crate) async fn bar(context: &Arc<Context>, name: &ObjectName, number: u64) -> Result<()> {
    let (key, removed) = (RegisterKey::Version(name.clone(), number), removed(context)?);
    names::propose(context, &key, Begin::Preparing, |_| Decision::Write(Some(removed.clone()))).await.map(drop)
}

fn removed(context: &Context) -> Result<Bytes> {
    wire::encode(&NameValue::Removed { nonce: context.random() })
}

/// Former versions of objects whose name begins with `prefix`, by name and in
/// no order of time, after `after`: at most `limit`, and whether there may be
/// more. One that its name still stands for may be among them.
pub(crate) async fn list(
    context: &Arc<Context>,
    prefix: &str,
    after: Option<RegisterPlace>,
    limit: u32,
) -> Result<(Vec<FormerVersion>, bool)> {
    in_span(context, &RegisterSpan::under(RegisterKind::Version, prefix), after, limit).await
}

async fn in_span(
    context: &Arc<Context>,
    span: &RegisterSpan,
    mut after: Option<RegisterPlace>,
    limit: u32,
) -> Result<(Vec<FormerVersion>, bool)> {
    let limit = limit.max(1);
    loop {
        let page = names::scan(context, span, after.as_ref(), limit).await?;
        let mut versions = Vec::new();
        for (key, value) in page.entries {
            versions.extend(FormerVersion::of(key, value.as_ref())?);
        }
        let more = page.next.is_some() || versions.len() > limit as usize;
        versions.truncate(limit as usize);
        // A page of versions only that are gone: look behind it.
        if !versions.is_empty() || page.next.is_none() {
            return Ok((versions, more));
        }
        after = page.next;
    }
}

/// The former versions of one name, the latest first.
async fn of(context: &Arc<Context>, name: &ObjectName) -> Result<Vec<FormerVersion>> {
    let (span, mut after, mut all) = (RegisterSpan::versions_of(name), None, Vec::new());
    loop {
        let (page, more) = in_span(context, &span, after, PAGE).await?;
        after = page.last().map(|version| version.place.clone());
        all.extend(page);
        if !more || after.is_none() {
            break;
        }
    }
    all.sort_by_key(|version| std::cmp::Reverse((version.replaced_ms, version.manifest.modified_ms)));
    Ok(all)
}

/// The version of a name whose ETag begins with `wanted`: what it stands for
/// now, or else the latest that it stood for.
///
/// # Errors
/// [`Error::NotFound`] when there is none, [`Error::Invalid`] when the ETags of
/// several begin so.
pub(crate) async fn find(context: &Arc<Context>, name: &ObjectName, wanted: &str) -> Result<Manifest> {
    let now = names::read(context, name).await?;
    let all = now.into_iter().chain(of(context, name).await?.into_iter().map(|version| version.manifest));
    let fitting = one_content(name, wanted, all, |manifest| manifest)?;
    fitting.into_iter().next().ok_or_else(|| none_of(name, wanted))
}

/// Removes former versions of a name: all, or those of the one ETag that begins
/// with `wanted`; how many. What the name stands for stays.
///
/// # Errors
/// [`Error::Invalid`] when several ETags begin so: nothing is removed then.
pub(crate) async fn forget(context: &Arc<Context>, name: &ObjectName, wanted: Option<&str>) -> Result<u64> {
    let all = of(context, name).await?;
    let to_go = match wanted {
        None => all,
        Some(wanted) => one_content(name, wanted, all.into_iter(), |version| &version.manifest)?,
    };
    let mut count = 0;
    for version in to_go {
        count += u64::from(remove(context, &version, |_| true).await?);
    }
    Ok(count)
}

/// Those whose ETag begins with `wanted`, which must be one ETag. No ETag is
/// meant by nothing.
fn one_content<T>(
    name: &ObjectName,
    wanted: &str,
    all: impl Iterator<Item = T>,
    manifest: impl Fn(&T) -> &Manifest,
) -> Result<Vec<T>> {
    if wanted.is_empty() {
        return Err(none_of(name, wanted));
    }
    let fitting: Vec<T> = all.filter(|version| manifest(version).etag.0.starts_with(wanted)).collect();
    if fitting.array_windows().any(|[one, other]| manifest(one).etag != manifest(other).etag) {
        let what = format!("the ETags of several versions of '{name}' begin with '{wanted}'");
        return Err(Error::invalid(what, which(name)));
    }
    Ok(fitting)
}

fn none_of(name: &ObjectName, wanted: &str) -> Error {
    Error::not_found(format!("'{name}' has no version '{wanted}'"), which(name))
}

fn which(name: &ObjectName) -> String {
    format!("see which there are with: shoal ls --versions {name}")
}

/// Removes a version if what there is of it now `is_to_go`, given until when
/// its name stood for it; whether it was there and went.
async fn remove(
    context: &Arc<Context>,
    version: &FormerVersion,
    is_to_go: impl Fn(u64) -> bool + Send + Sync,
) -> Result<bool> {
    let (key, removed) = (version.key(), removed(context)?);
    let outcome = names::propose(context, &key, Begin::Preparing, |found| match former(found) {
        Ok(Some((_, replaced_ms))) if is_to_go(replaced_ms) => Decision::Write(Some(removed.clone())),
        Ok(_) | Err(_) => Decision::Leave,
    });
    Ok(outcome.await?.ending == Ending::Written)
}
