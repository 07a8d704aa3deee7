//! A running peer, as the gateway and the binary hold it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::BoxStream;
use ractor::{Actor, ActorRef, call};
use shoal_ports::{Inbound, Ports};
use shoal_types::{
    AppendId, BucketChange, BucketName, BucketSettings, ChunkId, Error, Etag, Format, JobEvent, JobId, JobSummary,
    Layout, Manifest, MeshMoving, Moving, ObjectEntry, ObjectName, PeerId, Query, RegisterPlace, Request, Response,
    Result, RoleChange, Secrets, Status,
};
use tokio::sync::{mpsc, watch};

use crate::config::PeerConfig;
use crate::context::{Actors, Context};
use crate::doctor::{self, Examination};
use crate::foreground::Awaited;
use crate::gauges::{self, Gauge};
use crate::health::{self, CheckupUpdate};
use crate::history::FormerVersion;
use crate::members::MembersMsg;
use crate::objects::Stored;
use crate::scrub::{self, ScrubUpdate};
use crate::supervisor::{Start, Stopped, Supervisor, SupervisorMsg};
use crate::{buckets, chunks, history, jobs, moving, names, objects, secrets, status};

/// What a put demands of the name before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutCondition {
    Always,
    IfAbsent,
    /// Whatever it stands for.
    IfPresent,
    IfMatch(Etag),
}

/// Which version of an object is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyVersion {
    /// What its name stands for.
    Now,
    /// That, if it has this ETag.
    NowIf(Etag),
    /// The one whose ETag begins so, of now or of before.
    Of(String),
}

/// On which terms a name is written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub condition: PutCondition,
    /// Tells this write from every other. Asked for again under the same id it
    /// is known to have been made, and neither refused for its own sake nor
    /// made twice, as long as [`Appends`](shoal_types::Appends) remembers it.
    /// A removal takes that memory along until it is forgotten itself.
    pub request: Option<AppendId>,
}

impl PutCondition {
    /// This condition, asked for under an id.
    pub fn asked_as(self, request: AppendId) -> Terms {
        Terms { condition: self, request: Some(request) }
    }
}

impl From<PutCondition> for Terms {
    fn from(condition: PutCondition) -> Self {
        Self { condition, request: None }
    }
}

impl From<&PutCondition> for Terms {
    fn from(condition: &PutCondition) -> Self {
        condition.clone().into()
    }
}

/// What whoever puts an object says of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// By default what the name and the first bytes tell ([`Format::of`]).
    pub format: Option<Format>,
    pub md5: ContentMd5,
}

impl From<Option<Format>> for Said {
    fn from(format: Option<Format>) -> Self {
        Self { format, md5: ContentMd5::Left }
    }
}

impl From<Format> for Said {
    fn from(format: Format) -> Self {
        Some(format).into()
    }
}

/// Whether the MD5 of a content is kept with it, for clients of S3. BLAKE3
/// names and checks all content anyway, at a seventh of the cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentMd5 {
    /// It is not computed.
    #[default]
    Left,
    Kept,
    /// It is kept, and a content with another one is refused.
    Expected([u8; 16]),
}

/// What arrives while a query runs: events, the answer's frames, then the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Wall-clock ms, and what happened.
    Event(u64, JobEvent),
    /// A frame of the answer's Arrow IPC stream: the schema message first, the end mark left out.
    Frame(Bytes),
    /// The job is done; the last update.
    Summary(Box<JobSummary>),
}

/// A query that runs. Dropping `updates` cancels it.
pub struct Answer {
    pub job: JobId,
    pub updates: BoxStream<'static, Result<Update>>,
}

/// A handle on a running peer. Cheap to clone.
#[derive(Clone)]
pub struct Peer {
    context: Arc<Context>,
    supervisor: ActorRef<SupervisorMsg>,
    stopped: watch::Receiver<Option<Stopped>>,
}

impl Peer {
    /// Starts a peer's actors over its ports. `inbound` is the transport's.
    pub async fn start(config: PeerConfig, ports: Ports, inbound: mpsc::Receiver<Inbound>) -> Result<Peer> {
        let context = Context::new(config, ports);
        let (stop, stopped) = watch::channel(None);
        let start = Start { context: context.clone(), inbound, stopped: stop };
        let (supervisor, _) = Actor::spawn(None, Supervisor, start)
            .await
            .map_err(|error| context.not_ready(&format!("it does not start: {error}")))?;
        Ok(Peer { context, supervisor, stopped })
    }

