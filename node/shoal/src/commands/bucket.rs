use clap::{Args, Subcommand};
use shoal_gateway::view::{BucketView, StatusView};
use shoal_types::{BucketChange, BucketName, Copies};

use crate::failure::Failure;
use crate::target::Target;
use crate::{stdout, units, when};

/// Show and say how the objects of a bucket are kept.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal bucket set app --history 30d                what was replaced or removed can be read for 30 days
  shoal bucket set scratch --copies 1               one copy: fast, and lost with its disk
  shoal bucket set ledger --copies 5
  shoal bucket set feed --synced 1                  a put waits for one copy; the others follow
  shoal bucket set app --history none --copies default
  shoal bucket show app
  shoal bucket ls --json

A bucket is the first part of a name, and is there as soon as an object is. Settings are for what is
put from then on, whichever peer takes it. More copies are made of what is there as well, once
'shoal health' has found them missing; fewer are not.")]
pub(crate) struct BucketArgs {
    #[command(subcommand)]
    command: BucketCommand,
}

#[derive(Debug, Subcommand)]
enum BucketCommand {
    /// Buckets with settings of their own.
    Ls {
        /// As a JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// How the objects of a bucket are kept.
    Show {
        #[arg(value_name = "BUCKET")]
        name: BucketName,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Change that; what is not named stays as it is.
    Set(SetArgs),
}

#[derive(Debug, Args)]
struct SetArgs {
    #[arg(value_name = "BUCKET")]
    name: BucketName,

    /// How long former versions can be read: 12h, 30d, none. They go some time after it is over.
    #[arg(long, value_name = "TIME", value_parser = history)]
    history: Option<u64>,

    /// Copies of each chunk, 1 to 7, or default: as everywhere in the mesh.
    #[arg(long, value_name = "R", value_parser = copies)]
    copies: Option<u8>,

    /// Copies that are on disk before a put is done, or default: all that can be made.
    #[arg(long, value_name = "W", value_parser = copies)]
    synced: Option<u8>,

    /// As one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

fn history(text: &str) -> Result<u64, String> {
    match text {
        "none" | "0" => Ok(0),
        text => when::span_s(text).ok_or_else(|| format!("'{text}' is no time: 12h, 30d and none are")),
    }
}

fn copies(text: &str) -> Result<u8, String> {
    match text {
        "default" => Ok(0),
        text => {
            let copies = text.parse().ok().filter(|copies| (1..=Copies::MAX).contains(copies));
            copies.ok_or_else(|| format!("'{text}' is no number of copies: 1 to 7 and default are"))
        }
    }
}

impl BucketArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.command {
            BucketCommand::Ls { json, target } => {
                let buckets = target.client()?.buckets().await?;
                match json {
                    true => stdout::json(&buckets),
                    false => buckets.iter().try_for_each(|bucket| stdout::line(line(bucket))),
                }
            }
            BucketCommand::Show { name, json, target } => show(&target.client()?.bucket(&name).await?, json),
            BucketCommand::Set(SetArgs { name, history, copies, synced, json, target }) => {
                let change = BucketChange { history_s: history, replicas: copies, write_copies: synced };
                let client = target.client()?;
                show(&client.change_bucket(&name, &change).await?, json)?;
                // It is set; that there are fewer members is good to know.
                if let (Some(copies), Ok(status)) = (copies, client.status().await)
                    && let Some(note) = too_few(copies, &status)
                {
                    eprintln!("note: {note}");
                }
                Ok(())
            }
        }
    }
}

/// What to say where fewer members keep data than there are to be copies.
fn too_few(copies: u8, status: &StatusView) -> Option<String> {
    let keeping = status.members.iter().filter(|member| member.in_layout && member.weight > 0).count();
    (keeping > 0 && keeping < usize::from(copies))
        .then(|| format!("{keeping} members keep data: there are {keeping} copies of it until more have joined"))
}

fn show(bucket: &BucketView, json: bool) -> Result<(), Failure> {
    if json {
        return stdout::json(bucket);
    }
    let default = || "as everywhere in the mesh".to_owned();
    let rows = [
        ("bucket", bucket.name.clone()),
        ("history", told(bucket.history_s)),
        ("copies", bucket.replicas.map_or_else(default, |copies| copies.to_string())),
        ("synced", bucket.write_copies.map_or_else(|| "all before a put is done".into(), |copies| copies.to_string())),
    ];
    rows.into_iter().try_for_each(|(name, value)| stdout::line(format_args!("{name:<8} {value}")))
}

fn line(bucket: &BucketView) -> String {
    let of = |copies: Option<u8>| copies.map_or_else(|| "default".into(), |copies| copies.to_string());
    let (copies, synced) = (of(bucket.replicas), of(bucket.write_copies));
    format!("history {:<8}  copies {copies:<7}  synced {synced:<7}  {}", told(bucket.history_s), bucket.name)
}

fn told(history_s: u64) -> String {
    if history_s == 0 { "none".into() } else { units::age(history_s as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_those_that_people_write() {
        assert_eq!((history("none"), history("90s"), history("2w")), (Ok(0), Ok(90), Ok(14 * 86_400)));
        assert_eq!((copies("default"), copies("7")), (Ok(0), Ok(7)));
        for bad in ["", "8", "0", "-1", "many"] {
            assert!(copies(bad).is_err(), "{bad}");
        }
        assert!(history("2026-01-01").is_err());
    }
}
