use clap::Args;
use futures::stream::TryStreamExt;
use shoal_gateway::view::ObjectView;

use crate::failure::Failure;
use crate::glob::Glob;
use crate::listing::{self, Style};
use crate::selection;
use crate::target::Target;
use crate::{units, when};

/// Find objects by name, size and age: those for which all holds that is asked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal find trips/ --name '*.csv'
  shoal find trips/ --name '2026/**/*.csv'       with a slash: the path below PREFIX
  shoal find --larger 1GiB -l
  shoal find logs/ --older 30d | xargs -d '\\n' shoal rm --exact
  shoal find trips/ --newer '2026-03-01 12:00' --json")]
pub(crate) struct FindArgs {
    /// What the names begin with.
    #[arg(default_value = "")]
    prefix: String,

    /// The last part of the name matches this pattern; the path below PREFIX, where the pattern has a slash.
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,

    /// Of more bytes than this, for example 64MiB.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    larger: Option<u64>,

    /// Of fewer bytes than this.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    smaller: Option<u64>,

    /// Put after this moment: 2026-03-01, '2026-03-01 14:05' (UTC), or so long ago: 12h, 2d.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    newer: Option<u64>,

    /// Put before this moment.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    older: Option<u64>,

    #[command(flatten)]
    style: Style,

    #[command(flatten)]
    target: Target,
}

impl FindArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let glob = self.name.as_deref().map(Glob::new).transpose()?;
        let all = listing::objects(&client, &self.prefix);
        let found = all.try_filter(|object| futures::future::ready(self.wants(glob.as_ref(), object)));
        self.style.print(found).await
    }

    fn wants(&self, glob: Option<&Glob>, object: &ObjectView) -> bool {
        let part = match &self.name {
            Some(glob) if glob.contains('/') => {
                object.name.strip_prefix(&self.prefix).unwrap_or(&object.name).trim_start_matches('/')
            }
            _ => selection::last(&object.name),
        };
        glob.is_none_or(|glob| glob.matches(part))
            && self.larger.is_none_or(|size| object.bytes > size)
            && self.smaller.is_none_or(|size| object.bytes < size)
            && self.newer.is_none_or(|moment| object.modified_ms > moment)
            && self.older.is_none_or(|moment| object.modified_ms < moment)
    }
}
