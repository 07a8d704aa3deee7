//! Counting copies of what manifests refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use shoal_types::{BucketName, ChunkId, Copies, Error, ObjectEntry, ObjectName, PeerId, Request, Response, Result};

use crate::buckets;
use crate::context::Context;
use crate::placed::Placed;

/// Chunks whose owners are found and asked in one step.
const CHUNKS_AT_ONCE: usize = 2_048;

/// So many times those who may stand in for who lacks a chunk are asked: more
/// disks that are full and next to each other in rank are counted as such.
const STAND_INS_ROUNDS: usize = 3;

/// Members asked at once which chunks they have.
const ASKED_AT_ONCE: usize = 16;

/// Chunks of which a holder is told at once how many copies there are to be.
/// It syncs a directory for each that it did not know of, all within a call.
const TOLD_AT_ONCE: usize = 64;

/// Chunks that are remembered so as to be counted once however many names list
/// them: about 36 MB, and 16 TiB of chunks of 16 MiB.
const SEEN_MAX: usize = 1 << 20;

/// Chunks without a copy that are remembered, to name the objects that need them.
const LOST_MAX: usize = 1 << 16;

/// Names of objects that cannot be read whole, in a report.
const LOST_NAMES_MAX: usize = 100;

/// Copies, and their bytes.
pub(super) type Sum = (u64, u64);

/// What was counted so far.
#[derive(Default)]
pub(super) struct Census {
    pub(super) names: u64,
    pub(super) object_bytes: u64,
    /// What names stood for before.
    pub(super) versions: u64,
    pub(super) chunks: u64,
    pub(super) copies: u64,
    /// Copies that are nowhere, by the owner that is to have them.
    pub(super) missing_at: BTreeMap<PeerId, Sum>,
    pub(super) lost: BTreeSet<ChunkId>,
    pub(super) objects_lost: u64,
    pub(super) lost_names: Vec<ObjectName>,
    /// Members that count as away, as they did not say what they have: none of
    /// them is asked again.
    pub(super) silent: BTreeSet<PeerId>,
    seen: BTreeMap<ChunkId, Counted>,
}

/// What a chunk was counted as.
#[derive(Clone, Copy)]
struct Counted {
    copies: Copies,
    there: u8,
    missing: u8,
}

/// A chunk of which there are to be so many copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    chunk: ChunkId,
    bytes: u32,
    copies: Copies,
}

impl Census {
    /// Whether each chunk was counted once.
    pub(super) fn is_exact(&self) -> bool {
        self.seen.len() < SEEN_MAX
    }

    /// Those of the page's chunks that were not counted yet, or for fewer
    /// copies than a bucket that lists them here wants. Of a chunk that several
    /// buckets list, there are to be the most that any of them wants.
    fn to_count(&self, page: &[ObjectEntry], wants: &BTreeMap<BucketName, Copies>, default: u32) -> Vec<Wanted> {
        let mut listed: BTreeMap<ChunkId, Wanted> = BTreeMap::new();
        for entry in page {
            let copies = wants.get(&entry.name.bucket_name()).copied().unwrap_or_default();
            for chunk in &entry.manifest.chunks {
                let wanted = Wanted { chunk: chunk.id, bytes: chunk.bytes, copies };
                let listed = listed.entry(chunk.id).or_insert(wanted);
                listed.copies = listed.copies.or(copies, default);
            }
        }
        let is_new = |wanted: &Wanted| {
            let before = self.seen.get(&wanted.chunk);
            before.is_none_or(|before| before.copies.or(wanted.copies, default) != before.copies)
        };
        listed.into_values().filter(is_new).collect()
    }

