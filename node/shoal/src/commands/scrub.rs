use std::collections::BTreeMap;

use clap::Args;
use shoal_gateway::view::{MemberScrubView, ScrubView};

use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::target::Target;
use crate::{stdout, transfer, units};

/// Read all copies now, and mend those that have rotted.
///
/// Each peer reads all of its copies within a week by itself. This reads them
/// at once, beside that: after a disk has given trouble, say, or before one is
/// taken away. A copy that is not what its name says is set aside, and put back
/// from another holder. Interrupting the command stops it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 0 when every copy was read and is whole now, with 4 when copies stay bad, with 3 when
a member could not be asked.

Examples:
  shoal scrub                       the copies of the peer that runs here
  shoal scrub office-3 --rate 200MiB
  shoal scrub --all
  shoal scrub --all --json | jq '.members[] | select(.bad > 0)'"
)]
pub(crate) struct ScrubArgs {
    /// Whose copies: a name, or an id or its beginning; by default the peer that is asked.
    #[arg(value_name = "MEMBER", conflicts_with = "all")]
    member: Option<String>,

    /// Those of all members, all at once: each has its own disk.
    #[arg(long)]
    all: bool,

    /// Bytes that each member reads a second, at most.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = units::parse_bytes)]
    rate: u64,

    /// As one JSON object, once it is done.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl ScrubArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let who = if self.all { "all" } else { self.member.as_deref().unwrap_or("self") };
        let bar = transfer::saying();
        let work = async {
            let scrub = client.scrub(who, self.rate).await?;
            let mut members = BTreeMap::new();
            let report = scrub.report(|said: &MemberScrubView| {
                members.insert(said.id.clone(), said.clone());
                bar.set_message(progress(members.values()));
            });
            Ok::<_, Failure>(report.await?)
        };
        // The peers stop with the connection.
        let report = interruptible(work, async || {}).await;
        bar.finish_and_clear();
        let report = report?;
        if self.json {
            stdout::json(&report)?;
        } else {
            print(&report)?;
        }
        match &report {
            report if report.is_clean() => Ok(()),
            report if report.bad > report.mended => Err(Failure::copies()),
            _ => Err(Failure::mesh("not all members read their copies", "see who is there with: shoal status")),
        }
    }
}

/// How far all of them are.
fn progress<'a>(members: impl Iterator<Item = &'a MemberScrubView>) -> String {
    let (mut bytes, mut held, mut rate, mut bad, mut count) = (0u64, 0u64, 0u64, 0u64, 0u64);
    for member in members {
        bytes = bytes.saturating_add(member.bytes);
        held = held.saturating_add(member.bytes_held);
        rate = rate.saturating_add(if member.done { 0 } else { member.bytes_per_second });
        (bad, count) = (bad.saturating_add(member.bad), count + 1);
    }
    let (bytes, held, rate) = (units::bytes(bytes), units::bytes(held), units::bytes(rate));
    format!("{bytes} of {held} at {rate}/s on {count} peers, {} bad copies", units::count(bad))
}

fn print(report: &ScrubView) -> Result<(), Failure> {
    let rows: Vec<Vec<String>> = report.members.iter().map(row).collect();
    stdout::table(&["NAME", "COPIES", "READ", "RATE", "TIME", "BAD", "MENDED", ""], &rows)?;
    stdout::line("")?;
    stdout::line(verdict(report))
}

fn row(member: &MemberScrubView) -> Vec<String> {
    let why = member.error.as_ref().map(|error| error.message.clone());
    vec![
        member.name.clone(),
        units::count(member.copies),
        units::bytes(member.bytes),
        format!("{}/s", units::bytes(member.bytes_per_second)),
        units::duration((member.seconds * 1e3) as u64),
        units::count(member.bad),
        units::count(member.mended),
        why.unwrap_or_default(),
    ]
}

/// What came of it, in a sentence.
fn verdict(report: &ScrubView) -> String {
    let read = format!("{} copies read ({})", units::count(report.copies), units::bytes(report.bytes));
    let (bad, mended) = (units::count(report.bad), units::count(report.mended));
    match (report.bad, report.bad - report.mended.min(report.bad)) {
        (0, _) => format!("{read}, all whole"),
        (_, 0) => format!("{read}: {bad} bad, all mended from other copies"),
        (_, left) => format!("{read}: {bad} bad, {mended} mended, {} still bad", units::count(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_said_in_one_sentence() {
        let report = |bad, mended| ScrubView { copies: 1_200, bytes: 3 << 30, bad, mended, members: vec![] };
        assert_eq!(verdict(&report(0, 0)), "1,200 copies read (3.0 GiB), all whole");
        assert_eq!(verdict(&report(2, 2)), "1,200 copies read (3.0 GiB): 2 bad, all mended from other copies");
        assert_eq!(verdict(&report(3, 1)), "1,200 copies read (3.0 GiB): 3 bad, 1 mended, 2 still bad");
    }
}
