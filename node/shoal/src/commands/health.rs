mod words;

use clap::Args;
use shoal_gateway::view::{HealthProgressView, HealthView, MemberHealthView};
use shoal_types::Health;

use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::target::Target;
use crate::{stdout, transfer, units};

/// Tell whether everything in the mesh has all of its copies.
///
/// Goes through all names, and asks the owners of every chunk that they refer
/// to whether they have it: only so is it found what has no copy any more.
/// It reads no data, and costs one small call for some thousands of chunks at
/// each member; --quick adds up what the peers count themselves, in a moment,
/// and cannot see what is lost. Whether the bytes of the copies are still
/// right, 'shoal scrub' tells. Where a bucket wants more copies than when its
/// objects were put, a whole look has them made, which takes a few minutes.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 0 when everything is at full replication: all copies are there, on members that are
there and whose disks work. Exits with 4 when not, with 3 when that cannot be told.

Examples:
  shoal health
  shoal health --quick              every few seconds, from a monitor
  shoal health --json | jq '.lost'
  until shoal health; do sleep 5; done")]
pub(crate) struct HealthArgs {
    /// Believe what the peers count themselves, and look at no names.
    #[arg(long)]
    quick: bool,

    /// As one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl HealthArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let bar = transfer::saying();
        let work = async {
            let look = client.health(self.quick).await?;
            let report = look.report(|so_far: &HealthProgressView| {
                let (names, chunks) = (units::count(so_far.names), units::count(so_far.chunks));
                bar.set_message(format!("{names} names, {chunks} chunks looked at"));
            });
            Ok::<_, Failure>(report.await?)
        };
        let report = interruptible(work, async || {}).await;
        bar.finish_and_clear();
        let report = report?;
        if self.json {
            stdout::json(&report)?;
        } else {
            print(&report)?;
        }
        if report.full { Ok(()) } else { Err(Failure::copies()) }
    }
}

fn print(health: &HealthView) -> Result<(), Failure> {
    stdout::line(words::verdict(health))?;
    words::details(health).iter().try_for_each(stdout::line)?;
    stdout::line("")?;
    let rows: Vec<Vec<String>> = health.members.iter().map(row).collect();
    stdout::table(
        &["NAME", "STATE", "DISK", "FREE", "CHUNKS", "HELD", "MISSING", "BAD COPIES", "LAST SCRUB (UTC)"],
        &rows,
    )?;
    let notices = words::notices(health);
    if !notices.is_empty() {
        stdout::line("")?;
    }
    notices.iter().try_for_each(|notice| stdout::line(format_args!("! {notice}")))
}

fn row(member: &MemberHealthView) -> Vec<String> {
    let said = &member.condition;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    vec![
        member.name.clone(),
        match (member.away, member.state) {
            (true, Health::Alive) => "silent".into(),
            (true, _) => "away".into(),
            (false, state) => state.as_str().into(),
        },
        or_dash(said.disk.map(|disk| disk.as_str().into())),
        or_dash(said.free_bytes.map(units::bytes)),
        or_dash(said.chunks.map(units::count)),
        or_dash(said.chunk_bytes.map(units::bytes)),
        units::count(member.copies_missing),
        or_dash(said.bad_copies.map(units::count)),
        match (said.disk, said.last_scrub) {
            (None, _) => "-".into(),
            (Some(_), None) => "not yet".into(),
            (Some(_), Some(last)) => units::time(last.ended_ms),
        },
    ]
}
