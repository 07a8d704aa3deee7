use std::time::Duration;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::home::Home;
use crate::interrupt::{interruptible, say};
use crate::stdout;
use crate::target::Target;

/// Between two looks whether all members know the new secret.
const LOOK: Duration = Duration::from_millis(300);

/// Print the mesh's secret, or change it: whoever has it can join.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  shoal secret
  shoal secret rotate
  SHOAL_SECRET=$(ssh first-machine shoal secret) shoal up --join first-machine:7400")]
pub(crate) struct SecretArgs {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum What {
    Rotate(RotateArgs),
}

/// Change the secret while the mesh runs. Links stay, jobs go on; the one before admits too until every
/// member knows the new one, and nobody afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Members that are away learn of it when they come back, or are left out once they are
dropped from the layout; they then join again with the new secret.

Examples:
  shoal secret rotate
  shoal secret rotate --no-wait")]
pub(crate) struct RotateArgs {
    /// Do not wait until all members know it.
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    target: Target,
}

impl SecretArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if let Some(What::Rotate(rotate)) = self.what {
            return rotate.run().await;
        }
        let home = Home::locate(self.target.dir.as_deref())?;
        match home.kept_secret()? {
            Some(secret) => stdout::line(secret),
            None => Err(Failure::request(
                format!("there is no secret in '{}'", home.secret_file().display()),
                "the first 'shoal up' makes one; --dir names another peer's directory",
            )),
        }
    }
}

impl RotateArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        client.rotate_secret().await?;
        let waiting = async {
            while !self.no_wait && client.status().await?.secret_changing {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        interruptible(waiting, async || say("the old secret admits too until all members know the new one")).await?;
        eprintln!("the secret is changed; 'shoal secret' prints it where a peer runs");
        Ok(())
    }
}
