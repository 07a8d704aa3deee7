use std::process::Stdio;

use clap::Args;
use serde_json::{Value, json};
use shoal_sim::Span;

use crate::failure::Failure;
use crate::stdout;
use crate::units::{self, count};

/// Measure how fast this machine simulates meshes of several sizes, each in a process of its own.
#[derive(Debug, Args)]
#[command(after_help = "FORMING: simulated and real seconds until all peers, who start at once, are one mesh with its
data. RUNNING: those with work and faults, and until all is whole again.

Examples:
  shoal sim bench
  shoal sim bench --peers 100,300 --json")]
pub(super) struct BenchArgs {
    /// The sizes of the meshes.
    #[arg(short = 'n', long, value_delimiter = ',', default_value = "100,300,1000,3000", value_name = "PEERS")]
    peers: Vec<u32>,

    /// What they are put through.
    #[arg(long, default_value = "churn", value_name = "NAME|FILE")]
    scenario: String,

    /// Simulated time with work and faults; forming and healing come on top.
    #[arg(long, default_value = "60s", value_name = "TIME")]
    duration: Span,

    #[arg(long, default_value_t = 1)]
    seed: u64,

    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (mut rows, mut all) = (Vec::new(), Vec::new());
        let mut holds = true;
        for peers in &self.peers {
            eprintln!("{peers} peers ...");
            let verdict = self.measure(*peers).await?;
            holds &= verdict["holds"] == true;
            if self.json {
                let keep = |key: &str| verdict[key].clone();
                all.push(json!({
                    "peers": peers,
                    "simulated_seconds": keep("simulated_seconds"),
                    "wall_seconds": keep("wall_seconds"),
                    "formed_seconds": keep("formed_seconds"),
                    "formed_wall_seconds": keep("formed_wall_seconds"),
                    "simulated_seconds_per_wall_second": keep("simulated_seconds_per_wall_second"),
                    "events": keep("events"),
                    "events_per_wall_second": keep("events_per_wall_second"),
                    "peak_memory_bytes": keep("peak_memory_bytes"),
                    "holds": keep("holds"),
                    "seed": keep("seed"),
                    "trace": keep("trace"),
                }));
            } else {
                rows.push(row(*peers, &verdict));
            }
        }
        if self.json {
            all.iter().try_for_each(stdout::line)?;
        } else {
            let header =
                ["PEERS", "FORMING", "RUNNING", "SPEED", "OVERALL", "EVENTS_PER_S", "PEAK_MEMORY", "VIOLATIONS"];
            stdout::table(&header, &rows)?;
        }
        super::verdict::outcome(holds)
    }

    /// The verdict of one size.
    async fn measure(&self, peers: u32) -> Result<Value, Failure> {
        let failed = |why: String| Failure::request(format!("cannot measure {peers} peers: {why}"), "");
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let output = tokio::process::Command::new(program)
            .args(["sim", "--json", "--no-shrink", "--scenario", &self.scenario])
            .args(["--peers", &peers.to_string(), "--seed", &self.seed.to_string()])
            .args(["--duration", &self.duration.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let verdict = text.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        verdict.filter(|verdict| verdict["kind"] == "verdict").ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                // It was asked for something that there is not.
                Some(2) => Failure::usage(said.trim().trim_start_matches("error: "), ""),
                _ => failed(said.trim().to_owned()),
            }
        })
    }
}

fn row(peers: u32, verdict: &Value) -> Vec<String> {
    let number = |key: &str| verdict[key].as_f64().unwrap_or_default();
    let (formed, formed_wall) = (number("formed_seconds"), number("formed_wall_seconds"));
    let (running, running_wall) = (number("simulated_seconds") - formed, number("wall_seconds") - formed_wall);
    vec![
        peers.to_string(),
        format!("{formed:.0} s in {formed_wall:.1} s"),
        format!("{running:.0} s in {running_wall:.1} s"),
        format!("{:.2} x", running / running_wall.max(1e-9)),
        format!("{:.2} x", number("simulated_seconds_per_wall_second")),
        count(number("events_per_wall_second") as u64),
        verdict["peak_memory_bytes"].as_u64().map_or_else(|| "-".to_owned(), units::bytes),
        verdict["violations"].as_array().map_or(0, Vec::len).to_string(),
    ]
}
