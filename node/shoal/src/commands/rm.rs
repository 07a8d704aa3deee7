use clap::Args;
use futures::stream::{self, TryStreamExt};
use shoal_gateway::ClientError;
use shoal_types::{Error, ObjectName};

use super::ls::Pages;
use crate::failure::Failure;
use crate::target::Target;

/// Removals under way at once.
const PARALLEL_MAX: usize = 16;

/// Remove objects.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal rm trips/2026/january.parquet
  shoal rm -r trips/2025/")]
pub(crate) struct RmArgs {
    #[arg(value_name = "NAME", required_unless_present = "recursive", conflicts_with = "recursive")]
    names: Vec<ObjectName>,

    /// Everything below PREFIX, which is a bucket or a path: never `trips/2025-old/x` for `trips/2025`.
    #[arg(short, long, value_name = "PREFIX")]
    recursive: Option<String>,

    #[command(flatten)]
    target: Target,
}

impl RmArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let Some(prefix) = self.recursive else {
            let names = stream::iter(self.names.into_iter().map(Ok));
            let outcome: Result<(), ClientError> = names
                .try_for_each_concurrent(PARALLEL_MAX, |name| {
                    let client = client.clone();
                    async move { client.remove(&name).await }
                })
                .await;
            return Ok(outcome?);
        };
        let mut pages = Pages::new(client.clone(), below(&prefix)?);
        let mut removed = 0;
        while let Some(objects) = pages.next().await? {
            removed += objects.len();
            let names = objects.into_iter().map(|object| ObjectName::new(object.name).map_err(ClientError::from));
            let remove = |name: ObjectName| {
                let client = client.clone();
                async move {
                    match client.remove(&name).await {
                        // Somebody else was faster.
                        Err(ClientError::Shoal(Error::NotFound { .. })) => Ok(()),
                        outcome => outcome,
                    }
                }
            };
            stream::iter(names).try_for_each_concurrent(PARALLEL_MAX, remove).await?;
        }
        if removed == 0 {
            return Err(Error::not_found(
                format!("there is nothing below '{prefix}'"),
                "see what there is with: shoal ls",
            )
            .into());
        }
        eprintln!("{removed} objects removed");
        Ok(())
    }
}

/// The prefix of all that is below a bucket or path.
fn below(prefix: &str) -> Result<String, Failure> {
    let path = prefix.trim_end_matches('/');
    if path.is_empty() {
        return Err(Failure::usage(
            "everything in the mesh would be removed",
            "remove bucket by bucket: shoal rm -r BUCKET/",
        ));
    }
    Ok(format!("{path}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_does_not_reach_its_neighbours_and_nothing_removes_all() {
        assert_eq!(below("trips/2025").unwrap(), "trips/2025/");
        assert_eq!(below("trips/").unwrap(), "trips/");
        assert!(below("").is_err());
        assert!(below("/").is_err());
    }
}
