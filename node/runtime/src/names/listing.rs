//! Which registers there are, by asking everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use shoal_placement::Owners;
use shoal_types::{
    Ballot, Error, Layout, LayoutId, ObjectEntry, PeerId, RegisterEntry, RegisterKey, RegisterKind, RegisterPlace,
    RegisterSpan, Request, Response, Result,
};

use super::{manifest, settle};
use crate::context::Context;
use crate::placed::Placed;

/// Registers in doubt that are read at once. 8-64.
const SETTLED_AT_ONCE: usize = 32;

/// A page of registers.
pub(crate) struct Page {
    /// Each with its value.
    pub(crate) entries: Vec<(RegisterKey, Option<Bytes>)>,
    /// Where the next one begins; `None` when this is the last.
    pub(crate) next: Option<RegisterPlace>,
}

/// Registers of a span in the order of their keys, after `after`: about
/// `limit` of them, perhaps none though others follow. Sees every write that
/// was complete when it began, and of a write in doubt what a read from now on
/// sees; it is no snapshot. Costs a call to every member, and a read of each
/// register of which no majority holds the newest value.
///
/// # Errors
/// [`Error::NoQuorum`] when too few members answer for it to be whole.
pub(crate) async fn scan(
    context: &Arc<Context>,
    span: &RegisterSpan,
    after: Option<&RegisterPlace>,
    limit: u32,
) -> Result<Page> {
    let until = context.ports.clock.now() + context.config.timing.name;
    loop {
        let layout = context.require_layout()?;
        match scan_under(context, &layout, span, after, limit).await {
            Err(Error::StaleLayout { .. }) if context.ports.clock.now() < until => {
                context.ports.clock.sleep(context.config.timing.tick).await;
            }
            page => return page,
        }
    }
}

/// The same under one layout; `StaleLayout` is its end where somebody knows a later one.
async fn scan_under(
    context: &Arc<Context>,
    layout: &Placed,
    span: &RegisterSpan,
    after: Option<&RegisterPlace>,
    limit: u32,
) -> Result<Page> {
    let asked = join_all(layout.everyone().into_iter().map(|peer| {
        let (span, after, limit) = (span.clone(), after.cloned(), limit.max(1));
        let request = Request::RegisterScan { layout: layout.id(), span, after, limit };
        async move { (peer, context.call(peer, request).await) }
    }));
    let mut pages: BTreeMap<PeerId, (Vec<RegisterEntry>, bool)> = BTreeMap::new();
    let mut behind = None;
    for (peer, answer) in asked.await {
        match answer {
            Ok(Response::Entries { entries, more }) => {
                pages.insert(peer, (entries, more));
            }
            Ok(_) => return Err(context.unexpected("a scan")),
            Err(error @ Error::StaleLayout { ours, .. }) if ours > layout.version => {
                context.hint_layout(peer, LayoutId { version: ours, ..layout.id() })?;
                return Err(error);
            }
            Err(error @ Error::StaleLayout { .. }) => behind = Some(error),
            Err(error) => tracing::info!(%error, peer = %peer.short(), "not listed there"),
        }
    }
    let whole = require_coverage(layout, |peer| pages.contains_key(&peer), &span.prefix);
    whole.map_err(|error| behind.unwrap_or(error))?;
    // What lies beyond the end of the shortest page is not known from all.
    let end: Option<RegisterKey> = pages
        .values()
        .filter(|(_, more)| *more)
        .filter_map(|(entries, _)| entries.last())
        .map(|entry| entry.key.clone())
        .min();
    let mut newest: BTreeMap<RegisterKey, Newest> = BTreeMap::new();
    for (peer, (entries, _)) in pages {
        for entry in entries {
            if span.contains(&entry.key) && end.as_ref().is_none_or(|end| entry.key <= *end) {
                newest.entry(entry.key).or_default().take(peer, entry.accepted, entry.value);
            }
        }
    }
    let agreed = newest.into_iter().map(|(key, newest)| {
        let owners = key.placed_by().map(|name| layout.acceptors(name));
        let is_agreed = owners.is_some_and(|owners| newest.is_agreed(&owners));
        async move {
            let value = if is_agreed { newest.value } else { settle(context, &key).await? };
            Ok((key, value))
        }
    });
    let entries = stream::iter(agreed).buffered(SETTLED_AT_ONCE).try_collect().await?;
    Ok(Page { entries, next: end.and_then(|end| end.place()) })
}

/// The newest value of a register, by what some members say.
#[derive(Default)]
struct Newest {
    accepted: Option<Ballot>,
    value: Option<Bytes>,
    /// Who has accepted it.
    holders: Vec<PeerId>,
}

impl Newest {
    fn take(&mut self, from: PeerId, accepted: Ballot, value: Option<Bytes>) {
        let accepted = Some(accepted);
        if accepted > self.accepted {
            *self = Self { accepted, value, holders: vec![from] };
        } else if accepted == self.accepted {
            self.holders.push(from);
        }
    }

    /// Whether a majority holds it: then whoever asks meets it, or a later one.
    /// While a layout is joint those who are being replaced decide, as nobody
    /// asks without them before all registers have been brought to the others.
    fn is_agreed(&self, owners: &Owners) -> bool {
        let deciders = owners.previous.as_ref().unwrap_or(&owners.current);
        let holding = deciders.iter().filter(|owner| self.holders.contains(owner)).count();
        holding > deciders.len() / 2
    }
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
fn require_coverage(layout: &Layout, answered: impl Fn(PeerId) -> bool, prefix: &str) -> Result<()> {
    for group in layout.groups() {
        let tolerated = layout.register_owners_among(group).saturating_sub(1) / 2;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(ids: &[u8]) -> Vec<PeerId> {
        ids.iter().map(|n| PeerId::from_bytes([*n; 32])).collect()
    }

    fn newest(said: &[(u8, u64)]) -> Newest {
        let mut newest = Newest::default();
        for (peer, counter) in said {
            let peer = PeerId::from_bytes([*peer; 32]);
            newest.take(peer, Ballot { counter: *counter, ..Ballot::ZERO }, None);
        }
        newest
    }

    #[test]
    fn a_value_is_agreed_upon_when_a_majority_of_the_deciding_owners_hold_it_and_nothing_newer_is_known() {
        let settled = Owners { current: peers(&[1, 2, 3]), previous: None };
        assert!(newest(&[(1, 5), (2, 5)]).is_agreed(&settled));
        assert!(newest(&[(3, 4), (1, 5), (2, 5)]).is_agreed(&settled));
        assert!(!newest(&[(1, 5), (2, 5), (3, 6)]).is_agreed(&settled));
        assert!(!newest(&[(1, 5)]).is_agreed(&settled));
        // Whoever owned it once has no voice.
        assert!(!newest(&[(1, 5), (4, 5), (5, 5)]).is_agreed(&settled));
        let joint = Owners { current: peers(&[4, 5, 6]), previous: Some(peers(&[1, 2, 3])) };
        assert!(newest(&[(1, 5), (2, 5)]).is_agreed(&joint));
        assert!(!newest(&[(1, 5), (4, 5), (5, 5), (6, 5)]).is_agreed(&joint));
    }
}
