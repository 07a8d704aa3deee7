use clap::Args;
use shoal_gateway::view::{MemberView, StatusView};

use crate::failure::Failure;
use crate::target::Target;
use crate::{stdout, units};

/// Show the mesh as one of its peers sees it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal status
  shoal status --peer 127.0.0.1:7481
  shoal status --json | jq '.members[] | select(.state != \"alive\")'")]
pub(crate) struct StatusArgs {
    /// As one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl StatusArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let status = self.target.client()?.status().await?;
        if self.json { stdout::json(&status) } else { print(&status) }
    }
}

fn print(status: &StatusView) -> Result<(), Failure> {
    stdout::line(format_args!("mesh    {}", status.mesh.as_deref().unwrap_or("none yet")))?;
    if let Some(layout) = &status.layout {
        let moving = if layout.joint { ", data is moving" } else { "" };
        stdout::line(format_args!("layout  version {}, {} members{moving}", layout.version, layout.members.len()))?;
    }
    stdout::line(format_args!(
        "here    {} chunks, {}; {} free",
        status.chunks,
        units::bytes(status.chunk_bytes),
        units::bytes(status.disk_free_bytes)
    ))?;
    stdout::line("")?;
    let rows: Vec<_> = status.members.iter().map(row).collect();
    stdout::table(&["", "NAME", "ID", "STATE", "DATA", "ZONE", "WEIGHT", "GATEWAY", "ADDRESS"], &rows)?;
    if !status.notices.is_empty() {
        stdout::line("")?;
    }
    status.notices.iter().try_for_each(|notice| stdout::line(format_args!("! {notice}")))
}

fn row(member: &MemberView) -> Vec<String> {
    vec![
        if member.is_self { "*" } else { "" }.into(),
        member.name.clone(),
        member.id.get(..8).unwrap_or(&member.id).into(),
        member.state.as_str().into(),
        if member.in_layout { "yes" } else { "no" }.into(),
        member.zone.clone(),
        member.weight.to_string(),
        // One on another machine is of no use here.
        member.gateway.clone().filter(|_| member.pid.is_some()).unwrap_or_else(|| "-".into()),
        member.addresses.first().cloned().unwrap_or_else(|| "-".into()),
    ]
}
