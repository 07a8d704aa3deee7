//! Machines of their own: network namespaces joined by a bridge, as by a switch.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::mesh::{SECRET, SHOAL};

/// Each network of this process has a number.
static LANS: AtomicU32 = AtomicU32::new(0);

/// A switch that can be cut in two, and the machines on it. Gone when dropped.
pub(crate) struct Lan {
    id: String,
    pub(crate) machines: Vec<Machine>,
    pub(crate) dir: tempfile::TempDir,
}

/// One machine, perhaps with a peer on it.
pub(crate) struct Machine {
    namespace: String,
    pub(crate) name: String,
    dir: PathBuf,
    peer: Option<Child>,
}

/// Runs `ip`; what it complains, if it fails.
fn ip(args: &str) -> Result<(), String> {
    let output = Command::new("ip").args(args.split(' ')).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

impl Lan {
    /// So many machines on one switch; an error where that is not permitted.
    pub(crate) fn of(count: u8) -> Result<Self, String> {
        let id = format!("sh{}x{}", std::process::id() % 100_000, LANS.fetch_add(1, Ordering::Relaxed));
        let mut lan = Self { id, machines: Vec::new(), dir: tempfile::tempdir().unwrap() };
        for part in ["a", "b"] {
            ip(&format!("link add {}{part} type bridge", lan.id))?;
            // Multicast goes to everybody, as on a plain switch.
            ip(&format!("link set {}{part} type bridge mcast_snooping 0", lan.id))?;
            ip(&format!("link set {}{part} up", lan.id))?;
        }
        for n in 1..=count {
            let (namespace, name) = (format!("{}-{n}", lan.id), format!("host-{n}"));
            ip(&format!("netns add {namespace}"))?;
            let dir = lan.dir.path().join(&name);
            lan.machines.push(Machine { namespace: namespace.clone(), name, dir, peer: None });
            ip(&format!("link add {}v{n} type veth peer name eth0 netns {namespace}", lan.id))?;
            ip(&format!("link set {0}v{n} master {0}a up", lan.id))?;
            ip(&format!("-n {namespace} addr add 10.77.0.{n}/24 dev eth0"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} link set eth0 up"))?;
            ip(&format!("-n {namespace} route add default dev eth0"))?;
        }
        Ok(lan)
    }

    /// Puts the machines at these places on the other half of the switch:
    /// nothing gets from one half to the other, and nobody is told so.
    pub(crate) fn cut(&self, away: &[usize]) {
        for n in 0..self.machines.len() {
            let half = if away.contains(&n) { "b" } else { "a" };
            ip(&format!("link set {0}v{1} master {0}{half}", self.id, n + 1)).unwrap();
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.machines.clear();
        for part in ["a", "b"] {
            let _ = ip(&format!("link del {}{part}", self.id));
        }
    }
}

impl Machine {
    /// A peer that knows nothing but the secret.
    pub(crate) fn up(&mut self) {
        std::fs::create_dir_all(&self.dir).unwrap();
        let log = std::fs::File::create(self.dir.join("log")).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace, SHOAL, "up", "--slots", "2", "--name", &self.name, "--dir"])
            .arg(&self.dir)
            .args(["--zone", &self.name])
            .env("SHOAL_SECRET", SECRET)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.peer = Some(child.unwrap());
    }

    /// Runs a command on this machine, which asks its peer.
    pub(crate) fn shoal(&self, args: &[&str]) -> Output {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, SHOAL]).args(args).env("SHOAL_DIR", &self.dir);
        command.env_remove("SHOAL_PEER").stdin(Stdio::null()).output().unwrap()
    }

    /// Has the calling thread be on this machine from now on.
    #[cfg(target_os = "linux")]
    pub(crate) fn enter(&self) {
        let namespace = std::fs::File::open(format!("/var/run/netns/{}", self.namespace)).unwrap();
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// There is none to enter: [`Lan::of`] has failed.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn enter(&self) {
        panic!("{} is no machine", self.namespace);
    }

    /// `HOST:PORT` of its peer's gateway, on the machine itself.
    pub(crate) fn gateway(&self) -> Option<String> {
        let announced = std::fs::read_to_string(self.dir.join("peer.json")).ok()?;
        Some(serde_json::from_str::<Value>(&announced).ok()?["gateway"].as_str()?.to_owned())
    }

    pub(crate) fn status(&self) -> Option<Value> {
        let output = self.shoal(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(peer) = &mut self.peer {
            let _ = peer.kill();
            let _ = peer.wait();
        }
        // Its end of the cable goes with it.
        let _ = ip(&format!("netns del {}", self.namespace));
    }
}
