use clap::Args;
use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;
use shoal_gateway::view::ObjectView;
use shoal_gateway::{Client, ClientError};
use shoal_runtime::PutCondition;
use shoal_types::{AppendId, Error, ObjectName};

use crate::batch::{self, Tally};
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::selection::{self, Selection};
use crate::system::OsRng;
use crate::target::Target;
use crate::{named, stdout, transfer, units};

/// Removals under way at once, by default.
const JOBS: usize = 16;

/// Remove objects.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:
  shoal rm trips/2026/january.parquet
  shoal rm 'trips/2025-*.csv' --dry-run          what it would remove
  shoal rm 'trips/2025-*.csv'
  shoal rm -r trips/2025/
  shoal rm --purge app/secrets.json              with all that it was before
  shoal rm --version 3f2a91c04b7d app/config.json
  shoal rm --exact 'logs/a[1].txt'               never another that the pattern would match

A word with [] or {} that no object is called is a pattern, too, and that is said.

In a bucket with a history (shoal bucket) what was removed can be read for a while longer; --purge
takes that away, too. With it, and with --version, names are no patterns.

What -r or a pattern removes is printed, name by name. One that fails is told and the others are
removed; the exit code is then 1."
)]
pub(crate) struct RmArgs {
    /// Objects, or patterns.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    /// Everything below each NAME, which is a bucket or a path: never `trips/2025-old/x` for `trips/2025`.
    #[arg(short, long)]
    recursive: bool,

    /// Take each NAME as it is: no character of it makes it a pattern.
    #[arg(long)]
    exact: bool,

    /// With all former versions, for good.
    #[arg(long, conflicts_with_all = ["recursive", "dry_run"])]
    purge: bool,

    /// Only the former version whose ETag begins so; what the name stands for stays.
    #[arg(long, value_name = "ETAG", conflicts_with_all = ["purge", "recursive", "dry_run"])]
    version: Option<String>,

    /// The id of a removal whose outcome was not heard, for a single NAME: under it, nothing else is removed.
    #[arg(long, value_name = "ID", conflicts_with_all = ["recursive", "dry_run", "purge", "version"])]
    id: Option<AppendId>,

    /// Remove nothing, and print what would be.
    #[arg(long)]
    dry_run: bool,

    /// Removals under way at once.
    #[arg(short, long, value_name = "N", default_value_t = JOBS, value_parser = transfer::jobs)]
    jobs: usize,

    #[command(flatten)]
    target: Target,
}

