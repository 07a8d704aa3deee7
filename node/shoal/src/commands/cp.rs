use clap::Args;

use crate::copying::{Copying, Effect};
use crate::failure::Failure;

/// Copy objects within the mesh. No data moves: both names stand for the same chunks.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:
  shoal cp trips/january.parquet archive/2026/january.parquet
  shoal cp trips/january.parquet archive/               keeps the last part of the name
  shoal cp 'trips/2026-*.csv' archive/
  shoal cp -r trips/2026 archive/2026                   everything below
  shoal cp app/config.json app/before.json --if-absent  over nothing that is there
  shoal cp app/config.json app/config.json --version 3f2a91c04b7d   what it was before is back

A copy keeps the format of the original, whatever its name ends in. Of several, one that fails is
told and the others are copied; the exit code is then 1. Between files and the mesh: shoal put,
shoal get."
)]
pub(crate) struct CpArgs {
    /// The version of SRC whose ETag begins so, as `shoal ls --versions` shows it.
    #[arg(long, value_name = "ETAG")]
    version: Option<String>,

    #[command(flatten)]
    copying: Copying,
}

impl CpArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.copying.run(Effect::Copy, self.version).await
    }
}
