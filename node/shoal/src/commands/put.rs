use std::path::{Path, PathBuf};

use clap::Args;
use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;
use shoal_gateway::{Client, ClientError};
use shoal_runtime::{ContentMd5, PutCondition, Said};
use shoal_types::{AppendId, Error, Etag, Format, ObjectName};

use crate::batch::{Done, Tally};
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::system::OsRng;
use crate::target::Target;
use crate::transfer::{self, Reading, Room, Source};

/// Files that one put may store: more than that is a matter of several.
const FILES_MAX: usize = 1_000_000;
/// Directories below each other: more is a loop.
const DEPTH_MAX: usize = 64;

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

    /// Leave out files whose objects are there, with the same size, format and BLAKE3 hash, and can be read.
    #[arg(long, conflicts_with = "if_match")]
    resume: bool,

    /// Directories with all that is below them; they are taken so without it too.
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
        let condition = match (self.if_absent, self.if_match) {
            (true, _) => PutCondition::IfAbsent,
            (false, None) => PutCondition::Always,
            (false, Some(_)) if puts.len() != 1 => {
                return Err(Failure::usage("--if-match goes with a single file", "put the files one by one"));
            }
            (false, Some(etag)) => PutCondition::IfMatch(Etag(etag.trim_matches('"').to_owned())),
        };
        if self.id.is_some() && puts.len() != 1 {
            return Err(Failure::usage("--id goes with a single file", "put the files one by one"));
        }
        let total = puts.iter().map(|put| put.source.len()).sum::<Option<u64>>();
        let progress = transfer::progress(total);
        let mut tally = Tally::new();
        for failure in &refused {
            tally.tell(failure, &progress);
        }
        let is_alone = puts.len() == 1 && refused.is_empty();
        let can_go_on = puts.iter().all(|put| put.source.can_be_read_again());
        let _ = tally.expected().set((puts.len() + refused.len()) as u64);
        let md5 = if self.md5 { ContentMd5::Kept } else { ContentMd5::Left };
        let (said, id, resume) = (Said { format: self.format, md5 }, self.id, self.resume);
        let to = Storing { client, said, condition, id, resume, progress: progress.clone() };
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
                eprintln!("hint: what was stored stays; run the same again with --resume to go on");
            }
        };
        let ended = interruptible(work, told).await;
        progress.finish_and_clear();
        ended?;
        let summary = if is_alone { tally.summary() } else { tally.summary_with_speed() };
        eprintln!("{summary}{}", tally.spared());
        tally.outcome()
    }
}

/// How objects are stored.
struct Storing {
    client: Client,
    said: Said,
    condition: PutCondition,
    id: Option<AppendId>,
    resume: bool,
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
        if bytes != there.bytes || there.format != format {
            return Ok(None);
        }
        let etag = Etag(there.etag);
        let Some(hash) = etag.content_hash() else { return Ok(None) };
        Ok((transfer::hash(path).await? == hash).then_some(there.bytes))
    }
}

/// What a put will do.
#[derive(Debug, Default)]
struct Plan {
    puts: Vec<Put>,
    /// What is below a directory and cannot be stored, or not be read.
    refused: Vec<Failure>,
}

/// One object to store.
#[derive(Debug, PartialEq, Eq)]
struct Put {
    source: Source,
    name: ObjectName,
}

/// Which source becomes which object.
fn plan(sources: &[PathBuf], target: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let puts = &mut plan.puts;
    let prefix = target.strip_suffix('/');
    for source in sources {
        if source.as_os_str() == "-" {
            if prefix.is_some() {
                return Err(Failure::usage("stdin needs a whole name, not a prefix", "shoal put - BUCKET/KEY"));
            }
            puts.push(Put { source: Source::Stdin, name: ObjectName::new(target)? });
            continue;
        }
        let meta = std::fs::metadata(source).map_err(|error| Failure::file("read", source, &error))?;
        match (meta.is_dir(), prefix) {
            (false, None) => {
                puts.push(Put { source: Source::File(source.clone()), name: ObjectName::new(target)? });
            }
            (false, Some(prefix)) => {
                let file = source.file_name().map(Path::new).unwrap_or(source);
                puts.push(Put { source: Source::File(source.clone()), name: name_below(prefix, file)? });
            }
            (true, Some(prefix)) => walk(source, prefix, puts, &mut plan.refused)?,
            (true, None) => {
                return Err(Failure::usage(
                    format!("'{}' is a directory, and '{target}' the name of one object", source.display()),
                    format!("end the target in a slash: {target}/"),
                ));
            }
        }
    }
    if prefix.is_none() && puts.len() > 1 {
        return Err(Failure::usage(
            format!("{} files cannot all be '{target}'", puts.len()),
            format!("end the target in a slash: {target}/"),
        ));
    }
    puts.sort_by(|one, other| one.name.cmp(&other.name));
    match puts.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(Failure::usage(
            format!("{} and {} would both be '{}'", pair[0].source, pair[1].source, pair[0].name),
            "put them under different prefixes",
        )),
        None => Ok(plan),
    }
}

