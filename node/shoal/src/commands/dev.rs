mod command;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::local_mesh::{Child, LocalMesh, MeshOptions};
use crate::stdout;

/// How often it is looked whether all peers still run.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Run several peers on this machine, to try things. They end with this command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal dev -n 5                                 until Ctrl-C
  shoal dev -n 5 --dir /tmp/mesh                 the same peers and data at the next start
  shoal dev -n 3 -- sh -c 'shoal put data/ d/ && shoal sql \"SELECT count(*) FROM '\\''d/*.csv'\\''\"'

COMMAND finds the first peer in SHOAL_PEER, and all gateways in SHOAL_DEV_PEERS, separated by commas.
Its exit code becomes that of this command.")]
pub(crate) struct DevArgs {
    /// How many peers.
    #[arg(short = 'n', long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) peers: u16,

    /// Where the peers keep their data; by default a temporary directory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Copies of each chunk [default: those of the mesh in DIR; 3 in a new one].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=7))]
    replicas: Option<u32>,

    /// Tasks that run at once on each peer [default: the cores are shared out].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: Option<u32>,

    /// Seconds to wait for the peers to be one mesh [default: 60 and 2 per peer].
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// A command to run once the mesh is there; the peers end with it.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

impl DevArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut interrupts = Interrupts::listen()?;
        let options = MeshOptions {
            peers: self.peers,
            dir: self.dir.clone(),
            replicas: self.replicas,
            slots: self.slots,
            timeout: self.timeout.map(Duration::from_secs),
            ..MeshOptions::default()
        };
        // Dropped on the way out, the peers are killed.
        let mut mesh = tokio::select! {
            mesh = LocalMesh::start(&options) => mesh?,
            signal = interrupts.next() => return Err(Failure::signalled(signal)),
        };
        let outcome = self.run_with(&mut mesh, &mut interrupts).await;
        mesh.stop().await;
        outcome
    }

    async fn run_with(&self, mesh: &mut LocalMesh, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let gateways = mesh.gateways();
        let children = &mut mesh.children;
        if let Some((program, args)) = self.command.split_first() {
            return command::run(program, args, &gateways, interrupts).await;
        }
        print(children)?;
        eprintln!("\nask any of them, for example: SHOAL_PEER={} shoal status\nCtrl-C ends all", gateways[0]);
        loop {
            tokio::select! {
                _ = interrupts.next() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            for child in children.iter_mut() {
                if let Some(how) = child.just_died()? {
                    eprintln!("{} ({how}) is gone; it is not started again", child.name());
                }
            }
            if children.iter().all(Child::is_dead) {
                return Err(Failure::mesh("all peers are gone", ""));
            }
        }
    }
}

fn print(children: &[Child]) -> Result<(), Failure> {
    let rows: Vec<_> = children
        .iter()
        .map(|child| {
            let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
            let pid = child.pid().map(|pid| pid.to_string());
            vec![child.name().into(), text(pid), text(child.gateway()), text(child.address()), child.log_file()]
        })
        .collect();
    stdout::table(&["NAME", "PID", "GATEWAY", "LISTENS", "LOG"], &rows)
}
