//! `shoal doctor`: what is wrong with this machine and its place in the mesh.

mod disk;
mod findings;

use clap::Args;
use shoal_gateway::ClientError;
use shoal_gateway::view::{ExaminationView, StatusView};
use shoal_types::Health;

use crate::failure::Failure;
use crate::home::Home;
use crate::stdout;
use crate::target::Target;
use findings::{Finding, Grade};

/// Files that a peer of a mesh of hundreds may have open.
const FILES_MIN: u64 = 4_096;

/// Clocks further apart confuse people who compare logs, in ms.
const CLOCK_APART_MS: i64 = 1_000;

/// Check ports, disk, limits, clocks and versions; each finding with its remedy.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 1 when something is wrong that keeps the mesh from working.

Examples:
  shoal doctor
  shoal doctor --dir /data/shoal
  shoal doctor --json | jq '.[] | select(.grade != \"fine\")'")]
pub(crate) struct DoctorArgs {
    /// As a JSON array.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl DoctorArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let home = Home::locate(self.target.dir.as_deref())?;
        let mut findings = vec![limits()];
        findings.extend(disk::check(home.dir()));
        match self.target.client_if_any()? {
            Some(client) => {
                let asked = async { Ok((client.status().await?, client.examinations().await?)) };
                match asked.await {
                    Ok((status, examinations)) => findings.extend(mesh(&status, &examinations)),
                    Err::<_, ClientError>(error) => {
                        findings.push(Finding::new("peer", Grade::Wrong, error.to_string(), error.hint()));
                    }
                }
            }
            None => findings.push(Finding::new(
                "peer",
                Grade::Odd,
                "no peer runs here: nothing of the mesh was checked",
                "start one with: shoal up, or name one with --peer HOST:PORT",
            )),
        }
        if self.json {
            stdout::json(&findings)?;
        } else {
            findings.iter().try_for_each(stdout::line)?;
        }
        match findings.iter().any(|finding| finding.grade == Grade::Wrong) {
            true => Err(Failure::Silent(1)),
            false => Ok(()),
        }
    }
}

/// How many files a process may open.
fn limits() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.current {
        Some(files) if files < FILES_MIN => Finding::new(
            "files",
            Grade::Odd,
            format!("a process may open {files} files; a peer uses some for each chunk in use and each link"),
            "raise it where the peer is started: ulimit -n 65536, or LimitNOFILE=65536 for systemd",
        ),
        Some(files) => Finding::fine("files", format!("a process may open {files} files")),
        None => Finding::fine("files", "a process may open any number of files"),
    }
}

/// What the peer and the others say.
fn mesh(status: &StatusView, examinations: &[ExaminationView]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let this = status.this();
    match &status.layout {
        Some(layout) => findings.push(present(status, layout.version)),
        None => findings.push(Finding::new(
            "mesh",
            Grade::Wrong,
            "the peer is in no mesh",
            "see 'shoal status' for what it looks for; check the address and the secret: shoal up --invite",
        )),
    }
    let notices = status.notices.iter().map(|notice| Finding::new("mesh", Grade::Odd, notice, ""));
    findings.extend(notices);
    for examination in examinations {
        findings.extend(examined(this.map_or("", |this| &this.version), examination));
    }
    if let Some(lonely) = unreachable_by_all(examinations) {
        findings.push(lonely);
    }
    findings
}

/// How many of those who decide are there.
fn present(status: &StatusView, layout: u64) -> Finding {
    let belonging = || status.members.iter().filter(|member| member.in_layout);
    let (all, alive) = (belonging().count(), belonging().filter(|member| member.state == Health::Alive).count());
    let what = format!("{alive} of {all} members are alive, layout {layout}");
    match alive * 2 > all {
        true => Finding::fine("mesh", what),
        false => Finding::new("mesh", Grade::Wrong, what, "start the others again, or see why they are not reached"),
    }
}