    /// Of a chunk there is to be a copy with each of its `owners`, and these
    /// have one: stand-ins count, and a copy too many does not. Of one that was
    /// counted before, for fewer copies, the difference is added.
    fn count(&mut self, wanted: Wanted, owners: &[PeerId], holders: &BTreeSet<PeerId>) {
        let Wanted { chunk, bytes, copies } = wanted;
        let before = self.seen.get(&chunk).copied();
        let there = holders.len().min(owners.len());
        let missing = owners.len() - there;
        self.chunks += u64::from(before.is_none());
        self.copies += there as u64;
        self.copies -= before.map_or(0, |before| u64::from(before.there));
        let told = before.map_or(0, |before| usize::from(before.missing));
        for owner in owners.iter().filter(|owner| !holders.contains(owner)).take(missing).skip(told) {
            let missing = self.missing_at.entry(*owner).or_default();
            *missing = (missing.0 + 1, missing.1 + u64::from(bytes));
        }
        if holders.is_empty() && self.lost.len() < LOST_MAX {
            self.lost.insert(chunk);
        }
        if before.is_some() || self.seen.len() < SEEN_MAX {
            // There are a few copies of a chunk, whatever is wanted.
            let few = |copies| u8::try_from(copies).unwrap_or(u8::MAX);
            self.seen.insert(chunk, Counted { copies, there: few(there), missing: few(missing.max(told)) });
        }
    }

    /// The page's objects are counted, after their chunks were.
    fn objects(&mut self, page: Vec<ObjectEntry>, are_former: bool) {
        for ObjectEntry { name, manifest } in page {
            if are_former {
                self.versions += 1;
            } else {
                self.names += 1;
                self.object_bytes = self.object_bytes.saturating_add(manifest.bytes);
            }
            if manifest.chunks.iter().any(|chunk| self.lost.contains(&chunk.id)) {
                self.objects_lost += 1;
                if self.lost_names.len() < LOST_NAMES_MAX {
                    self.lost_names.push(name);
                }
            }
        }
    }
}

/// Counts the copies of what a page of names refers to, or stood for before.
///
/// # Errors
/// [`shoal_types::Error::NotReady`] where there is no layout any more. A
/// member that does not answer has none of its copies counted.
pub(super) async fn page(
    context: &Arc<Context>,
    census: &mut Census,
    page: Vec<ObjectEntry>,
    are_former: bool,
) -> Result<()> {
    let layout = context.require_layout()?;
    let mut wants = BTreeMap::new();
    for bucket in page.iter().map(|entry| entry.name.bucket_name()).collect::<BTreeSet<_>>() {
        let copies = buckets::settings(context, &bucket).await?.copies();
        wants.insert(bucket, copies);
    }
    let to_count = census.to_count(&page, &wants, layout.replicas);
    for some in to_count.chunks(CHUNKS_AT_ONCE) {
        chunks(context, &layout, census, some).await;
    }
    census.objects(page, are_former);
    Ok(())
}

async fn chunks(context: &Arc<Context>, layout: &Placed, census: &mut Census, chunks: &[Wanted]) {
    let mut live: BTreeSet<PeerId> =
        context.members.look(|table| table.live().map(|(peer, _)| peer).chain([context.me]).collect());
    live.retain(|peer| !census.silent.contains(peer));
    let mut asked: BTreeMap<PeerId, Vec<ChunkId>> = BTreeMap::new();
    for Wanted { chunk, copies, .. } in chunks {
        let owners = layout.owners_of(*chunk, *copies).all();
        // Who stands in for owners that are away has it in their place.
        let stand_ins = layout.owners_where(*chunk, layout.number(*copies), |peer| live.contains(&peer));
        let candidates: BTreeSet<PeerId> = owners.into_iter().chain(stand_ins).filter(|it| live.contains(it)).collect();
        for peer in candidates {
            asked.entry(peer).or_default().push(*chunk);
        }
    }
    let mut holders = Holders::default();
    holders.ask(context, asked).await;
    live.retain(|peer| !holders.silent.contains(peer));
    // Where an owner has none, as its disk is full or failed, the next in rank
    // may have one in its place.
    for _ in 0..STAND_INS_ROUNDS {
        let mut asked: BTreeMap<PeerId, Vec<ChunkId>> = BTreeMap::new();
        for Wanted { chunk, copies, .. } in chunks {
            let there = holders.of(*chunk).len();
            if there == 0 || there >= layout.owners_of(*chunk, *copies).current.len() {
                continue;
            }
            let may_have = |peer| live.contains(&peer) && !holders.lacks(peer, *chunk);
            let next = layout.owners_where(*chunk, layout.number(*copies), may_have);
            for peer in next.into_iter().filter(|peer| !holders.of(*chunk).contains(peer)) {
                asked.entry(peer).or_default().push(*chunk);
            }
        }
        if asked.is_empty() {
            break;
        }
        holders.ask(context, asked).await;
        live.retain(|peer| !holders.silent.contains(peer));
    }
    // What none of those has somebody else may hold, from an older layout.
    let nowhere: Vec<ChunkId> =
        chunks.iter().map(|wanted| wanted.chunk).filter(|chunk| holders.of(*chunk).is_empty()).collect();
    if !nowhere.is_empty() {
        let asked = live.into_iter().map(|peer| (peer, nowhere.clone())).collect();
        holders.ask(context, asked).await;
    }
    for wanted in chunks {
        let owners = layout.owners_of(wanted.chunk, wanted.copies).current;
        census.count(*wanted, &owners, holders.of(wanted.chunk));
    }
    tell(context, layout, &holders, chunks).await;
    census.silent.append(&mut holders.silent);
}