    #[cfg(test)]
    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub fn id(&self) -> PeerId {
        self.context.me
    }

    /// The mesh as this peer sees it. It asks nobody.
    pub async fn status(&self) -> Result<Status> {
        status::status(&self.context).await
    }

    /// What all peers together are bringing to its owners: this one what it is
    /// said to by its status (`here`), so that both agree; `None` when nobody
    /// says that it brings anything. Takes a second at the longest, and asks
    /// the others only while the layout is joint, while a member is away, or
    /// while this peer brings something itself.
    pub async fn moving(&self, here: Option<Moving>) -> Result<Option<MeshMoving>> {
        moving::in_mesh(&self.context, here).await
    }

    /// Stores `body` under `name`; returns when every live owner has each
    /// chunk synced and the name is decided. Chunks that owners have already
    /// are not sent again. On an error the name stands for what it did before,
    /// unless that [is in doubt](Error::is_in_doubt): then it may stand for
    /// this, or come to.
    pub async fn put(
        &self,
        name: ObjectName,
        said: impl Into<Said>,
        terms: impl Into<Terms>,
        body: BoxStream<'static, Result<Bytes>>,
    ) -> Result<Stored> {
        let _awaited = Awaited::begin(&self.context);
        objects::put(&self.context, name, said.into(), terms.into(), body).await
    }

    /// Appends `body` to an object, which comes into being where there is
    /// none; all of it or nothing, behind all that is there at that moment.
    /// Asked for again under the same `id`, it is made once.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not that `version`, or others were faster
    /// for too long; [`Error::Invalid`] where it would break the object's format.
    pub async fn append(
        &self,
        name: ObjectName,
        format: Option<Format>,
        id: AppendId,
        version: Option<Etag>,
        body: BoxStream<'static, Result<Bytes>>,
    ) -> Result<Manifest> {
        let _awaited = Awaited::begin(&self.context);
        objects::append(&self.context, name, format, id, version, body).await
    }

    /// An id for an append whose caller has none.
    pub fn new_append_id(&self) -> AppendId {
        self.context.new_request_id()
    }

    /// Gives the content of `from` the name `to` as well; no data moves. With a
    /// version only while `from` stands for that, or one that it stood for.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no `from`, [`Error::Conflict`] when it
    /// is another version, or `to` is not as the condition wants it.
    pub async fn copy(
        &self,
        from: ObjectName,
        to: ObjectName,
        version: CopyVersion,
        terms: impl Into<Terms>,
    ) -> Result<Manifest> {
        let _awaited = Awaited::begin(&self.context);
        objects::copy(&self.context, &from, &to, &version, &terms.into()).await
    }

    pub async fn stat(&self, name: ObjectName) -> Result<Manifest> {
        let _awaited = Awaited::begin(&self.context);
        names::require(&self.context, &name).await
    }

    /// Whether somebody who answers has each chunk of an object. Costs nothing
    /// for one that lives in its manifest, and mostly a call to some of its owners.
    pub async fn is_whole(&self, manifest: &Manifest) -> Result<bool> {
        let _awaited = Awaited::begin(&self.context);
        let chunks: BTreeSet<ChunkId> = manifest.chunks.iter().map(|chunk| chunk.id).collect();
        Ok(chunks.is_empty() || chunks::are_held(&self.context, chunks).await?)
    }

    /// The bytes of `range` (offset, length), verified, in order.
    pub async fn get(
        &self,
        name: ObjectName,
        range: Option<(u64, u64)>,
    ) -> Result<(Manifest, BoxStream<'static, Result<Bytes>>)> {
        let _awaited = Awaited::begin(&self.context);
        let manifest = names::require(&self.context, &name).await?;
        let bytes = objects::read(&self.context, &manifest, range);
        Ok((manifest, bytes))
    }

    /// A chunk, verified, from here or from whoever has it. No name is asked
    /// for, and so no quorum: it is there wherever one holder can be reached.
    /// `ChunkLost` where none can.
    pub async fn chunk(&self, chunk: ChunkId) -> Result<Bytes> {
        let _awaited = Awaited::begin(&self.context);
        Ok(chunks::read(&self.context, chunk, None).await?.0)
    }

    /// Objects whose name begins with `prefix`, in byte order, after `after`;
    /// and whether there may be more.
    pub async fn list(&self, prefix: String, after: Option<String>, limit: u32) -> Result<(Vec<ObjectEntry>, bool)> {
        let _awaited = Awaited::begin(&self.context);
        names::list(&self.context, &prefix, after.as_deref(), limit).await
    }

