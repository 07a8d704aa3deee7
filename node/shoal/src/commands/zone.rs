use clap::Args;
use shoal_types::RoleChange;

use crate::failure::Failure;
use crate::follow;
use crate::stdout;
use crate::target::Target;

/// Say with which others a member may fail together.
#[derive(Debug, Args)]
#[command(after_help = "Replicas go to different zones while there are enough.

Examples:
  shoal zone rack-2             this machine's peer stands in rack-2
  shoal zone rack-2 office-3    that one does")]
pub(crate) struct ZoneArgs {
    /// A rack, a room, a provider: what fails as a whole.
    zone: String,

    /// A name, or the beginning of an id; by default the peer that is asked.
    #[arg(value_name = "MEMBER", default_value = "self")]
    member: String,

    /// Do not wait until the data has moved.
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    target: Target,
}

impl ZoneArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let change = RoleChange { zone: Some(self.zone.clone()), ..RoleChange::default() };
        client.change_role(&self.member, &change).await?;
        if self.no_wait {
            return Ok(());
        }
        let status = follow::until(&client, |status| {
            follow::in_layout(status, &self.member).is_some_and(|member| member.zone == self.zone)
        })
        .await?;
        follow::member(&status, &self.member)
            .map_or(Ok(()), |member| stdout::line(format_args!("{} is in zone {}", member.name, self.zone)))
    }
}
