use std::io::{BufRead, IsTerminal, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use shoal_engine::EngineConfig;
use shoal_gateway::Gateway;
use shoal_runtime::{Peer, Stopped, ready_layout, remembered_secrets};
use shoal_types::{Layout, PeerInfo, RoleChange, SecretText};

use crate::failure::Failure;
use crate::home::{DIR_VAR, Home, PeerFile};
use crate::interrupt::Interrupts;
use crate::invite::{self, Invite};
use crate::start::{Network, Parts, Running, Writing, open_disk, open_store};
use crate::system::{cores, end_with_parent, host_name, machine};

/// How long requests under way may take to end when the peer stops. Those of
/// clients that wait longer are cut; clients ask another peer then.
const REQUESTS_TIME_MAX: Duration = Duration::from_secs(1);

/// How long stopping may take in all before the process ends anyway. What was
/// acknowledged is on disk.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

/// The environment variable that may hold an invite.
const INVITE_VAR: &str = "SHOAL_INVITE";

/// A peer's weight if nothing is said.
const WEIGHT: u32 = 100;

/// Run a peer. One alone is a whole mesh; others join it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal up                                          the first peer, or one again
  shoal up --invite                                 another machine: asks for what 'shoal invite' printed
  SHOAL_SECRET=… shoal up --join 192.168.1.5:7400   the same with the secret from 'shoal secret'
  shoal up --zone rack-2 --weight 200               twice the usual share of the data
  shoal up --drain                                  hands its data over before it stops
  shoal up --dir /data/shoal --gateway 127.0.0.1:0

The mesh's secret comes from SHOAL_SECRET, --secret-file, an invite or the data directory, and is drawn at
the first start. On a local network peers with the same secret find each other by themselves.")]
pub(crate) struct UpArgs {
    /// Where the peer keeps its identity and data [default: ~/.local/share/shoal].
    #[arg(long, env = DIR_VAR, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Where it listens for other peers; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:7400")]
    listen: SocketAddr,

    /// Another address at which peers reach it, for example outside of a NAT.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    advertise: Vec<String>,

    /// A peer of the mesh to join.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    join: Vec<String>,

    /// Join by what 'shoal invite' printed: the line itself, a file that holds it, or - for standard input.
    /// Without a value it is asked for.
    #[arg(long, env = INVITE_VAR, hide_env_values = true, value_name = "INVITE", num_args = 0..=1)]
    #[arg(default_missing_value = "-")]
    invite: Option<String>,

    /// Form a new mesh at once, rather than look for one first.
    #[arg(long, conflicts_with_all = ["join", "invite"])]
    new: bool,

    /// What people call the peer [default: the host's name].
    #[arg(long)]
    name: Option<String>,

    /// Peers that may fail together: replicas go to different zones while there are enough [default: as it
    /// was, at first the host's name].
    #[arg(long)]
    zone: Option<String>,

    /// Its share of the data relative to the others'; 0 holds none [default: as it was, at first 100].
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    weight: Option<u32>,

    /// Where its HTTP gateway listens, on loopback; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7480")]
    gateway: SocketAddr,

    /// Neither look for peers on the local network nor be found there.
    #[arg(long)]
    no_mdns: bool,

    /// A file that holds the mesh's secret.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Copies of each chunk in a mesh that this peer forms, capped by the number of peers. A mesh of another number
    /// it does not join [default: those of the mesh; 3 in a new one].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=7))]
    replicas: Option<u32>,

    /// Tasks that run at once [default: one per core].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: Option<u32>,

    /// When asked to stop, leave the mesh first: hand the data over to others. A second signal stops at once.
    #[arg(long)]
    drain: bool,

    /// Write large chunks past the page cache (O_DIRECT): for disks that are fast, and hold far more than memory.
    /// It takes less CPU time; who reads a chunk first, reads it from the disk.
    #[arg(long)]
    direct_io: bool,

    /// Sync nothing to disk, to measure what that costs: a power cut takes what was acknowledged.
    #[arg(long, hide = true)]
    unsynced: bool,

    /// The process with which this one ends.
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<u32>,
}

impl UpArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if let Some(parent) = self.parent {
            end_with_parent(parent)?;
        }
        let invite = self.invite.as_deref().map(accept).transpose()?;
        let join: Vec<String> =
            self.join.iter().chain(invite.iter().flat_map(|invite| &invite.addresses)).cloned().collect();
        // Early, so that a signal during the start already ends it cleanly.
        let mut interrupts = Interrupts::listen()?;
        let home = Home::locate(self.dir.as_deref())?;
        home.create()?;
        // The disk comes first: its lock says that no other process is this peer.
        if self.unsynced {
            eprintln!("warning: nothing is synced to disk: a power cut takes what was acknowledged");
        }
        let disk = open_disk(home.dir(), Writing { synced: !self.unsynced, direct: self.direct_io })?;
        let identity = home.identity()?;
        let peer = shoal_net::peer_id(&identity);
        let store = open_store(disk, peer)?;
        ready_layout(&*store, peer, home.former_replicas()?.unwrap_or(Layout::REPLICAS), self.replicas)?;
        home.forget_former_replicas()?;
        let secret = home.secret(self.secret_file.as_deref(), invite.as_ref(), !join.is_empty())?;
        let secrets = remembered_secrets(&*store, SecretText::new(secret))?;
        home.keep_secret(&secrets.current)?;
        let gateway = Gateway::bind(self.gateway).await?;
        let name = self.name.clone().unwrap_or_else(host_name);
        let slots = self.slots.unwrap_or_else(|| u32::try_from(cores()).unwrap_or(1));
        let parts = Parts {
            network: Network::Mesh {
                identity,
                secrets: secrets.clone(),
                listen: vec![self.listen],
                advertise: self.advertise.clone(),
                mdns: !self.no_mdns,
            },
            store,
            engine: EngineConfig::new(slots as usize, home.spill()),
            files: None,
            info: PeerInfo {
                id: peer,
                name: name.clone(),
                zone: host_name(),
                weight: WEIGHT,
                addresses: Vec::new(),
                version: env!("CARGO_PKG_VERSION").into(),
                incarnation: 0,
                machine: machine(),
                pid: std::process::id(),
                slots,
                gateway: Some(gateway.address().to_string()),
                leaves: false,
                revision: 0,
                mesh: None,
                replicas: self.replicas,
            },
            role: RoleChange { zone: self.zone.clone(), weight: self.weight, leaves: None },
            join,
            form: self.new,
        };
        let running = tokio::select! {
            running = Running::start(parts) => running?,
            signal = interrupts.next() => return Err(Failure::signalled(signal)),
        };
        let serving = gateway.serve(running.peer.clone());
        let announced = PeerFile {
            pid: std::process::id(),
            id: peer.to_string(),
            name,
            gateway: serving.address().to_string(),
            listen: running.addresses.clone(),
        };
        home.announce(&announced)?;
        eprint!("{}", greeting(&announced, &home, self.parent.is_some()));

        tokio::spawn(keep_secrets(running.peer.clone(), home.clone()));
        let stopped = running.peer.clone();
        let reason = tokio::select! {
            reason = stopped.stopped() => reason,
            signal = interrupts.next() => {
                eprintln!("stopping; once more to end at once");
                end_at_next(interrupts, signal);
                if self.drain { drain(&running.peer).await } else { Stopped::Asked }
            }
        };
        home.retract();
        let stop = async {
            serving.stop(REQUESTS_TIME_MAX).await;
            running.stop().await;
        };
        if tokio::time::timeout(STOP_TIME_MAX, stop).await.is_err() {
            eprintln!("warning: not everything stopped in time; the process ends all the same");
        }
        match reason {
            Stopped::Asked => Ok(()),
            Stopped::Left => {
                eprintln!("left the mesh: others keep the data");
                Ok(())
            }
            Stopped::Refused(why) => Err(why.into()),
            Stopped::Failed(why) => Err(Failure::mesh(format!("the peer stopped: {why}"), "")),
        }
    }
}

