//! Which registers there are, by asking everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use shoal_types::{
    Ballot, Error, Layout, LayoutId, ObjectEntry, PeerId, RegisterEntry, RegisterKey, RegisterKind, RegisterPlace,
    RegisterSpan, Request, Response, Result,
};

use super::manifest;
use crate::context::Context;
use crate::registers::floor;

/// A page of registers.
pub(crate) struct Page {
    /// Each with the newest value that anybody knows.
    pub(crate) entries: Vec<(RegisterKey, Option<Bytes>)>,
    /// Where the next one begins; `None` when this is the last.
    pub(crate) next: Option<RegisterPlace>,
}

/// Registers of a span in the order of their keys, after `after`: about
/// `limit` of them, perhaps none though others follow. Sees every write that
/// was complete when it began; it is no snapshot. Costs a call to every member.
pub(crate) async fn scan(
    context: &Arc<Context>,
    span: &RegisterSpan,
    after: Option<&RegisterPlace>,
    limit: u32,
) -> Result<Page> {
    let layout = context.require_layout()?;
    let peers = layout.everyone();
    let asked = join_all(peers.iter().map(|peer| {
        let (span, after, limit) = (span.clone(), after.cloned(), limit.max(1));
        let request = Request::RegisterScan { mesh: layout.mesh, span, after, limit };
        async move { (*peer, context.call(*peer, request).await) }
    }));
    let mut pages: BTreeMap<PeerId, (Vec<RegisterEntry>, bool)> = BTreeMap::new();
    for (peer, answer) in asked.await {
        match answer {
            Ok(Response::Entries { entries, more }) => {
                pages.insert(peer, (entries, more));
            }
            Ok(_) => return Err(context.unexpected("a scan")),
            Err(error) => tracing::info!(%error, peer = %peer.short(), "not listed there"),
        }
    }
    require_coverage(context, &layout, |peer| pages.contains_key(&peer), &span.prefix)?;
    // What lies beyond the end of the shortest page is not known from all.
    let end: Option<RegisterKey> = pages
        .values()
        .filter(|(_, more)| *more)
        .filter_map(|(entries, _)| entries.last())
        .map(|entry| entry.key.clone())
        .min();
    // What a member knew before it was taken in counts for nothing; it may not
    // have heard yet that it was.
    let floor_of = |peer| {
        let since = layout.since(peer).unwrap_or(layout.version);
        floor(LayoutId { version: since, ..layout.id() })
    };
    let counts = pages.into_iter().flat_map(|(peer, (entries, _))| {
        let floor = floor_of(peer);
        entries.into_iter().filter(move |entry| entry.accepted >= floor)
    });
    let mut newest: BTreeMap<RegisterKey, (Ballot, Option<Bytes>)> = BTreeMap::new();
    for entry in counts {
        if !span.contains(&entry.key) || end.as_ref().is_some_and(|end| entry.key > *end) {
            continue;
        }
        let known = newest.entry(entry.key).or_insert((Ballot::ZERO, None));
        if entry.accepted > known.0 {
            *known = (entry.accepted, entry.value);
        }
    }
    let entries = newest.into_iter().map(|(key, (_, value))| (key, value)).collect();
    Ok(Page { entries, next: end.and_then(|end| end.place()) })
}

/// Objects whose name begins with `prefix`, in byte order, after `after`: at
/// most `limit`, and whether there may be more; as [`scan`] sees them.
pub(crate) async fn list(
    context: &Arc<Context>,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<ObjectEntry>, bool)> {
    let span = RegisterSpan::under(RegisterKind::Object, prefix);
    let mut after = after.map(RegisterPlace::of_name);
    loop {
        let page = scan(context, &span, after.as_ref(), limit).await?;
        let mut more = page.next.is_some();
        let mut entries = Vec::new();
        for (key, value) in page.entries {
            let (RegisterKey::Object(name), Some(manifest)) = (key, manifest(value.as_ref())?) else {
                continue;
            };
            if entries.len() >= limit.max(1) as usize {
                more = true;
                break;
            }
            entries.push(ObjectEntry { name, manifest });
        }
        // A page of removed names only: look behind it.
        if !entries.is_empty() || page.next.is_none() {
            return Ok((entries, more));
        }
        after = page.next;
    }
}

/// Every name that was written is known to a majority of its acceptors: a
/// listing is whole if fewer peers than that are missing from it.
fn require_coverage(context: &Context, layout: &Layout, answered: impl Fn(PeerId) -> bool, prefix: &str) -> Result<()> {
    for group in layout.groups() {
        let tolerated = context.config.register_owners_among(group).saturating_sub(1) / 2;
        let (there, missing): (Vec<_>, Vec<_>) =
            group.iter().filter(|member| member.weight > 0).partition(|member| answered(member.id));
        if missing.len() > tolerated {
            return Err(Error::NoQuorum {
                what: format!("the names under '{prefix}'"),
                answered: there.len() as u32,
                needed: (there.len() + missing.len() - tolerated) as u32,
            });
        }
    }
    Ok(())
}
