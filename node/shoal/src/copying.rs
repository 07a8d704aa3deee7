//! Other names for objects of the mesh: what `shoal cp` and `shoal mv` share.
//!
//! ```text
//! SRC ──copy, conditional on DST──► DST      both names list the same chunks
//! SRC ──removed if its ETag is still that of the copy             (mv only)
//! ```

use std::collections::HashSet;
use std::path::Path;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use shoal_gateway::{Client, ClientError};
use shoal_runtime::{CopyVersion, PutCondition};
use shoal_types::{AppendId, Error, Etag, ObjectName};

use crate::batch::Tally;
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::named;
use crate::selection::{Selection, folder};
use crate::system::OsRng;
use crate::target::Target;
use crate::transfer;

/// Names under change at once, by default. No data moves, so they cost little.
const JOBS: usize = 16;
/// Objects of one command: more than that is a matter of several.
const OBJECTS_MAX: usize = 1_000_000;

/// What becomes of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Copy,
    Move,
}

#[derive(Debug, Args)]
pub(crate) struct Copying {
    /// Objects, or patterns.
    #[arg(value_name = "SRC", required = true)]
    sources: Vec<String>,

    /// BUCKET/KEY, or a prefix that ends in a slash.
    #[arg(value_name = "DST")]
    target_name: String,

    /// Everything below each SRC, which is a bucket or a path, to the same place below DST.
    #[arg(short, long)]
    recursive: bool,

    /// Take each SRC as it is: no character of it makes it a pattern.
    #[arg(long)]
    exact: bool,

    /// Only where there is no such object yet.
    #[arg(long)]
    if_absent: bool,

    /// Only while SRC, a single object, is the version with this ETag.
    #[arg(long, value_name = "ETAG")]
    source_etag: Option<String>,

    /// Objects under way at once.
    #[arg(short, long, value_name = "N", default_value_t = JOBS, value_parser = transfer::jobs)]
    jobs: usize,

    #[command(flatten)]
    target: Target,
}

/// An object, and the name that it is to have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    to: ObjectName,
    from: ObjectName,
}

impl Copying {
    /// Of a single object it may be a `former` version, which its ETag begins with.
    pub(crate) async fn run(self, effect: Effect, former: Option<String>) -> Result<(), Failure> {
        let client = self.target.client()?;
        let version = match (&self.source_etag, former) {
            (None, None) => CopyVersion::Now,
            (Some(etag), None) => CopyVersion::NowIf(Etag(etag.trim_matches('"').to_owned())),
            (None, Some(former)) => CopyVersion::Of(former),
            (Some(_), Some(_)) => {
                return Err(Failure::usage("--version and --source-etag exclude each other", "give one of them"));
            }
        };
        interruptible(self.work(&client, effect, version), async || {}).await
    }

    async fn work(&self, client: &Client, effect: Effect, version: CopyVersion) -> Result<(), Failure> {
        let condition = if self.if_absent { PutCondition::IfAbsent } else { PutCondition::Always };
        // A former version may be of a name that stands for nothing now.
        let is_exact = self.exact || matches!(version, CopyVersion::Of(_));
        let mut selections = Vec::new();
        for source in &self.sources {
            let selection = Selection::of(client, source, self.recursive, is_exact).await;
            selections.push(selection.map_err(|failure| perhaps_a_file(failure, source))?);
        }
        let mut tally = Tally::new();
        if let [Selection::One(from)] = &selections[..] {
            let pair = Pair { from: from.clone(), to: renamed(&self.target_name, &selections[0], from.as_str())? };
            tally.add(carry_out(client, effect, &pair, &version, &condition).await?);
        } else {
            if version != CopyVersion::Now {
                return Err(Failure::usage("a version is that of a single object", "copy the objects one by one"));
            }
            let pairs = plan(client, &selections, &self.target_prefix()?).await?;
            let progress = transfer::counting(pairs.len() as u64);
            let change = async |pair: Pair| {
                let outcome = carry_out(client, effect, &pair, &version, &condition).await;
                progress.inc(1);
                outcome.map_err(|failure| failure.about(&pair.from))
            };
            let ended = tally.run(stream::iter(pairs).map(Ok), self.jobs, &progress, change).await;
            progress.finish_and_clear();
            ended?;
        }
        let done = if effect == Effect::Copy { "copied" } else { "moved" };
        eprintln!("{done}: {}", tally.summary());
        tally.outcome()
    }

    /// The prefix that several objects go to.
    fn target_prefix(&self) -> Result<String, Failure> {
        match self.recursive {
            true => Ok(folder(&self.target_name)),
            false if self.target_name.ends_with('/') => Ok(self.target_name.clone()),
            false => Err(Failure::usage(
                format!("several objects cannot all be '{}'", self.target_name),
                format!("end the target in a slash: {}/", self.target_name),
            )),
        }
    }
}

/// The name of an object at a target, which is its name or ends in a slash.
fn renamed(target: &str, selection: &Selection, name: &str) -> Result<ObjectName, Failure> {
    match target.is_empty() || target.ends_with('/') {
        true => named::object(&format!("{target}{}", selection.relative(name))),
        false => named::target(target),
    }
}