/// Keeps the mesh's secret where `shoal secret` finds it, whenever it changes.
async fn keep_secrets(peer: Peer, home: Home) {
    loop {
        let (seen, secrets) = peer.secrets();
        if let Err(Failure::Told { message, .. }) = home.keep_secret(&secrets.current) {
            tracing::warn!(message, "the new secret is not where 'shoal secret' looks");
        }
        peer.secrets_after(seen).await;
    }
}

/// The invite that is given. One on the command line would stay in the list of
/// processes, for all on this machine to read: the process starts anew without it.
fn accept(given: &str) -> Result<Invite, Failure> {
    let on_command_line = std::env::var_os(INVITE_VAR).is_none() && given.starts_with(invite::MARK);
    if on_command_line {
        return Err(start_anew(given));
    }
    let text = match given {
        text if text.starts_with(invite::MARK) => text.to_owned(),
        "-" => read_line()?,
        file => invite::read_file(file.as_ref())?,
    };
    text.parse().map_err(|error| Failure::usage(format!("that is no invite: {error}"), ""))
}

/// A line from standard input.
fn read_line() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        eprint!("the line that 'shoal invite' printed: ");
    }
    let mut line = String::new();
    let bytes = std::io::stdin().take(invite::TEXT_BYTES_MAX as u64 + 1);
    std::io::BufReader::new(bytes)
        .read_line(&mut line)
        .map_err(|error| Failure::request(format!("cannot read the invite: {error}"), ""))?;
    Ok(line)
}

