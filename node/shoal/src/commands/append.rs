use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use shoal_gateway::view::ObjectView;
use shoal_gateway::{Client, ClientError};
use shoal_types::{AppendId, Etag, Format, ObjectName};

use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::system::OsRng;
use crate::target::Target;
use crate::transfer::{self, Source};
use crate::units;

/// How often an append of files is sent again while the mesh is in trouble.
const TRIES: u32 = 6;
/// The pause before the second try; each later one is longer by as much.
const PAUSE: Duration = Duration::from_millis(500);

/// Append bytes to an object: all of them, behind all that is there, or none.
#[derive(Debug, Args)]
#[command(
    override_usage = "shoal append [OPTIONS] [FILE]... <NAME>",
    after_help = "Examples:
  echo \"$(date) started\" | shoal append logs/today.txt
  shoal append monday.csv tuesday.csv trips/week.csv    both in one go, in this order
  shoal append - logs/today.txt < more.txt
  shoal append new.jsonl events/all.jsonl --if-match ETAG

Whoever else appends at the same time: each append is in there once, and whole. The object comes into
being if it is not there. Bytes are appended as they are: leave out the header of a further CSV.
A long object that was appended to has an ETag of the form HASH-N, which is no hash of its content."
)]
pub(crate) struct AppendArgs {
    /// Files, or - for stdin, which is taken where there are none; then the object, BUCKET/KEY.
    #[arg(value_name = "FILE", required = true)]
    files_and_name: Vec<PathBuf>,

    /// How the bytes are read as rows, for an object that is not there yet; bytes makes plain bytes of one that is.
    #[arg(long, value_parser = transfer::formats())]
    format: Option<Format>,

    /// Only to the version with this ETag.
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,

    /// The id of an append whose outcome was not heard: under it, it is appended once.
    #[arg(long, value_name = "ID")]
    id: Option<AppendId>,

    #[command(flatten)]
    target: Target,
}

impl AppendArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (name, sources) = self.sources()?;
        let client = self.target.client()?;
        let id = match self.id {
            Some(id) => id,
            None => AppendId::from_bytes(OsRng::key()?),
        };
        let version = self.if_match.as_deref().map(|etag| Etag(etag.trim_matches('"').to_owned()));
        let length = sources.iter().map(Source::len).sum::<Option<u64>>();
        let progress = transfer::progress(length);
        let append = Append { client, name, sources, format: self.format, id, version, progress };
        let again =
            async || eprintln!("hint: nothing or all of it was appended; to go on, run it again with --id {id}");
        let ended = interruptible(append.carry_out(), again).await;
        append.progress.finish_and_clear();
        let object = ended?;
        eprintln!("{} is {} now", object.name, units::bytes(object.bytes));
        Ok(())
    }

    fn sources(&self) -> Result<(ObjectName, Vec<Source>), Failure> {
        let Some((name, files)) = self.files_and_name.split_last() else {
            return Err(Failure::usage("no object is named", "shoal append [FILE]... BUCKET/KEY"));
        };
        let Some(name) = name.to_str() else {
            return Err(Failure::usage(
                format!("the name '{}' is not UTF-8, as names must be", name.display()),
                "shoal append [FILE]... BUCKET/KEY",
            ));
        };
        let name = ObjectName::new(name)?;
        if files.is_empty() {
            return Ok((name, vec![Source::Stdin]));
        }
        if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
            return Err(Failure::usage("stdin can be appended once", "name - once"));
        }
        let source = |file: &PathBuf| match file.as_os_str() == "-" {
            true => Ok(Source::Stdin),
            // One that is not there is told before anything is sent.
            false => match std::fs::metadata(file) {
                Ok(_) => Ok(Source::File(file.clone())),
                Err(error) => Err(Failure::file("read", file, &error)),
            },
        };
        Ok((name, files.iter().map(source).collect::<Result<_, _>>()?))
    }
}

struct Append {
    client: Client,
    name: ObjectName,
    sources: Vec<Source>,
    format: Option<Format>,
    id: AppendId,
    version: Option<Etag>,
    progress: ProgressBar,
}

impl Append {
    /// Sends it, again where the mesh is in trouble and the bytes can be had again.
    async fn carry_out(&self) -> Result<ObjectView, Failure> {
        let can_be_read_again = self.sources.iter().all(Source::can_be_read_again);
        let mut tries = 0;
        loop {
            tries += 1;
            self.progress.set_position(0);
            match self.send().await {
                Ok(object) => return Ok(object),
                Err(error) if !error.may_pass() => return Err(error.into()),
                Err(_) if can_be_read_again && tries < TRIES => tokio::time::sleep(PAUSE * tries).await,
                Err(error) => {
                    let hint = format!("whether it was appended is unknown; run it again with --id {}", self.id);
                    return Err(Failure::mesh(&error, hint));
                }
            }
        }
    }

    async fn send(&self) -> Result<ObjectView, ClientError> {
        let progress = self.progress.clone();
        let pieces = stream::iter(self.sources.clone()).then(move |source| {
            let progress = progress.clone();
            async move { source.open(progress).await }
        });
        let body = pieces.try_flatten().boxed();
        self.client.append(&self.name, self.format, self.id, self.version.as_ref(), body).await
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: AppendArgs,
    }

    fn sources(name: &[u8]) -> Result<(ObjectName, Vec<Source>), Failure> {
        let line = [OsStr::new("append"), OsStr::new("-"), OsStr::from_bytes(name)];
        Line::try_parse_from(line).unwrap().args.sources()
    }

    // The byte became U+FFFD, and what was appended went to an object of that name.
    #[test]
    fn a_name_that_is_not_utf_8_is_refused_and_not_changed() {
        assert_eq!(sources(b"b/x").unwrap().0.as_str(), "b/x");
        assert!(matches!(sources(b"b/x\xff"), Err(Failure::Told { code: 2, .. })));
    }
}
