//! The command line as a whole. Each command's options are in its own file.

use clap::{Parser, Subcommand};

use crate::commands::{
    append, bench, bucket, cat, completions, cp, demo, dev, doctor, du, find, generate, get, health, invite, job,
    leave, ls, mv, put, rm, scrub, secret, sim, sql, stat, status, up, weight, zone,
};
use crate::failure::Failure;

/// A leaderless data-processing mesh: SQL over the data of many machines,
/// with no machine that must not fail.
#[derive(Debug, Parser)]
#[command(
    name = "shoal",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 fine, 1 the request failed, 2 wrong usage, 3 no peer reachable or the mesh in \
                  trouble, 4 copies are missing or bad, 130 interrupted (129 by a closed terminal).",
    after_long_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  shoal sql \"SELECT count(*) FROM 'trips/*.parquet'\"   on local files, no mesh needed
  shoal up                                             a peer; one peer is a whole mesh
  shoal put trips/ trips/                              files into the mesh
  shoal sql \"SELECT count(*) FROM 'trips/*.parquet'\"   now on all peers
  shoal dev -n 5                                       five peers on this machine, to try things

Exit codes: 0 fine, 1 the request failed, 2 wrong usage, 3 no peer reachable or the mesh in trouble,
4 copies are missing or bad, 130 interrupted (129 by a closed terminal).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::UpArgs),
    Dev(dev::DevArgs),
    Demo(demo::DemoArgs),
    Status(status::StatusArgs),
    Health(health::HealthArgs),
    Scrub(scrub::ScrubArgs),
    Doctor(doctor::DoctorArgs),
    Invite(invite::InviteArgs),
    Leave(leave::LeaveArgs),
    Weight(weight::WeightArgs),
    Zone(zone::ZoneArgs),
    Sql(sql::SqlArgs),
    Put(put::PutArgs),
    Append(append::AppendArgs),
    Get(get::GetArgs),
    Cat(cat::CatArgs),
    Cp(cp::CpArgs),
    Mv(mv::MvArgs),
    Ls(ls::LsArgs),
    Stat(stat::StatArgs),
    Find(find::FindArgs),
    Du(du::DuArgs),
    Rm(rm::RmArgs),
    Bucket(bucket::BucketArgs),
    Job(job::JobArgs),
    Bench(bench::BenchArgs),
    Sim(sim::SimArgs),
    Generate(generate::GenerateArgs),
    Secret(secret::SecretArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Up(args) => args.run().await,
            Self::Dev(args) => args.run().await,
            Self::Demo(args) => args.run().await,
            Self::Status(args) => args.run().await,
            Self::Health(args) => args.run().await,
            Self::Scrub(args) => args.run().await,
            Self::Doctor(args) => args.run().await,
            Self::Invite(args) => args.run(),
            Self::Leave(args) => args.run().await,
            Self::Weight(args) => args.run().await,
            Self::Zone(args) => args.run().await,
            Self::Sql(args) => args.run().await,
            Self::Put(args) => args.run().await,
            Self::Append(args) => args.run().await,
            Self::Get(args) => args.run().await,
            Self::Cat(args) => args.run().await,
            Self::Cp(args) => args.run().await,
            Self::Mv(args) => args.run().await,
            Self::Ls(args) => args.run().await,
            Self::Stat(args) => args.run().await,
            Self::Find(args) => args.run().await,
            Self::Du(args) => args.run().await,
            Self::Rm(args) => args.run().await,
            Self::Bucket(args) => args.run().await,
            Self::Job(args) => args.run().await,
            Self::Bench(args) => args.run().await,
            Self::Sim(args) => args.run().await,
            Self::Generate(args) => args.run().await,
            Self::Secret(args) => args.run().await,
            Self::Completions(args) => args.run(),
        }
    }

    /// Whether the process is a peer of a mesh, which tells more of itself
    /// than a client does.
    pub(crate) const fn runs_a_peer(&self) -> bool {
        matches!(self, Self::Up(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "shoal {} --help has no example", command.get_name());
        }
    }

    #[test]
    fn what_follows_two_dashes_is_the_command_of_dev() {
        let cli = Cli::try_parse_from(["shoal", "dev", "-n", "3", "--", "sh", "-c", "exit 7"]).unwrap();
        let Command::Dev(dev) = cli.command else { panic!("not dev") };
        assert_eq!((dev.peers, dev.command), (3, vec!["sh".to_owned(), "-c".into(), "exit 7".into()]));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            &["shoal"][..],
            &["shoal", "up", "--listen", "7400"],
            &["shoal", "up", "--new", "--join", "a:1"],
            &["shoal", "dev", "-n", "0"],
            &["shoal", "put", "one"],
            &["shoal", "put", "a", "b/c", "--if-absent", "--if-match", "x"],
            &["shoal", "sql", "select 1", "-f", "x.sql"],
            &["shoal", "put", "-j", "0", "a", "b/c"],
            &["shoal", "rm"],
            &["shoal", "cp", "b/x"],
            &["shoal", "sim", "--lose", "110%"],
            &["shoal", "sim", "--seed", "1", "swarm"],
            &["shoal", "sim", "replay"],
            &["shoal", "scrub", "peer-1", "--all"],
            &["shoal", "scrub", "--rate", "0"],
        ] {
            assert!(Cli::try_parse_from(line).is_err(), "{line:?}");
        }
    }
}
