use clap::Args;
use futures::future::ready;
use futures::stream::TryStreamExt;

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
        let Self { prefix: wanted, versions, style, target } = self;
        let client = target.client()?;
        let glob = Glob::new(&wanted).ok().filter(|_| Glob::is_one(&wanted));
        let prefix = glob.as_ref().map_or(wanted.as_str(), Glob::prefix).to_owned();
        // A name that begins with these very characters is meant too.
        let is_meant =
            move |name: &str| glob.as_ref().is_none_or(|glob| glob.matches(name)) || name.starts_with(&wanted);
        if versions {
            let all = versions::by_name(&client, &prefix);
            let meant = all
                .try_filter(|versions| ready(versions.first().is_some_and(|version| is_meant(&version.object.name))));
            return style.print_versions(meant).await;
        }
        style.print(listing::objects(&client, &prefix).try_filter(|object| ready(is_meant(&object.name)))).await
    }
}
