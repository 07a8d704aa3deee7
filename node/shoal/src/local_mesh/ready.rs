//! Waiting until the peers are one mesh.

use std::time::Duration;

use shoal_gateway::Client;
use shoal_gateway::view::StatusView;
use shoal_types::Health;
use tokio::time::Instant;

use super::child::Child;
use crate::failure::Failure;

/// How often it is looked again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until every peer has said where it is.
pub(crate) async fn announced(children: &mut [Child], deadline: Instant) -> Result<(), Failure> {
    loop {
        let missing = children.iter_mut().position(|child| !child.has_announced());
        let Some(missing) = missing else { return Ok(()) };
        none_died(children)?;
        if Instant::now() > deadline {
            let child = &children[missing];
            return Err(failure(format!("{} does not come up", child.name()), children, missing));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the first peer sees all of them alive, in a layout that is settled.
pub(crate) async fn one_mesh(children: &mut [Child], deadline: Instant) -> Result<(), Failure> {
    let Some(gateway) = children.first().and_then(Child::gateway) else { return Ok(()) };
    let client = Client::new(&gateway)?;
    let mut seen = "nothing".to_owned();
    loop {
        none_died(children)?;
        match tokio::time::timeout_at(deadline, client.status()).await {
            Ok(Ok(status)) if is_one_mesh(&status, children.len()) => return Ok(()),
            Ok(Ok(status)) => seen = words(&status),
            Ok(Err(error)) => seen = error.to_string(),
            // The deadline has come; what it said last is told.
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            let message =
                format!("{} peers did not become one mesh in time; the first one says: {seen}", children.len());
            return Err(failure(message, children, 0));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether so many members are alive, all of them in a layout that is not joint.
fn is_one_mesh(status: &StatusView, peers: usize) -> bool {
    let settled = status.layout.as_ref().is_some_and(|layout| !layout.joint);
    let there = status.members.iter().filter(|member| member.state == Health::Alive && member.in_layout).count();
    settled && there >= peers
}

fn words(status: &StatusView) -> String {
    let layout = match &status.layout {
        None => "no layout".into(),
        Some(layout) if layout.joint => format!("layout {} still moving data", layout.version),
        Some(layout) => format!("layout {} of {} members", layout.version, layout.members.len()),
    };
    let notices: String = status.notices.iter().map(|notice| format!("; {notice}")).collect();
    format!("{} alive, {layout}{notices}", status.alive())
}

fn none_died(children: &mut [Child]) -> Result<(), Failure> {
    for number in 0..children.len() {
        if let Some(how) = children[number].just_died()? {
            let message = format!("{} ended while it started ({how})", children[number].name());
            return Err(failure(message, children, number));
        }
    }
    Ok(())
}

/// A failure that shows the log of the peer in question, and after it of the others.
fn failure(message: String, children: &[Child], first: usize) -> Failure {
    /// Logs shown: enough to see a difference between peers.
    const LOGS_MAX: usize = 3;
    let others = children.iter().enumerate().filter(|(number, _)| *number != first).map(|(_, child)| child);
    let shown = children.get(first).into_iter().chain(others).take(LOGS_MAX);
    let logs: String = shown.map(|child| format!("\n--- {}\n{}", child.log_file(), child.log_tail())).collect();
    Failure::mesh(format!("{message}{logs}"), "RUST_LOG=debug makes the logs tell more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_gateway::view::{LayoutView, MemberView};

    fn status(members: &[(Health, bool)], joint: Option<bool>) -> StatusView {
        let member = |(number, (state, in_layout)): (usize, &(Health, bool))| MemberView {
            id: format!("id-{number}"),
            name: format!("peer-{number}"),
            state: *state,
            zone: "z".into(),
            weight: 1,
            share: 0.5,
            since_seconds: 1.0,
            addresses: vec![],
            version: "0".into(),
            is_self: number == 0,
            in_layout: *in_layout,
            pid: None,
            gateway: None,
        };
        StatusView {
            mesh: None,
            members: members.iter().enumerate().map(member).collect(),
            layout: joint.map(|joint| LayoutView { version: 4, joint, replicas: 3, members: vec![] }),
            notices: vec!["one is slow".into()],
            chunks: 0,
            chunk_bytes: 0,
            disk_free_bytes: 0,
            moving: None,
            moving_here: None,
            secret_generation: 0,
            secret_changing: false,
        }
    }

    #[test]
    fn a_mesh_is_ready_once_all_are_alive_in_a_settled_layout() {
        let alive = (Health::Alive, true);
        assert!(is_one_mesh(&status(&[alive, alive], Some(false)), 2));
        assert!(!is_one_mesh(&status(&[alive, alive], Some(true)), 2));
        assert!(!is_one_mesh(&status(&[alive, alive], None), 2));
        assert!(!is_one_mesh(&status(&[alive, (Health::Alive, false)], Some(false)), 2));
        assert!(!is_one_mesh(&status(&[alive, (Health::Suspected, true)], Some(false)), 2));
        assert_eq!(words(&status(&[alive], Some(true))), "1 alive, layout 4 still moving data; one is slow");
    }
}
