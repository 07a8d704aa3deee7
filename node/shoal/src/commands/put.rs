mod plan;

use std::path::PathBuf;

use clap::Args;
use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;
use shoal_gateway::{Client, ClientError};
use shoal_runtime::{ContentMd5, PutCondition, Said};
use shoal_types::{AppendId, Error, Etag, Format};

use self::plan::{Plan, Put, plan};
use crate::batch::{self, Done, Tally};
use crate::failure::Failure;
use crate::interrupt::{interruptible, say};
use crate::system::OsRng;
use crate::target::Target;
use crate::transfer::{self, Reading, Room, Source};

/// Store files in the mesh. An object appears whole, once enough peers have it on disk.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal put january.parquet trips/2026/january.parquet
  shoal put january.parquet february.parquet trips/2026/
  shoal put data/trips/ trips/            a directory: its files keep their paths below it
  shoal put -r data/trips/ trips/         the same
  zcat log.gz | shoal put - logs/today.txt
  shoal put config.json app/config.json --if-absent
  shoal put -r data/trips/ trips/ --resume    what an interrupted put has not stored yet

Of several, one that fails is told and the others are stored; the exit code is then 1. A file that
changes while it is read fails: nothing of it is stored. Chunks that are in the mesh already, of an
interrupted put or of the same content elsewhere, are not sent to their owners again. A long object
that was appended to has no hash to compare (its ETag is HASH-N) and is put anew by --resume.")]
pub(crate) struct PutArgs {
    /// Files, directories, or - for stdin.
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,

    /// BUCKET/KEY, or a prefix that ends in a slash.
    #[arg(value_name = "TARGET")]
    target_name: String,

    /// How the bytes are read as rows, and so where they may be cut. By default CSV, JSON and text are told by the
    /// name's ending, all else by the first bytes; what they do not tell is stored as plain bytes.
    #[arg(long, value_parser = transfer::formats())]
    format: Option<Format>,

    /// Keep the MD5 of the content too, for those who compare it as clients of S3 do. It costs more than all else that
    /// a put computes; what is stored is named and checked by BLAKE3 either way.
    #[arg(long)]
    md5: bool,

    /// Only where there is no such object yet.
    #[arg(long, conflicts_with = "if_match")]
    if_absent: bool,

    /// Only over the version with this ETag, for a single SOURCE.
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,

    /// The id of a put whose outcome was not heard, for a single SOURCE: under it, it is not refused for its own sake.
    #[arg(long, value_name = "ID")]
    id: Option<AppendId>,

    /// Leave out files whose objects are there, with all chunks that members say to have, the same size, format and
    /// BLAKE3 hash, and an MD5 where it is to be kept.
    #[arg(long, conflicts_with = "if_match")]
    resume: bool,

    /// Directories with all that is below them, links followed; they are taken so without it too.
    #[arg(short, long)]
    recursive: bool,

    /// Files on their way at once [default: 8, or up to 64 small ones].
    #[arg(short, long, value_name = "N", value_parser = transfer::jobs)]
    jobs: Option<usize>,

    #[command(flatten)]
    target: Target,
}