    /// Removes a name; whether it was there, or was removed by this very request.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it stands for another version than it is to.
    pub async fn remove(&self, name: ObjectName, terms: impl Into<Terms>) -> Result<bool> {
        let _awaited = Awaited::begin(&self.context);
        names::remove(&self.context, &name, &terms.into(), false).await
    }

    /// Removes a name and all that it stood for before; how many versions that
    /// were. What others put there meanwhile may stay.
    pub async fn purge(&self, name: ObjectName) -> Result<u64> {
        let was_there = names::remove(&self.context, &name, &PutCondition::Always.into(), true).await?;
        Ok(u64::from(was_there) + history::forget(&self.context, &name, None).await?)
    }

    /// Removes former versions of a name, those whose ETag begins with
    /// `version`; how many. What it stands for stays.
    pub async fn purge_version(&self, name: ObjectName, version: String) -> Result<u64> {
        history::forget(&self.context, &name, Some(&version)).await
    }

    /// The version of a name whose ETag begins with `version`: what it stands
    /// for now or else the latest that it stood for, as long as the history of
    /// its bucket goes back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Invalid`] when the ETags
    /// of several begin so.
    pub async fn stat_version(&self, name: ObjectName, version: String) -> Result<Manifest> {
        history::find(&self.context, &name, &version).await
    }

    /// The bytes of a version, as [`Peer::stat_version`] finds it.
    pub async fn get_version(
        &self,
        name: ObjectName,
        version: String,
        range: Option<(u64, u64)>,
    ) -> Result<(Manifest, BoxStream<'static, Result<Bytes>>)> {
        let manifest = history::find(&self.context, &name, &version).await?;
        let bytes = objects::read(&self.context, &manifest, range);
        Ok((manifest, bytes))
    }

    /// Former versions of objects whose name begins with `prefix`, by name and
    /// in no order of time, after `after`; and whether there may be more. One
    /// that its name still stands for may be among them.
    pub async fn versions(
        &self,
        prefix: String,
        after: Option<RegisterPlace>,
        limit: u32,
    ) -> Result<(Vec<FormerVersion>, bool)> {
        history::list(&self.context, &prefix, after, limit).await
    }

    /// How objects of a bucket are kept.
    pub async fn bucket(&self, bucket: BucketName) -> Result<BucketSettings> {
        buckets::settings(&self.context, &bucket).await
    }

    /// Buckets that somebody has said that of, by name.
    pub async fn buckets(&self) -> Result<Vec<(BucketName, BucketSettings)>> {
        buckets::list(&self.context).await
    }

    /// Changes how objects of a bucket are kept, and gives what holds then.
    /// Every put that begins after it has returned is kept so, at whichever
    /// peer: that takes it some seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what cannot be kept; then nothing is changed.
    pub async fn change_bucket(&self, bucket: BucketName, change: BucketChange) -> Result<BucketSettings> {
        buckets::change(&self.context, &bucket, change).await
    }

    /// Takes a query; this peer coordinates it.
    pub async fn query(&self, query: Query) -> Result<Answer> {
        self.context.require_layout()?;
        jobs::start(&self.context, jobs::Work::Query(query))
    }

    /// Jobs of all peers that answer, newest first.
    pub async fn jobs(&self) -> Result<Vec<JobSummary>> {
        let mut all = self.context.jobs.summaries().await;
        for answer in self.ask_everyone(|| Request::JobList).await {
            if let Response::Jobs(jobs) = answer {
                all.extend(jobs);
            }
        }
        all.sort_by_key(|job| std::cmp::Reverse(job.submitted_ms));
        Ok(all)
    }

    /// A job, wherever it is coordinated.
    pub async fn job(&self, id: JobId) -> Result<JobSummary> {
        if let Some(job) = self.context.jobs.summary(id).await {
            return Ok(job);
        }
        for answer in self.ask_everyone(|| Request::JobShow { job: id }).await {
            if let Response::Job(Some(job)) = answer {
                return Ok(job);
            }
        }
        Err(Error::not_found(
            format!("there is no job {id} on any peer that answers"),
            "see the jobs with: shoal job ls",
        ))
    }

    /// Cancels a job, wherever it is coordinated. One that is over stays as it is.
    pub async fn cancel(&self, id: JobId) -> Result<()> {
        let job = self.job(id).await?;
        self.context.call(job.coordinator, Request::JobCancel { job: id }).await.map(|_| ())
    }