/// Tells those who hold what is not everywhere how many copies there are to
/// be: its bucket may want more than when it was put, which nobody has told
/// them. They bring about what is missing.
async fn tell(context: &Arc<Context>, layout: &Placed, holders: &Holders, chunks: &[Wanted]) {
    let mut told: BTreeMap<PeerId, Vec<(ChunkId, Copies)>> = BTreeMap::new();
    for Wanted { chunk, copies, .. } in chunks {
        let there = holders.of(*chunk);
        if there.len() < layout.owners_of(*chunk, *copies).current.len() {
            for holder in there {
                told.entry(*holder).or_default().push((*chunk, *copies));
            }
        }
    }
    let calls = stream::iter(told).map(|(peer, chunks)| async move {
        for some in chunks.chunks(TOLD_AT_ONCE) {
            if let Err(error) = context.call(peer, Request::ChunkKept { chunks: some.to_vec() }).await {
                tracing::info!(%error, peer = %peer.short(), "it is not told how many copies there are to be");
                break;
            }
        }
    });
    calls.buffer_unordered(ASKED_AT_ONCE).collect::<()>().await;
}

/// Who has which chunk, and who does not, or does not say.
#[derive(Default)]
struct Holders {
    there: BTreeMap<ChunkId, BTreeSet<PeerId>>,
    lacking: BTreeSet<(PeerId, ChunkId)>,
    /// Who did not say it, though asked twice.
    silent: BTreeSet<PeerId>,
}

impl Holders {
    fn of(&self, chunk: ChunkId) -> &BTreeSet<PeerId> {
        static NOBODY: BTreeSet<PeerId> = BTreeSet::new();
        self.there.get(&chunk).unwrap_or(&NOBODY)
    }

    fn lacks(&self, peer: PeerId, chunk: ChunkId) -> bool {
        self.lacking.contains(&(peer, chunk))
    }

    /// Asks each for those chunks, and who does not answer once more.
    async fn ask(&mut self, context: &Arc<Context>, asked: BTreeMap<PeerId, Vec<ChunkId>>) {
        let again = self.ask_once(context, asked).await;
        if again.is_empty() {
            return;
        }
        context.ports.clock.sleep(context.config.timing.tick).await;
        for (peer, chunks) in self.ask_once(context, again).await {
            self.silent.insert(peer);
            self.lacking.extend(chunks.into_iter().map(|chunk| (peer, chunk)));
        }
    }