impl PutArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let Plan { puts, refused } = plan(&self.sources, &self.target_name)?;
        let files = puts.len() + refused.len();
        let condition = match (self.if_absent, self.if_match) {
            (true, _) => PutCondition::IfAbsent,
            (false, None) => PutCondition::Always,
            (false, Some(_)) if files != 1 => {
                return Err(Failure::usage("--if-match goes with a single file", "put the files one by one"));
            }
            (false, Some(etag)) => PutCondition::IfMatch(Etag(etag.trim_matches('"').to_owned())),
        };
        if self.id.is_some() && files != 1 {
            return Err(Failure::usage("--id goes with a single file", "put the files one by one"));
        }
        let total = puts.iter().map(|put| put.source.len()).sum::<Option<u64>>();
        let progress = transfer::progress(total);
        let mut tally = Tally::new();
        for failure in &refused {
            tally.tell(failure, &progress);
        }
        let is_alone = files == 1 && refused.is_empty();
        let can_go_on = puts.iter().all(|put| put.source.can_be_read_again());
        let _ = tally.expected().set(files as u64);
        let md5 = if self.md5 { ContentMd5::Kept } else { ContentMd5::Left };
        let (said, id, resume) = (Said { format: self.format, md5 }, self.id, self.resume);
        let to = Storing { client, said, condition, id, resume, is_alone, progress: progress.clone() };
        let room = Room::new(self.jobs);
        let store_one = async |put: Put| {
            let _room = room.take(put.source.len()).await;
            to.store(&put).await.map_err(|failure| failure.about(&put.name))
        };
        let work = async {
            let mut puts = puts;
            if is_alone && let Some(put) = puts.pop() {
                tally.add(to.store(&put).await?);
                return Ok(());
            }
            tally.run(stream::iter(puts).map(Ok), room.at_once(), &progress, store_one).await
        };
        let told = async || {
            if can_go_on {
                say(format!("hint: {GO_ON}"));
            }
        };
        let ended = interruptible(work, told).await;
        progress.finish_and_clear();
        // Of several, those that failed are not put again one by one.
        let go_on = |failure: Failure| if can_go_on && !is_alone { failure.hinting(GO_ON) } else { failure };
        if let Err(failure) = ended {
            if failure.is_of_the_mesh() && !is_alone {
                eprintln!("{} of {files} stored", batch::count(tally.done));
            }
            return Err(go_on(failure));
        }
        let summary = if is_alone { tally.summary() } else { tally.summary_with_speed() };
        eprintln!("{summary}{}", tally.spared());
        tally.outcome().map_err(go_on)
    }
}

/// What to do once not all was stored.
const GO_ON: &str = "what was stored stays; run the same again with --resume to go on";

/// How objects are stored.
struct Storing {
    client: Client,
    said: Said,
    condition: PutCondition,
    id: Option<AppendId>,
    resume: bool,
    is_alone: bool,
    progress: ProgressBar,
}

impl Storing {
    async fn store(&self, put: &Put) -> Result<Done, Failure> {
        if self.resume
            && let Some(bytes) = self.is_there(put).await?
        {
            self.progress.inc(bytes);
            return Ok(Done::Left { bytes });
        }
        let id = match self.id {
            Some(id) => id,
            None => AppendId::from_bytes(OsRng::key()?),
        };
        let terms = self.condition.clone().asked_as(id);
        let reading = Reading::of(put.source.clone());
        let send = async || {
            let body = reading.open(self.progress.clone()).await?;
            self.client.put(&put.name, self.said, terms.clone(), body).await
        };
        let stored = match put.source.can_be_read_again() {
            true => transfer::until_known(send).await,
            false => send().await,
        };
        let unknown = format!("whether '{}' was stored is unknown", put.name);
        let stored = stored.map_err(|error| match error.is_in_doubt() {
            true if !self.is_alone => Failure::mesh(format!("{error}; {unknown}"), ""),
            true => Failure::mesh(&error, format!("{unknown}; put it again with --id {id}")),
            false if reading.is_another() => {
                Failure::request(&error, format!("{unknown}; put it again when nobody writes to the file"))
            }
            false => error.into(),
        })?;
        Ok(Done::Dealt { bytes: stored.object.bytes, there_bytes: stored.there_bytes })
    }

    /// The length of an object that is there already as a put would make it,
    /// to its last chunk.
    async fn is_there(&self, put: &Put) -> Result<Option<u64>, Failure> {
        let (Source::File(path), Some(bytes)) = (&put.source, put.source.len()) else { return Ok(None) };
        let there = match self.client.check(&put.name).await {
            Ok(manifest) if manifest.whole == Some(true) => manifest.object,
            // What is lost is put again.
            Ok(_) => return Ok(None),
            Err(ClientError::Shoal(Error::NotFound { .. })) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let format = match self.said.format {
            Some(format) => format,
            None => Format::of(put.name.as_str(), &transfer::head(path, Format::HEAD_BYTES).await?),
        };
        let lacks_md5 = self.said.md5 == ContentMd5::Kept && there.md5.is_none();
        if bytes != there.bytes || there.format != format || lacks_md5 {
            return Ok(None);
        }
        let etag = Etag(there.etag);
        let Some(hash) = etag.content_hash() else { return Ok(None) };
        Ok((transfer::hash(path).await? == hash).then_some(there.bytes))
    }
}
