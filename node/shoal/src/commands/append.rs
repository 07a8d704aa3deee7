use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use shoal_gateway::view::ObjectView;
use shoal_gateway::{Client, ClientError};
use shoal_types::{AppendId, Error, Etag, Format, ObjectName};

use crate::failure::Failure;
use crate::interrupt::{interruptible, say};
use crate::system::OsRng;
use crate::target::Target;
use crate::transfer::{self, Reading, Source};
use crate::{named, units};

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
        let readings = sources.into_iter().map(Reading::of).collect();
        let append = Append { client, name, readings, format: self.format, id, version, progress };
        let again =
            async || say(format!("hint: nothing or all of it was appended; to go on, run it again with --id {id}"));
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
        let name = named::object(name)?;
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
    readings: Vec<Reading>,
    format: Option<Format>,
    id: AppendId,
    version: Option<Etag>,
    progress: ProgressBar,
}

impl Append {
    /// Sends it, again where the bytes can be had again.
    async fn carry_out(&self) -> Result<ObjectView, Failure> {
        let tries = if self.readings.iter().all(|reading| reading.source().can_be_read_again()) { TRIES } else { 1 };
        let send = async || {
            self.progress.set_position(0);
            self.send().await
        };
        send_until_known(tries, send).await.map_err(|error| match error.is_in_doubt() {
            true if error.is_lost_sight_of() => {
                let hint = format!("look whether '{}' has it; run again, it may be appended twice", self.name);
                Failure::mesh(&error, hint)
            }
            true if self.readings.iter().any(Reading::is_another) => {
                let hint = format!("look whether '{}' has it: what was sent has changed since", self.name);
                Failure::mesh(&error, hint)
            }
            true => {
                let hint = format!("whether it was appended is unknown; run it again with --id {}", self.id);
                Failure::mesh(&error, hint)
            }
            false => error.into(),
        })
    }

    async fn send(&self) -> Result<ObjectView, ClientError> {
        let progress = self.progress.clone();
        let pieces = stream::iter(self.readings.clone()).then(move |reading| {
            let progress = progress.clone();
            async move { reading.open(progress).await }
        });
        let body = pieces.try_flatten().boxed();
        self.client.append(&self.name, self.format, self.id, self.version.as_ref(), body).await
    }
}

/// Sends an append so often while the mesh is in trouble, or nobody knows
/// whether it was made; not where nobody can know it any more. Its last error
/// is in doubt if the outcome is.
async fn send_until_known<T>(
    tries_max: u32,
    mut send: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let (mut tries, mut doubt) = (0, None);
    loop {
        tries += 1;
        let error = match send().await {
            Ok(made) => return Ok(made),
            // That it was removed since says that it was made.
            Err(error @ ClientError::Shoal(Error::NotFound { .. })) => return Err(error),
            Err(error) => error,
        };
        let is_worth_it = error.may_pass() || error.is_in_doubt();
        let is_last = tries >= tries_max || !is_worth_it || !error.may_be_asked_again();
        if error.is_in_doubt() {
            doubt = Some(error.clone());
        }
        if is_last {
            // What is wrong now says nothing of the time before.
            return Err(doubt.unwrap_or(error));
        }
        tokio::time::sleep(PAUSE * tries).await;
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use clap::Parser;

    use super::*;

    /// What the answers, the first one first, come to, and how many were heard.
    async fn check(answers: &[Result<u32, Error>]) -> (Result<u32, ClientError>, usize) {
        let mut heard = 0;
        let came = send_until_known(3, async || {
            heard += 1;
            answers[heard - 1].clone().map_err(ClientError::from)
        });
        (came.await, heard)
    }

    fn in_doubt() -> Error {
        Error::Conflict { name: "b/k".into(), found: format!("{}: others", Error::IN_DOUBT) }
    }

    /// It was taken for a refusal: not sent again, and told without its id, so
    /// that whoever ran it again appended a second time.
    #[tokio::test]
    async fn an_append_of_which_a_peer_says_that_it_is_in_doubt_is_sent_again() {
        assert_eq!(check(&[Err(in_doubt()), Ok(7)]).await, (Ok(7), 2));
        let (came, heard) = check(&[Err(in_doubt()), Err(in_doubt()), Err(in_doubt())]).await;
        assert!(came.unwrap_err().is_in_doubt() && heard == 3);
    }

    /// It was sent again under its id, which was forgotten: it was made twice.
    #[tokio::test]
    async fn an_append_that_a_peer_has_lost_sight_of_is_not_sent_again() {
        let lost = Error::Conflict { name: "b/k".into(), found: format!("{}: many others", Error::LOST_SIGHT_OF) };
        assert_eq!(check(&[Err(lost.clone())]).await, (Err(lost.clone().into()), 1));
        assert_eq!(check(&[Err(in_doubt()), Err(lost.clone())]).await, (Err(lost.into()), 2));
    }

    /// A refusal now was taken for one of the time before.
    #[tokio::test]
    async fn what_an_append_in_doubt_meets_later_says_nothing_of_the_time_before() {
        let timeout = Error::Timeout { what: "an append".into(), ms: 1 };
        let refused = Error::Conflict { name: "b/k".into(), found: "it has ETag 7".into() };
        let no_quorum = Error::NoQuorum { what: "a name".into(), answered: 1, needed: 2 };
        let removed = Error::not_found("'b/k' was appended to, and removed since", "");
        let (came, heard) = check(&[Err(timeout.clone()), Err(refused.clone())]).await;
        assert!(came.unwrap_err().is_in_doubt() && heard == 2);
        let (came, _) = check(&[Err(timeout.clone()), Err(no_quorum.clone()), Err(no_quorum.clone())]).await;
        assert!(came.unwrap_err().is_in_doubt());
        // That it was removed says that it was made.
        assert_eq!(check(&[Err(timeout), Err(removed.clone())]).await, (Err(removed.into()), 2));
        assert_eq!(check(&[Err(refused.clone())]).await, (Err(refused.into()), 1));
        let (came, heard) = check(&[Err(no_quorum.clone()), Err(no_quorum.clone()), Err(no_quorum)]).await;
        assert!(!came.unwrap_err().is_in_doubt() && heard == 3);
    }

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