/// Which object gets which name. All is known before anything is changed, so
/// that no copy is taken for an original.
async fn plan(client: &Client, selections: &[Selection], target: &str) -> Result<Vec<Pair>, Failure> {
    let mut pairs = Vec::new();
    for selection in selections {
        let before = pairs.len();
        let mut names = match selection {
            Selection::One(name) => stream::iter([Ok(name.to_string())]).boxed(),
            several => several.objects(client).map_ok(|object| object.name).boxed(),
        };
        while let Some(name) = names.try_next().await? {
            let to = renamed(target, selection, &name)?;
            pairs.push(Pair { to, from: ObjectName::new(name)? });
            if pairs.len() > OBJECTS_MAX {
                return Err(Failure::request(format!("there are more than {OBJECTS_MAX} objects"), "name fewer"));
            }
        }
        if pairs.len() == before {
            return Err(selection.nothing());
        }
    }
    checked(pairs)
}

/// No two objects get one name, and none that of another which is copied too:
/// what became of that would depend on who was faster.
fn checked(mut pairs: Vec<Pair>) -> Result<Vec<Pair>, Failure> {
    pairs.sort();
    if let Some([one, other]) = pairs.array_windows().find(|[one, other]| one.to == other.to) {
        return Err(Failure::usage(
            format!("'{}' and '{}' would both be '{}'", one.from, other.from, one.to),
            "copy them to different prefixes",
        ));
    }
    let sources: HashSet<&ObjectName> = pairs.iter().map(|pair| &pair.from).collect();
    match pairs.iter().find(|pair| sources.contains(&pair.to)) {
        Some(pair) => Err(Failure::usage(
            format!("'{}' would become '{}', which is to be copied itself", pair.from, pair.to),
            "copy to a prefix where none of them is",
        )),
        None => Ok(pairs),
    }
}

/// Copies or moves one; gives its length.
async fn carry_out(
    client: &Client,
    effect: Effect,
    Pair { from, to }: &Pair,
    version: &CopyVersion,
    condition: &PutCondition,
) -> Result<u64, Failure> {
    let terms = condition.clone().asked_as(AppendId::from_bytes(OsRng::key()?));
    // Asked for again, a copy may meet a newer source: what is moved is one version.
    let is_any = effect == Effect::Move && *version == CopyVersion::Now;
    let this = match is_any {
        true => match client.stat(from).await {
            Ok(manifest) => Some(CopyVersion::NowIf(Etag(manifest.object.etag))),
            Err(error @ ClientError::Shoal(Error::NotFound { .. })) => {
                return Err(perhaps_a_file(error.into(), from.as_str()));
            }
            Err(error) => return Err(error.into()),
        },
        false => None,
    };
    let version = this.as_ref().unwrap_or(version);
    let copied = match transfer::until_known(async || client.copy(from, to, version, terms.clone()).await).await {
        Ok(copied) => copied,
        Err(error @ ClientError::Shoal(Error::NotFound { .. })) => {
            return Err(perhaps_a_file(error.into(), from.as_str()));
        }
        Err(ClientError::Shoal(Error::Conflict { name, .. })) if is_any && name == from.as_str() => {
            return Err(Failure::request(
                format!("'{from}' was changed while it was moved and is left so"),
                "move it again to have the newer version there",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if effect == Effect::Copy {
        return Ok(copied.bytes);
    }
    let moved = match version {
        CopyVersion::NowIf(etag) => etag.clone(),
        CopyVersion::Now | CopyVersion::Of(_) => Etag(copied.etag),
    };
    match transfer::remove(client, from, PutCondition::IfMatch(moved), AppendId::from_bytes(OsRng::key()?)).await {
        Ok(()) => Ok(copied.bytes),
        // Of two who move it, one must know that it was not the one.
        Err(ClientError::Shoal(Error::NotFound { .. })) => Err(Failure::request(
            format!("'{from}' was taken away by somebody else while it was moved; '{to}' is there all the same"),
            "if it was moved elsewhere, remove the one that is too many",
        )),
        Err(ClientError::Shoal(Error::Conflict { .. })) => Err(Failure::request(
            // Perhaps it was removed before that: a change among others may end in doubt.
            format!("'{from}' was changed while it was moved and is left so; '{to}' is what it was before"),
            "move it again to have the newer version there",
        )),
        Err(error) => Err(Failure::from(error).about(format!("'{to}' is there, but '{from}' too"))),
    }
}

/// A hint for whoever names a file of this machine.
fn perhaps_a_file(failure: Failure, source: &str) -> Failure {
    match failure {
        told @ Failure::Told { .. } if Path::new(source).exists() => {
            told.hinting(format!("'{source}' is a file here: bring it in with shoal put"))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Result<usize, Failure> {
        let pair = |(from, to): &(&str, &str)| Pair { from: from.parse().unwrap(), to: to.parse().unwrap() };
        checked(pairs.iter().map(pair).collect()).map(|pairs| pairs.len())
    }

    #[test]
    fn a_target_is_a_name_or_a_prefix() {
        let one = Selection::One("b/x/y.csv".parse().unwrap());
        assert_eq!(renamed("c/z", &one, "b/x/y.csv").unwrap().as_str(), "c/z");
        assert_eq!(renamed("c/", &one, "b/x/y.csv").unwrap().as_str(), "c/y.csv");
        assert!(renamed("c", &one, "b/x/y.csv").is_err());
        let below = Selection::Below("b/".into());
        assert_eq!(renamed("c/d/", &below, "b/x/y.csv").unwrap().as_str(), "c/d/x/y.csv");
    }

    #[test]
    fn no_copy_is_taken_for_an_original() {
        assert_eq!(pairs(&[("b/x", "b/old/x"), ("b/y", "b/old/y")]), Ok(2));
        assert!(pairs(&[("b/x", "c/x"), ("d/x", "c/x")]).is_err());
        assert!(pairs(&[("b/x", "b/y"), ("b/y", "b/z")]).is_err());
        assert!(pairs(&[("b/x", "b/x")]).is_err());
    }
}