impl RmArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        if self.recursive && self.names.iter().any(|name| selection::folder(name).is_empty()) {
            return Err(Failure::usage(
                "everything in the mesh would be removed",
                "remove bucket by bucket: shoal rm -r BUCKET/",
            ));
        }
        if self.purge || self.version.is_some() {
            return interruptible(self.for_good(&client), async || {}).await;
        }
        let work = async {
            let (mut named, mut several) = (Vec::new(), Vec::new());
            for text in &self.names {
                match Selection::of(&client, text, self.recursive, self.exact || self.id.is_some()).await? {
                    Selection::One(name) => named.push(name),
                    selection => several.push(selection),
                }
            }
            if self.id.is_some() && (named.len() != 1 || !several.is_empty()) {
                return Err(Failure::usage("--id goes with a single object", "remove the objects one by one"));
            }
            match (&several[..], &named[..]) {
                _ if self.dry_run => {
                    several.extend(named.into_iter().map(Selection::One));
                    print(&client, &several).await
                }
                ([], [name]) => self.remove_one(&client, name).await,
                _ => self.remove(&client, named, &several).await,
            }
        };
        interruptible(work, async || {}).await
    }

    /// Removes what cannot be read afterwards in any way. The names are taken
    /// as they are: they may stand for nothing now.
    async fn for_good(&self, client: &Client) -> Result<(), Failure> {
        let names = self.names.iter().map(|name| named::object(name)).collect::<Result<Vec<_>, _>>()?;
        let remove_one = async |name: ObjectName| {
            let removed = match &self.version {
                Some(version) => client.purge_version(&name, version).await,
                None => client.purge(&name).await,
            };
            removed.map(|()| 0).map_err(|error| Failure::from(error).about(&name))
        };
        if let [name] = &names[..] {
            return remove_one(name.clone()).await.map(drop);
        }
        let mut tally = Tally::new();
        tally.run(stream::iter(names).map(Ok), self.jobs, &ProgressBar::hidden(), remove_one).await?;
        tally.outcome()
    }

    async fn remove_one(&self, client: &Client, name: &ObjectName) -> Result<(), Failure> {
        let id = match self.id {
            Some(id) => id,
            None => AppendId::from_bytes(OsRng::key()?),
        };
        transfer::remove(client, name, PutCondition::Always, id).await.map_err(|error| told(error, name, id))
    }

    async fn remove(&self, client: &Client, named: Vec<ObjectName>, several: &[Selection]) -> Result<(), Failure> {
        let hidden = ProgressBar::hidden();
        let mut tally = Tally::new();
        let remove_one = async |name: ObjectName| match self.remove_one(client, &name).await {
            Ok(()) => Ok(0),
            Err(failure) => Err(failure.about(&name)),
        };
        tally.run(stream::iter(named).map(Ok), self.jobs, &hidden, remove_one).await?;
        let remove_any = async |object: ObjectView| {
            let (name, id) = (ObjectName::new(object.name.as_str())?, AppendId::from_bytes(OsRng::key()?));
            match transfer::remove(client, &name, PutCondition::Always, id).await {
                // Somebody else was faster.
                Ok(()) | Err(ClientError::Shoal(Error::NotFound { .. })) => {}
                Err(error) => return Err(told(error, &name, id).about(&object.name)),
            }
            // A reader that has seen enough (`| head`) does not end the removing.
            let _ = stdout::line(&object.name);
            Ok(object.bytes)
        };
        for selection in several {
            let before = tally.done + tally.failed;
            tally.run(selection.objects(client), self.jobs, &hidden, &remove_any).await?;
            if tally.done + tally.failed == before {
                tell_of_nothing(selection, several, &mut tally)?;
            }
        }
        if !several.is_empty() {
            eprintln!("{} removed", batch::count(tally.done));
        }
        tally.outcome()
    }
}

/// Of an outcome that is unknown, how to ask for it.
fn told(error: ClientError, name: &ObjectName, id: AppendId) -> Failure {
    match error.is_in_doubt() {
        true => {
            Failure::mesh(&error, format!("whether '{name}' was removed is unknown; remove it again with --id {id}"))
        }
        false => error.into(),
    }
}

/// Prints what is selected.
async fn print(client: &Client, several: &[Selection]) -> Result<(), Failure> {
    let mut tally = Tally::new();
    let line = async |object: ObjectView| stdout::line(&object.name).map(|()| object.bytes);
    for selection in several {
        let before = tally.done;
        // One at a time, so that they come in order.
        match (tally.run(selection.objects(client), 1, &ProgressBar::hidden(), &line).await, selection) {
            (Err(failure), Selection::One(_)) if several.len() > 1 => tally.tell(&failure, &ProgressBar::hidden()),
            (ended, _) => ended?,
        }
        if tally.done == before && !matches!(selection, Selection::One(_)) {
            tell_of_nothing(selection, several, &mut tally)?;
        }
    }
    eprintln!("{}, {} would be removed", batch::count(tally.done), units::bytes(tally.bytes));
    tally.outcome()
}

/// A selection with nothing in it: the failure of the whole when it is the only one.
fn tell_of_nothing(selection: &Selection, all: &[Selection], tally: &mut Tally) -> Result<(), Failure> {
    if all.len() == 1 && tally.done + tally.failed == 0 {
        return Err(selection.nothing());
    }
    tally.tell(&selection.nothing(), &ProgressBar::hidden());
    Ok(())
}
