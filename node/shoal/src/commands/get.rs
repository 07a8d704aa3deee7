use std::path::{Path, PathBuf};

use clap::Args;
use futures::TryStreamExt;
use shoal_gateway::Client;
use shoal_gateway::view::ObjectView;
use shoal_types::ObjectName;

use crate::batch::Tally;
use crate::destination::Destination;
use crate::download::{self, Below};
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::selection::{self, Selection};
use crate::target::Target;
use crate::transfer::{self, Room};

/// Fetch objects. What arrives is checked against the object's hash.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:
  shoal get trips/2026/january.parquet                    to ./january.parquet
  shoal get trips/2026/january.parquet /data/jan.parquet
  shoal get logs/today.txt - | grep ERROR
  shoal get trips/2026/ /data/trips                       everything below the prefix
  shoal get -r trips/2026 /data/trips                     the same
  shoal get 'trips/2026/*.csv' /data/trips                all that match
  shoal get app/config.json --version 3f2a91c04b7d        what it was before: shoal ls --versions

Of several, one that fails is told and the others are fetched; the exit code is then 1."
)]
pub(crate) struct GetArgs {
    /// An object, a prefix that ends in a slash, or a pattern.
    #[arg(value_name = "NAME")]
    name: String,

    /// A file, a directory, or - for stdout; by default the working directory.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Everything below NAME, which is a bucket or a path.
    #[arg(short, long)]
    recursive: bool,

    /// Take NAME as it is: no character of it makes it a pattern.
    #[arg(long)]
    exact: bool,

    /// The version whose ETag begins so, as `shoal ls --versions` shows it; of a single object.
    #[arg(long, value_name = "ETAG")]
    version: Option<String>,

    /// Objects on their way at once [default: 8, or up to 64 small ones].
    #[arg(short, long, value_name = "N", value_parser = transfer::jobs)]
    jobs: Option<usize>,

    #[command(flatten)]
    target: Target,
}

impl GetArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let work = async {
            let version = self.version.as_deref();
            // A former version may be of a name that stands for nothing now.
            let is_exact = self.exact || version.is_some();
            let is_folder = self.recursive || self.name.ends_with('/');
            match (Selection::of(&client, &self.name, is_folder, is_exact).await?, self.file) {
                (Selection::One(name), Some(file)) if file.as_os_str() == "-" => {
                    download::to_stdout(&client, &name, version).await.map(drop)
                }
                (Selection::One(name), file) => {
                    let place = place(&name, file);
                    let destination = Destination::at(&place)?;
                    download::to_file(&client, &name, version, &place, destination, None).await.map(drop)
                }
                _ if version.is_some() => Err(download::one_version()),
                (several, dir) => get_all(&client, &several, dir.as_deref(), self.jobs).await,
            }
        };
        interruptible(work, async || {}).await
    }
}

/// The file that an object goes to.
fn place(name: &ObjectName, file: Option<PathBuf>) -> PathBuf {
    let last = selection::last(name.as_str());
    match file {
        None => last.into(),
        Some(dir) if dir.is_dir() => dir.join(last),
        Some(file) => file,
    }
}

async fn get_all(client: &Client, several: &Selection, dir: Option<&Path>, jobs: Option<usize>) -> Result<(), Failure> {
    let dir = dir.unwrap_or(Path::new("."));
    if dir.as_os_str() == "-" {
        return Err(Failure::usage("several objects cannot all go to stdout", "name a directory, or use: shoal cat"));
    }
    let dir = Below::new(dir)?;
    let progress = transfer::progress(None);
    let mut tally = Tally::new();
    let room = Room::new(jobs);
    let get = async |object: ObjectView| {
        let _room = room.take(Some(object.bytes)).await;
        let fetched = async {
            let file = dir.file(several.relative(&object.name))?;
            let name = ObjectName::new(object.name.as_str())?;
            let destination = Destination::beside(&file)?;
            download::to_file(client, &name, None, &file, destination, Some(progress.clone())).await
        };
        fetched.await.map_err(|failure| failure.about(&object.name))
    };
    let expected = tally.expected();
    let counting = async {
        // Beside, for whoever looks on: a failure to count is met by the listing itself.
        if !progress.is_hidden()
            && let Ok((objects, bytes)) = sum(client, several).await
        {
            let _ = expected.set(objects);
            transfer::set_total(&progress, bytes);
        }
    };
    let (ended, ()) = futures::join!(tally.run(several.objects(client), room.at_once(), &progress, get), counting);
    progress.finish_and_clear();
    ended?;
    if tally.done + tally.failed == 0 {
        return Err(several.nothing());
    }
    eprintln!("{}", tally.summary_with_speed());
    tally.outcome()
}

/// How many objects, and bytes, are selected.
async fn sum(client: &Client, several: &Selection) -> Result<(u64, u64), Failure> {
    let add = async |(objects, bytes), object: ObjectView| Ok((objects + 1, bytes + object.bytes));
    several.objects(client).try_fold((0, 0), add).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_goes_where_a_copy_would() {
        let name = ObjectName::new("b/x/y.csv").unwrap();
        assert_eq!(place(&name, None), Path::new("y.csv"));
        assert_eq!(place(&name, Some("/no/such/z.csv".into())), Path::new("/no/such/z.csv"));
        assert_eq!(place(&name, Some("/".into())), Path::new("/y.csv"));
    }
}
