use clap::Args;

use crate::copying::{Copying, Effect};
use crate::failure::Failure;

/// Rename objects. No data moves, and nothing is lost if it is interrupted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal mv trips/new.parquet trips/january.parquet
  shoal mv trips/january.parquet archive/               keeps the last part of the name
  shoal mv 'trips/2025-*.csv' archive/2025/
  shoal mv -r trips/2025 archive/2025 --if-absent       everything below, over nothing that is there

First the new name is given, then the old one is taken away, if it still stands for what was copied:
one that was changed meanwhile stays, and that is told. Interrupted in between, an object has both
names; run it again, without --if-absent. Of several, one that fails is told and the others are
moved; the exit code is then 1.")]
pub(crate) struct MvArgs {
    #[command(flatten)]
    copying: Copying,
}

impl MvArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.copying.run(Effect::Move, None).await
    }
}
