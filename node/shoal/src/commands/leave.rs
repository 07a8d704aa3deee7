use clap::Args;
use shoal_gateway::view::StatusView;
use shoal_types::RoleChange;

use crate::failure::Failure;
use crate::follow;
use crate::stdout;
use crate::target::Target;

/// Take a peer out of the mesh: it hands its data over, and then stops.
#[derive(Debug, Args)]
#[command(after_help = "Started again with shoal up, the peer joins as a newcomer.

Examples:
  shoal leave                 the peer of this machine
  shoal leave office-3        that one
  shoal leave --cancel        no, it stays")]
pub(crate) struct LeaveArgs {
    /// A name, or the beginning of an id; by default the peer that is asked.
    #[arg(value_name = "MEMBER", default_value = "self")]
    member: String,

    /// It is to stay after all, if it has not gone yet.
    #[arg(long)]
    cancel: bool,

    /// Do not wait until it has gone.
    #[arg(long, conflicts_with = "cancel")]
    no_wait: bool,

    #[command(flatten)]
    target: Target,
}

impl LeaveArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let before = client.status().await?;
        let leaving = follow::member(&before, &self.member).map(|member| (member.id.clone(), member.name.clone()));
        client.change_role(&self.member, &RoleChange { leaves: Some(!self.cancel), ..RoleChange::default() }).await?;
        let (Some((id, name)), false) = (leaving, self.cancel || self.no_wait) else {
            return Ok(());
        };
        let is_self = follow::member(&before, "self").is_some_and(|member| member.id == id);
        // One that goes itself says goodbye first, and does not answer after that.
        let has_left = |status: &StatusView| !is_self && follow::in_layout(status, &id).is_none();
        let waiting = async { follow::until(&client, has_left).await.map(drop) };
        match waiting.await {
            Ok(()) => {}
            // It has stopped, having said that it leaves: that is what was wished.
            Err(Failure::Told { .. })
                if is_self && client.status().await.is_err_and(|error| follow::is_gone(&error)) => {}
            Err(failure) => return Err(failure),
        }
        stdout::line(format_args!("{name} has left: others keep its data"))
    }
}