/// Gives this process over to the same command with the invite in its environment.
fn start_anew(invite: &str) -> Failure {
    let arguments = std::env::args_os().skip(1).filter(|argument| {
        let text = argument.to_string_lossy();
        text != invite && text != format!("--invite={invite}") && text != "--invite"
    });
    let error = match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(arguments).env(INVITE_VAR, invite).exec(),
        Err(error) => error,
    };
    Failure::request(
        format!("cannot start without the invite in the list of processes: {error}"),
        "give the invite by SHOAL_INVITE, or paste it when asked",
    )
}

/// Leaves the mesh, and waits until others keep the data. One that cannot
/// leave stops and keeps what it has.
async fn drain(peer: &Peer) -> Stopped {
    let leave = RoleChange { leaves: Some(true), ..RoleChange::default() };
    match peer.change_role(peer.id(), leave).await {
        Ok(()) => {
            eprintln!("leaving the mesh: others take over the data");
            peer.stopped().await
        }
        Err(error) => {
            eprintln!("warning: it does not leave the mesh, its data stays here: {error}");
            Stopped::Asked
        }
    }
}

/// A second signal ends the process without waiting for anything.
fn end_at_next(mut interrupts: Interrupts, first: i32) {
    tokio::spawn(async move {
        interrupts.next().await;
        std::process::exit(128 + first);
    });
}

/// What a person wants to know once the peer runs. The secret itself is not
/// shown: terminals are scrolled, logged and looked at.
fn greeting(peer: &PeerFile, home: &Home, quiet: bool) -> String {
    let short = peer.id.get(..8).unwrap_or(&peer.id);
    let mut text = format!(
        "peer {} ({short}) is up\n  gateway  http://{}\n  peers    {}\n  data     {}\n",
        peer.name,
        peer.gateway,
        if peer.listen.is_empty() { "dials out only".into() } else { peer.listen.join(", ") },
        home.dir().display(),
    );
    if !quiet && !peer.listen.is_empty() {
        let dir = if home.is_default() { String::new() } else { format!(" --dir {}", home.dir().display()) };
        text += &format!(
            "another machine joins by what this prints:\n  shoal invite{dir}\non a local network it finds the mesh by \
             itself, given the secret\n"
        );
    }
    text
}

/// Checks that a text looks like `HOST:PORT`; whether anybody is there shows later.
fn host_and_port(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(text.into()),
        _ => Err("HOST:PORT is wanted, for example 192.168.1.5:7400".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_join_has_a_host_and_a_port() {
        for good in ["192.168.1.5:7400", "host.example:1", "[::1]:7400"] {
            assert!(host_and_port(good).is_ok(), "{good}");
        }
        for bad in ["host", ":7400", "host:", "host:0", "host:70000"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_greeting_tells_how_to_join_and_not_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path())).unwrap();
        let secret = home.secret(None, None, false).unwrap();
        let peer = PeerFile {
            pid: 1,
            id: "abcdefghijkl".into(),
            name: "n".into(),
            gateway: "127.0.0.1:7480".into(),
            listen: vec!["192.168.1.5:7400".into()],
        };
        let text = greeting(&peer, &home, false);
        assert!(text.contains(&format!("shoal invite --dir {}", dir.path().display())), "{text}");
        assert!(!text.contains(&secret));
    }
}