/// The files below a directory.
fn walk(root: &Path, prefix: &str, puts: &mut Vec<Put>, refused: &mut Vec<Failure>) -> Result<(), Failure> {
    let mut waiting = vec![(root.to_path_buf(), 0)];
    while let Some((dir, depth)) = waiting.pop() {
        let unreadable = |error: &std::io::Error| Failure::file("read", &dir, error);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(unreadable(&error)),
            Err(error) => {
                refused.push(unreadable(&error));
                continue;
            }
        };
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&error))?.path();
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() && depth < DEPTH_MAX => waiting.push((path, depth + 1)),
                Ok(meta) if meta.is_dir() => refused.push(Failure::request(
                    format!("'{}' is more than {DEPTH_MAX} directories deep", path.display()),
                    "put it by itself; if links lead round in a circle, take one of them away",
                )),
                Ok(meta) if meta.is_file() => match name_below(prefix, path.strip_prefix(root).unwrap_or(&path)) {
                    Ok(name) => puts.push(Put { source: Source::File(path), name }),
                    Err(failure) => refused.push(failure.about(path.display())),
                },
                Ok(_) => eprintln!("warning: '{}' is not a file and is left out", path.display()),
                Err(error) => refused.push(Failure::file("read", &path, &error)),
            }
            if puts.len() + refused.len() > FILES_MAX {
                return Err(Failure::request(format!("there are more than {FILES_MAX} files"), "put fewer at a time"));
            }
        }
    }
    Ok(())
}

fn name_below(prefix: &str, path: &Path) -> Result<ObjectName, Failure> {
    let path = path.to_str().ok_or_else(|| {
        Failure::request(format!("the file name '{}' is not UTF-8, as names must be", path.display()), "rename it")
    })?;
    Ok(ObjectName::new(format!("{prefix}/{path}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &[PathBuf], target: &str) -> Result<Vec<String>, Failure> {
        Ok(plan(sources, target)?.puts.into_iter().map(|put| put.name.to_string()).collect())
    }

    #[test]
    fn a_target_is_a_name_or_a_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("d/sub")).unwrap();
        for name in ["a.csv", "b.csv", "d/c.csv", "d/sub/e.csv"] {
            std::fs::write(at(name), "x").unwrap();
        }
        assert_eq!(names(&[at("a.csv")], "b/k").unwrap(), ["b/k"]);
        assert_eq!(names(&[at("a.csv"), at("b.csv")], "b/").unwrap(), ["b/a.csv", "b/b.csv"]);
        assert_eq!(names(&[at("d")], "b/x/").unwrap(), ["b/x/c.csv", "b/x/sub/e.csv"]);
        assert_eq!(names(&["-".into()], "b/k").unwrap(), ["b/k"]);
        assert!(names(&["-".into()], "b/").is_err());
        assert!(names(&[at("d")], "b/x").is_err());
        assert!(names(&[at("a.csv"), at("b.csv")], "b/k").is_err());
        assert!(names(&[at("a.csv"), at("a.csv")], "b/").is_err());
        assert!(names(&[at("a.csv")], "nobucket").is_err());
    }

    #[test]
    fn what_cannot_be_stored_does_not_keep_the_rest_of_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.csv", "b\n.csv", "c.csv"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/no/such", dir.path().join("dangling")).unwrap();
        let plan = plan(&[dir.path().into()], "b/").unwrap();
        assert_eq!(plan.puts.iter().map(|put| put.name.as_str()).collect::<Vec<_>>(), ["b/a.csv", "b/c.csv"]);
        assert_eq!(plan.refused.len(), 2, "{:?}", plan.refused);
    }

    // Below the 64th directory nothing was stored, with a warning that it was no
    // file, and the put counted as one that went well.
    #[test]
    fn what_is_too_deep_to_be_stored_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let deepest = dir.path().join(["d"; DEPTH_MAX].join("/"));
        std::fs::create_dir_all(deepest.join("more")).unwrap();
        std::fs::write(deepest.join("a.csv"), "x").unwrap();
        std::fs::write(deepest.join("more/b.csv"), "x").unwrap();
        let plan = plan(&[dir.path().into()], "b/").unwrap();
        assert_eq!((plan.puts.len(), plan.refused.len()), (1, 1), "{:?}", plan.refused);
        let Failure::Told { message, code: 1, .. } = &plan.refused[0] else { panic!("not told") };
        assert!(message.contains("more' is more than 64 directories deep"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named_before_anything_is_sent() {
        let Err(Failure::Told { message, code: 1, .. }) = names(&["/no/such".into()], "b/k") else {
            panic!("not told")
        };
        assert!(message.contains("/no/such"), "{message}");
    }
}
