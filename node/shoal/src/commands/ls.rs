use clap::Args;
use futures::stream::{StreamExt, TryStreamExt};

use crate::failure::Failure;
use crate::glob::Glob;
use crate::listing::{self, Style};
use crate::target::Target;

/// List objects, in byte order of their names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal ls
  shoal ls trips/2026/ -l
  shoal ls 'trips/2026-*.csv'                    a pattern; ** crosses folders
  shoal ls trips/ --json | jq -r '.[].etag'")]
pub(crate) struct LsArgs {
    /// What the names begin with, or a pattern that they match.
    #[arg(default_value = "")]
    prefix: String,

    #[command(flatten)]
    style: Style,

    #[command(flatten)]
    target: Target,
}

impl LsArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let objects = match Glob::new(&self.prefix) {
            Ok(glob) if Glob::is_one(&self.prefix) => {
                let all = listing::objects(&client, glob.prefix());
                // A name that begins with these very characters is meant too.
                all.try_filter(move |object| {
                    let is_meant = glob.matches(&object.name) || object.name.starts_with(&self.prefix);
                    futures::future::ready(is_meant)
                })
                .boxed()
            }
            _ => listing::objects(&client, &self.prefix).boxed(),
        };
        self.style.print(objects).await
    }
}
