use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::download;
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::selection::Selection;
use crate::target::Target;

/// Write objects to stdout, one after the other, as they come.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal cat logs/today.txt | grep ERROR
  shoal cat trips/header.csv 'trips/2026-*.csv' > all.csv

It ends at the first one that fails, so that what follows is never taken for the whole.")]
pub(crate) struct CatArgs {
    /// Objects, or patterns; what a pattern stands for comes in byte order of the names.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    #[command(flatten)]
    target: Target,
}

impl CatArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let work = async {
            for text in &self.names {
                let selection = Selection::of(&client, text, false).await?;
                let mut names = match &selection {
                    Selection::One(name) => stream::iter([Ok(name.clone())]).boxed(),
                    several => several.objects(&client).and_then(async |object| Ok(object.name.parse()?)).boxed(),
                };
                let mut count = 0;
                while let Some(name) = names.try_next().await? {
                    download::to_stdout(&client, &name).await.map_err(|failure| failure.about(&name))?;
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
