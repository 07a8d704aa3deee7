use clap::Args;
use shoal_types::RoleChange;

use crate::failure::Failure;
use crate::follow;
use crate::stdout;
use crate::target::Target;

/// Change a member's share of the data.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal weight 200              this machine's peer keeps twice the usual share
  shoal weight 0 office-3       that one none: its data moves to the others
  shoal weight 100 --no-wait")]
pub(crate) struct WeightArgs {
    /// Its share relative to the others'; 100 is the usual one, 0 holds none.
    #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(RoleChange::WEIGHT_MAX)))]
    weight: u32,

    /// A name, or the beginning of an id; by default the peer that is asked.
    #[arg(value_name = "MEMBER", default_value = "self")]
    member: String,

    /// Do not wait until the data has moved.
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    target: Target,
}

impl WeightArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let change = RoleChange { weight: Some(self.weight), ..RoleChange::default() };
        client.change_role(&self.member, &change).await?;
        if self.no_wait {
            return Ok(());
        }
        let status = follow::until(&client, |status| {
            follow::in_layout(status, &self.member).is_some_and(|member| member.weight == self.weight)
        })
        .await?;
        follow::member(&status, &self.member).map_or(Ok(()), |member| {
            stdout::line(format_args!("{} has {:.1} % of the data", member.name, member.share * 100.0))
        })
    }
}