/// What one member says.
fn examined(version: &str, examination: &ExaminationView) -> Vec<Finding> {
    let name = &examination.name;
    if let Some(error) = &examination.error {
        return vec![Finding::new(
            "reach",
            Grade::Wrong,
            format!("{name} does not answer: {error}"),
            "see whether it is overloaded, or a firewall drops what goes between the two",
        )];
    }
    let mut findings = Vec::new();
    let unreachable: Vec<String> =
        examination.unreachable.iter().map(|(address, why)| format!("{address} ({why})")).collect();
    let took = examination.answer_ms.unwrap_or(0.0);
    if unreachable.is_empty() {
        findings.push(Finding::fine("reach", format!("{name} answers in {took:.1} ms and reaches this peer")));
    } else {
        findings.push(Finding::new(
            "reach",
            Grade::Odd,
            format!("{name} does not reach this peer at {}", unreachable.join(", ")),
            "open the port in the firewall, or name an address that works: shoal up --advertise HOST:PORT",
        ));
    }
    let ahead = examination.clock_ahead_ms.unwrap_or(0);
    if ahead.abs() > CLOCK_APART_MS {
        let how = if ahead > 0 { "ahead of" } else { "behind" };
        findings.push(Finding::new(
            "clock",
            Grade::Odd,
            format!("the clock of {name} is {:.1} s {how} this one's", ahead.abs() as f64 / 1e3),
            "have both follow a time server (chrony, systemd-timesyncd); nothing is lost, but times in logs mislead",
        ));
    }
    if examination.version != version {
        findings.push(Finding::new(
            "version",
            Grade::Odd,
            format!("{name} runs version {}, this peer {version}", examination.version),
            "bring all to the same version, one peer after the other",
        ));
    }
    findings
}

/// That nobody can dial this peer, though it listens.
fn unreachable_by_all(examinations: &[ExaminationView]) -> Option<Finding> {
    let answered: Vec<_> = examinations.iter().filter(|examination| examination.error.is_none()).collect();
    let first = &answered.first()?.unreachable;
    let everywhere = |address: &String| {
        answered.iter().all(|examination| examination.unreachable.iter().any(|(other, _)| other == address))
    };
    let dead: Vec<&str> =
        first.iter().map(|(address, _)| address).filter(|address| everywhere(address)).map(String::as_str).collect();
    (!dead.is_empty()).then(|| {
        Finding::new(
            "reach",
            Grade::Odd,
            format!("no member reaches this peer at {}", dead.join(", ")),
            "an address that nobody reaches only costs time; others that work are enough",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str) -> ExaminationView {
        ExaminationView {
            id: name.into(),
            name: name.into(),
            version: "1".into(),
            error: None,
            answer_ms: Some(0.4),
            clock_ahead_ms: Some(3),
            unreachable: vec![],
        }
    }

    #[test]
    fn each_finding_that_is_not_fine_has_a_remedy() {
        let mut odd = view("odd");
        odd.clock_ahead_ms = Some(-90_000);
        odd.version = "2".into();
        odd.unreachable = vec![("10.0.0.1:7400".into(), "no route".into())];
        let findings = examined("1", &odd);
        assert_eq!(findings.len(), 3);
        assert!(findings.iter().all(|finding| finding.grade == Grade::Odd && !finding.remedy.is_empty()));
        assert!(findings.iter().any(|finding| finding.what.contains("90.0 s behind")), "{findings:?}");
        let dead = ExaminationView { error: Some("no answer".into()), ..view("dead") };
        assert!(matches!(&examined("1", &dead)[..], [finding] if finding.grade == Grade::Wrong));
        assert!(matches!(&examined("1", &view("well"))[..], [finding] if finding.grade == Grade::Fine));
    }

    #[test]
    fn an_address_that_nobody_reaches_is_told_once() {
        let missing = |name: &str| ExaminationView { unreachable: vec![("a:1".into(), "x".into())], ..view(name) };
        assert!(unreachable_by_all(&[missing("a"), missing("b")]).is_some());
        assert!(unreachable_by_all(&[missing("a"), view("b")]).is_none());
        assert!(unreachable_by_all(&[]).is_none());
    }
}