    /// Has a member take another part in keeping the data: another zone,
    /// another weight, none any more. Returns once that member remembers it;
    /// the layout follows by itself. A peer that has handed over everything
    /// stops as [`Stopped::Left`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a part that nobody can take, or when nobody could
    /// take over the data; [`Error::Unreachable`] when the member is.
    pub async fn change_role(&self, member: PeerId, change: RoleChange) -> Result<()> {
        self.context.call(member, Request::RoleChange(change)).await.map(|_| ())
    }

    /// Looks whether everything is at full replication: see [`Checkup`]. A quick
    /// one takes a few seconds at the longest and believes what peers count
    /// themselves. Dropping the stream ends it.
    pub fn checkup(&self, is_quick: bool) -> BoxStream<'static, Result<CheckupUpdate>> {
        health::checkup(&self.context, is_quick)
    }

    /// Has members read all of their copies, each so many bytes a second at
    /// most: what is bad is mended on the way. One that cannot says so once,
    /// and the others go on. Dropping the stream stops all of them within a
    /// second or so.
    pub fn scrub(&self, members: Vec<PeerId>, bytes_per_second: u64) -> BoxStream<'static, ScrubUpdate> {
        scrub::scrub(&self.context, members, bytes_per_second)
    }

    /// Has every live member examine this peer: whether it can be reached, and
    /// how far the clocks are apart.
    pub async fn examine(&self) -> Vec<Examination> {
        doctor::examine(&self.context).await
    }

    /// Changes the mesh's secret to a new one. Returns once this peer remembers
    /// it; the one before admits too until all members know the new one.
    ///
    /// # Errors
    /// [`Error::Invalid`] while it is being changed already.
    pub async fn rotate_secret(&self) -> Result<()> {
        secrets::rotate(&self.context).await
    }

    /// What admits to the mesh, and which version of that it is.
    pub fn secrets(&self) -> (u64, Secrets) {
        (self.context.secrets.version(), self.context.secrets.look(Clone::clone))
    }

    /// Waits until that is a later version than one that was `seen`.
    pub async fn secrets_after(&self, seen: u64) {
        self.context.secrets.after(seen).await;
    }

    /// Says goodbye and stops every actor. What is on disk stays.
    pub async fn stop(&self) {
        if let Ok(actors) = self.context.actors() {
            // One that does not answer has stopped already.
            let _ = call!(actors.members, MembersMsg::Leave);
        }
        let _ = self.supervisor.cast(SupervisorMsg::Stop);
        self.stopped().await;
    }

    /// Waits until the peer has stopped, and says why.
    pub async fn stopped(&self) -> Stopped {
        let mut stopped = self.stopped.clone();
        let reason = match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        reason.unwrap_or_else(|| Stopped::Failed("its supervisor has failed".into()))
    }

    /// Ends every actor at once, without goodbye, as a crash would. What their
    /// spawner still runs for them is for its owner to abort; the transport is
    /// left as it is.
    pub fn kill(&self) {
        self.supervisor.kill();
        // Ractor kills the children too, but in a random order.
        let core = self.context.actors().map(Actors::core).into_iter().flatten();
        for actor in self.context.jobs.coordinators().into_iter().chain(core) {
            actor.kill();
        }
    }

    /// The layout in force here.
    pub fn layout(&self) -> Option<Arc<Layout>> {
        self.context.layout().map(|layout| layout.layout().clone())
    }

    /// Those who own a chunk by the layout in force here, the present ones first.
    pub fn owners_of_chunk(&self, chunk: ChunkId) -> Vec<PeerId> {
        self.context.layout().map_or_else(Vec::new, |layout| layout.owners(chunk).all())
    }

    /// The other peers that can be counted on now, as this one sees it, by id.
    pub fn live(&self) -> Vec<PeerId> {
        self.context.members.look(|table| table.live().map(|(peer, _)| peer).collect())
    }

    /// How many [`Peer::live`] gives.
    pub fn live_count(&self) -> usize {
        self.context.members.look(|table| table.live().count())
    }

    /// How full this peer's queues are, and their bounds.
    pub fn gauges(&self) -> Vec<Gauge> {
        gauges::gauges(&self.context)
    }

    async fn ask_everyone(&self, request: impl Fn() -> Request) -> Vec<Response> {
        let asked = join_all(self.live().into_iter().map(|peer| self.context.call(peer, request())));
        asked.await.into_iter().flatten().collect()
    }
}
