use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use shoal_types::ChunkId;

use crate::download;
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::selection::Selection;
use crate::stdout;
use crate::target::Target;

/// Write objects to stdout, one after the other, as they come.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:
  shoal cat logs/today.txt | grep ERROR
  shoal cat trips/header.csv 'trips/2026-*.csv' > all.csv
  shoal cat app/config.json --version 3f2a91c04b7d     what it was before
  shoal cat --chunk $(shoal stat trips/january.csv --json | jq -r '.chunk_list[].id')

It ends at the first one that fails, so that what follows is never taken for the whole. Chunks are read wherever \
one holder can be reached, also where too few peers can to tell what a name stands for: keep their hashes for that. \
An object of up to 3 KiB has none."
)]
pub(crate) struct CatArgs {
    /// Objects, or patterns; what a pattern stands for comes in byte order of the names.
    #[arg(value_name = "NAME", required_unless_present = "chunk")]
    names: Vec<String>,

    /// Chunks by their hashes, as 'shoal stat --json' lists them, rather than objects by name.
    #[arg(long, value_name = "HASH", num_args = 1.., conflicts_with_all = ["names", "version"])]
    chunk: Vec<ChunkId>,

    /// Take each NAME as it is: no character of it makes it a pattern.
    #[arg(long)]
    exact: bool,

    /// The version whose ETag begins so, as `shoal ls --versions` shows it; of a single object.
    #[arg(long, value_name = "ETAG")]
    version: Option<String>,

    #[command(flatten)]
    target: Target,
}

impl CatArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let version = self.version.as_deref();
        if version.is_some() && self.names.len() > 1 {
            return Err(download::one_version());
        }
        let work = async {
            for chunk in &self.chunk {
                stdout::bytes(&client.chunk(*chunk).await?)?;
            }
            for text in &self.names {
                // A former version may be of a name that stands for nothing now.
                let selection = Selection::of(&client, text, false, self.exact || version.is_some()).await?;
                let mut names = match &selection {
                    Selection::One(name) => stream::iter([Ok(name.clone())]).boxed(),
                    several => several.objects(&client).and_then(async |object| Ok(object.name.parse()?)).boxed(),
                };
                let mut count = 0;
                while let Some(name) = names.try_next().await? {
                    download::to_stdout(&client, &name, version).await.map_err(|failure| failure.about(&name))?;
                    count += 1;
                }
                if count == 0 {
                    return Err(selection.nothing());
                }
            }
            Ok(())
        };
        interruptible(work, async || {}).await
    }
}
