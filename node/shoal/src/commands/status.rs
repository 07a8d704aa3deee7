use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use shoal_gateway::view::{MemberView, StatusView};

use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::target::Target;
use crate::{moving, stdout, units};

/// Show the mesh as one of its peers sees it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal status
  shoal status --watch                    again every second, until interrupted
  shoal status --peer 127.0.0.1:7481
  shoal status --json | jq '.members[] | select(.state != \"alive\")'")]
pub(crate) struct StatusArgs {
    /// As one JSON object; with --watch one line for each look.
    #[arg(long)]
    json: bool,

    /// Again every so many seconds, until interrupted.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3600))]
    watch: Option<u32>,

    #[command(flatten)]
    target: Target,
}

impl StatusArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let Some(seconds) = self.watch else {
            let status = client.status().await?;
            return if self.json { stdout::json(&status) } else { print(&status) };
        };
        let watching = async {
            loop {
                match client.status().await {
                    Ok(status) if self.json => stdout::json_line(&status)?,
                    Ok(status) => {
                        clear()?;
                        print(&status)?;
                    }
                    // It may come back.
                    Err(error) => eprintln!("{error}"),
                }
                tokio::time::sleep(Duration::from_secs(seconds.into())).await;
            }
        };
        interruptible(watching, async || {}).await
    }
}

/// Begins a new page on a terminal; a file gets one page after the other.
fn clear() -> Result<(), Failure> {
    if std::io::stdout().is_terminal() { stdout::text("\x1b[H\x1b[2J") } else { Ok(()) }
}

fn print(status: &StatusView) -> Result<(), Failure> {
    stdout::line(format_args!("mesh    {}", status.mesh.as_deref().unwrap_or("none yet")))?;
    if let Some(layout) = &status.layout {
        let moving = if layout.joint { ", data is moving" } else { "" };
        let (version, members, copies) = (layout.version, layout.members.len(), layout.replicas);
        stdout::line(format_args!("layout  version {version}, {members} members, {copies} copies{moving}"))?;
    }
    stdout::line(format_args!(
        "here    {} chunks, {}; {} free",
        status.chunks,
        units::bytes(status.chunk_bytes),
        units::bytes(status.disk_free_bytes)
    ))?;
    if let Some(moving) = &status.moving {
        stdout::line(format_args!("moving  {}", moving::sentence(moving, status.moving_here.as_ref())))?;
    }
    stdout::line("")?;
    let rows: Vec<_> = status.members.iter().map(row).collect();
    stdout::table(
        &["", "NAME", "ID", "STATE", "SINCE", "DATA", "ZONE", "WEIGHT", "VERSION", "GATEWAY", "ADDRESS"],
        &rows,
    )?;
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
        units::age(member.since_seconds),
        if member.in_layout { format!("{:.1} %", member.share * 100.0) } else { "-".into() },
        member.zone.clone(),
        member.weight.to_string(),
        if member.version.is_empty() { "-".into() } else { member.version.clone() },
        // One on another machine is of no use here.
        member.gateway.clone().filter(|_| member.pid.is_some()).unwrap_or_else(|| "-".into()),
        member.addresses.first().cloned().unwrap_or_else(|| "-".into()),
    ]
}
