use clap::Args;
use futures::stream::{StreamExt, TryStreamExt};

use crate::failure::Failure;
use crate::glob::Glob;
use crate::listing::{self, Style};
use crate::target::Target;
use crate::versions;

/// List objects, in byte order of their names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal ls
  shoal ls trips/2026/ -l
  shoal ls 'trips/2026-*.csv'                    a pattern; ** crosses folders
  shoal ls trips/ --json | jq -r '.[].etag'
  shoal ls --versions app/config.json            also what the names stood for before")]
pub(crate) struct LsArgs {
    /// What the names begin with, or a pattern that they match.
    #[arg(default_value = "")]
    prefix: String,

    /// Also what the names stood for before, the latest first: until when, and the ETag by which
    /// `shoal get --version` finds it. A bucket has a history if it was given one: shoal bucket.
    #[arg(long)]
    versions: bool,

    #[command(flatten)]
    style: Style,

    #[command(flatten)]
    target: Target,
}

impl LsArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        if self.versions {
            let glob = Glob::is_one(&self.prefix).then(|| Glob::new(&self.prefix)).transpose()?;
            let prefix = glob.as_ref().map_or(self.prefix.as_str(), Glob::prefix);
            let all = versions::by_name(&client, prefix);
            let wanted = all.try_filter(move |versions| {
                let is_wanted = |name: &str| glob.as_ref().is_none_or(|glob| glob.matches(name));
                futures::future::ready(versions.first().is_some_and(|version| is_wanted(&version.object.name)))
            });
            return self.style.print_versions(wanted).await;
        }
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