    /// Asks each for those chunks; what is to be asked again.
    async fn ask_once(
        &mut self,
        context: &Arc<Context>,
        asked: BTreeMap<PeerId, Vec<ChunkId>>,
    ) -> BTreeMap<PeerId, Vec<ChunkId>> {
        let calls = stream::iter(asked).map(|(peer, chunks)| async move {
            let answer = context.call(peer, Request::ChunkHas { chunks: chunks.clone() }).await;
            (peer, chunks, answer)
        });
        let mut calls = std::pin::pin!(calls.buffer_unordered(ASKED_AT_ONCE));
        let mut again = BTreeMap::new();
        while let Some((peer, chunks, answer)) = calls.next().await {
            if let Some(chunks) = self.hear(peer, chunks, answer) {
                again.insert(peer, chunks);
            }
        }
        again
    }

    /// Of these chunks it said which it has; or they are to be asked again, as
    /// it did not come to say so.
    fn hear(&mut self, peer: PeerId, chunks: Vec<ChunkId>, answer: Result<Response>) -> Option<Vec<ChunkId>> {
        let has = match answer {
            Ok(Response::Has(has)) if has.len() == chunks.len() => has,
            Ok(_) => {
                tracing::warn!(peer = %peer.short(), "an answer of another kind to which chunks it has");
                vec![false; chunks.len()]
            }
            Err(error) => {
                tracing::info!(%error, peer = %peer.short(), "it does not say which chunks it has");
                if matches!(
                    error,
                    Error::Timeout { .. } | Error::Unreachable { .. } | Error::Busy { .. } | Error::NotReady { .. }
                ) {
                    return Some(chunks);
                }
                vec![false; chunks.len()]
            }
        };
        for (chunk, has) in chunks.into_iter().zip(has) {
            if has {
                self.there.entry(chunk).or_default().insert(peer);
            } else {
                self.lacking.insert((peer, chunk));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{ChunkRef, Etag, Format, Manifest};

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn object(name: &str, chunks: &[u8]) -> ObjectEntry {
        let chunks: Vec<ChunkRef> = chunks.iter().map(|n| ChunkRef { id: ChunkId::of(&[*n]), bytes: 10 }).collect();
        let bytes = 10 * chunks.len() as u64;
        let etag = Etag(String::new());
        let manifest = Manifest { bytes, etag, md5: None, format: Format::Bytes, modified_ms: 0, chunks, inline: None };
        ObjectEntry { name: name.parse().unwrap(), manifest }
    }

    /// Counts a page of which chunk `n` is held by those that `holds` gives.
    fn count(census: &mut Census, page: Vec<ObjectEntry>, holds: impl Fn(ChunkId) -> Vec<u8>) {
        let owners = [peer(1), peer(2), peer(3)];
        // The others have three.
        let wants =
            BTreeMap::from([("one".parse().unwrap(), Copies::from(1)), ("two".parse().unwrap(), Copies::from(2))]);
        for wanted in census.to_count(&page, &wants, 3) {
            let holders = holds(wanted.chunk).into_iter().map(peer).collect();
            census.count(wanted, &owners[..wanted.copies.of(3) as usize], &holders);
        }
        census.objects(page, false);
    }

    #[test]
    fn a_chunk_of_several_names_is_counted_once_and_each_of_them_is_told_when_it_is_lost() {
        let mut census = Census::default();
        let holds = |chunk| if chunk == ChunkId::of(&[2]) { vec![] } else { vec![1, 2, 3] };
        count(&mut census, vec![object("b/x", &[1, 2, 2]), object("b/y", &[1])], holds);
        count(&mut census, vec![object("b/z", &[2, 3])], holds);
        assert_eq!((census.names, census.chunks, census.copies, census.object_bytes), (3, 3, 6, 60));
        assert_eq!(census.missing_at.values().copied().collect::<Vec<_>>(), [(1, 10); 3]);
        let names: Vec<&str> = census.lost_names.iter().map(ObjectName::as_str).collect();
        assert_eq!((census.objects_lost, &names[..]), (2, &["b/x", "b/z"][..]));
        assert!(census.is_exact());
    }

    #[test]
    fn a_stand_in_is_as_good_as_an_owner_and_a_copy_too_many_counts_for_nothing() {
        let mut census = Census::default();
        count(&mut census, vec![object("b/x", &[1])], |_| vec![1, 2, 9]);
        assert_eq!((census.copies, census.missing_at.len()), (3, 0));
        count(&mut census, vec![object("b/y", &[2])], |_| vec![1, 2, 3, 9]);
        assert_eq!((census.copies, census.missing_at.len()), (6, 0));
        count(&mut census, vec![object("b/z", &[3])], |_| vec![1, 9]);
        assert_eq!((census.copies, census.missing_at.get(&peer(2))), (8, Some(&(1, 10))));
        assert!(census.lost.is_empty());
    }

    /// The number of copies was that of one bucket, and health full with two
    /// copies missing.
    #[test]
    fn a_chunk_of_several_buckets_is_counted_for_the_most_copies_that_one_wants() {
        let listed = |names: &[&str]| names.iter().map(|name| object(&format!("{name}/x"), &[1])).collect::<Vec<_>>();
        let orders: [&[&str]; 6] = [
            &["one", "all"],
            &["all", "one"],
            &["one", "two", "all"],
            &["all", "two", "one"],
            &["two", "all", "one"],
            &["two", "one", "all"],
        ];
        for order in orders {
            let check = |pages: &[&[&str]], holders: &[u8], missing: &[(u8, Sum)]| {
                let mut census = Census::default();
                for page in pages {
                    count(&mut census, listed(page), |_| holders.to_vec());
                }
                assert_eq!((census.chunks, census.copies), (1, holders.len() as u64), "{pages:?}");
                let expected = missing.iter().map(|(n, sum)| (peer(*n), *sum)).collect();
                assert_eq!(census.missing_at, expected, "{pages:?}, held by {holders:?}");
                assert_eq!(census.objects_lost, if holders.is_empty() { order.len() as u64 } else { 0 });
            };
            let each: Vec<&[&str]> = order.chunks(1).collect();
            for pages in [&[order][..], &each] {
                check(pages, &[1], &[(2, (1, 10)), (3, (1, 10))]);
                check(pages, &[1, 2, 3], &[]);
                check(pages, &[], &[(1, (1, 10)), (2, (1, 10)), (3, (1, 10))]);
            }
        }
    }

    /// All of its chunks counted as lost, and nobody said that it may have them.
    #[test]
    fn who_gives_no_answer_is_asked_again_and_whose_disk_failed_is_not() {
        let (chunks, mut holders) = (vec![ChunkId::of(b"x"), ChunkId::of(b"y")], Holders::default());
        let late = Err(Error::Timeout { what: "a call".into(), ms: 3_000 });
        assert_eq!(holders.hear(peer(1), chunks.clone(), late), Some(chunks.clone()));
        assert!(!holders.lacks(peer(1), chunks[0]));
        assert_eq!(holders.hear(peer(1), chunks.clone(), Ok(Response::Has(vec![true, false]))), None);
        assert!(holders.of(chunks[0]).contains(&peer(1)) && holders.lacks(peer(1), chunks[1]));
        let failed = Err(Error::DiskFailed { peer: peer(2), why: "x".into() });
        assert_eq!(holders.hear(peer(2), chunks.clone(), failed), None);
        assert!(holders.lacks(peer(2), chunks[0]));
    }

    #[test]
    fn a_copy_that_came_or_went_between_two_pages_is_not_counted_twice() {
        let count_two = |first: Vec<u8>, then: Vec<u8>| {
            let mut census = Census::default();
            count(&mut census, vec![object("one/x", &[1])], |_| first.clone());
            count(&mut census, vec![object("all/x", &[1])], |_| then.clone());
            let missing: u64 = census.missing_at.values().map(|(copies, _)| copies).sum();
            (census.copies, missing)
        };
        assert_eq!(count_two(vec![1], vec![]), (0, 3));
        assert_eq!(count_two(vec![], vec![1, 2]), (2, 1));
    }
}
