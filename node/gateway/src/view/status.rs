use serde::{Deserialize, Serialize};
use shoal_types::{Health, Layout, MemberStatus, MeshMoving, Status};

use super::moving::{MeshMovingView, MovingView};

/// The mesh as one peer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The mesh's id; `null` while the peer has not found or formed one.
    pub mesh: Option<String>,
    pub members: Vec<MemberView>,
    pub layout: Option<LayoutView>,
    /// What is wrong or under way, most urgent first.
    pub notices: Vec<String>,
    /// Chunks, their bytes, and free bytes on the answering peer's disk.
    pub chunks: u64,
    pub chunk_bytes: u64,
    pub disk_free_bytes: u64,
    /// What is being brought to its owners, by all peers that say so and by
    /// the answering one; `null` while nothing is.
    pub moving: Option<MeshMovingView>,
    pub moving_here: Option<MovingView>,
    /// How often the mesh's secret was changed, and whether that is under way.
    pub secret_generation: u64,
    pub secret_changing: bool,
}

/// A peer, as the answering peer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberView {
    pub id: String,
    pub name: String,
    pub state: Health,
    pub zone: String,
    pub weight: u32,
    pub addresses: Vec<String>,
    pub version: String,
    #[serde(rename = "self")]
    pub is_self: bool,
    pub in_layout: bool,
    /// Its part of all copies, 0–1, by the layout's present members.
    pub share: f64,
    /// For how long the answering peer has seen it in this state, in seconds.
    pub since_seconds: f64,
    /// Its process, where it runs on the answering peer's machine.
    pub pid: Option<u32>,
    /// Where its gateway listens: on loopback of its own machine.
    pub gateway: Option<String>,
}

/// The layout in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutView {
    pub version: u64,
    /// Whether data still moves from the members before.
    pub joint: bool,
    /// Copies of each chunk, capped by the number of members.
    pub replicas: u32,
    pub members: Vec<LayoutMemberView>,
}

/// A peer with a share of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutMemberView {
    pub id: String,
    pub name: String,
    pub zone: String,
    pub weight: u32,
}

impl StatusView {
    /// The member that answered.
    pub fn this(&self) -> Option<&MemberView> {
        self.members.iter().find(|member| member.is_self)
    }

    /// How many members are alive.
    pub fn alive(&self) -> usize {
        self.members.iter().filter(|member| member.state == Health::Alive).count()
    }

    /// Of what one peer sees, and what all of them are bringing to owners.
    pub fn of(status: &Status, moving: Option<&MeshMoving>) -> Self {
        let machine = status.members.iter().find(|member| member.is_self).map(|member| member.info.machine);
        Self {
            mesh: status.mesh.map(|mesh| mesh.to_string()),
            members: status.members.iter().map(|member| member_view(member, machine)).collect(),
            layout: status.layout.as_ref().map(LayoutView::from),
            notices: status.notices.clone(),
            chunks: status.chunks,
            chunk_bytes: status.chunk_bytes,
            disk_free_bytes: status.disk_free_bytes,
            moving: moving.map(MeshMovingView::from),
            moving_here: status.moving.as_ref().map(MovingView::from),
            secret_generation: status.secret_generation,
            secret_changing: status.secret_changing,
        }
    }
}

fn member_view(member: &MemberStatus, machine: Option<u64>) -> MemberView {
    let info = &member.info;
    MemberView {
        id: member.id.to_string(),
        name: info.name.clone(),
        state: member.health,
        zone: info.zone.clone(),
        weight: info.weight,
        addresses: info.addresses.clone(),
        version: info.version.clone(),
        is_self: member.is_self,
        in_layout: member.in_layout,
        share: f64::from(member.share_ppm) / 1e6,
        since_seconds: member.since_ms as f64 / 1e3,
        pid: (Some(info.machine) == machine).then_some(info.pid),
        gateway: info.gateway.clone(),
    }
}

impl From<&Layout> for LayoutView {
    fn from(layout: &Layout) -> Self {
        Self {
            version: layout.version,
            joint: layout.is_joint(),
            replicas: layout.replicas,
            members: layout
                .members
                .iter()
                .map(|member| LayoutMemberView {
                    id: member.id.to_string(),
                    name: member.name.clone(),
                    zone: member.zone.clone(),
                    weight: member.weight,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{Moving, PeerId, PeerInfo};

    fn member(byte: u8, machine: u64, is_self: bool) -> MemberStatus {
        let id = PeerId::from_bytes([byte; 32]);
        let info = PeerInfo {
            id,
            name: format!("peer-{byte}"),
            zone: "z".into(),
            weight: 100,
            addresses: vec!["10.0.0.1:7400".into()],
            version: "0".into(),
            incarnation: 1,
            machine,
            pid: 40 + u32::from(byte),
            gateway: None,
            leaves: false,
            revision: 0,
            slots: 4,
            mesh: None,
            replicas: None,
        };
        MemberStatus { id, info, health: Health::Alive, in_layout: true, share_ppm: 250_000, since_ms: 1_500, is_self }
    }

    fn status() -> Status {
        Status {
            mesh: None,
            members: vec![member(1, 7, true), member(2, 7, false), member(3, 8, false)],
            layout: None,
            notices: vec![],
            chunks: 0,
            chunk_bytes: 0,
            disk_free_bytes: 0,
            moving: None,
            secret_generation: 0,
            secret_changing: false,
        }
    }

    #[test]
    fn a_pid_is_told_only_of_peers_on_the_same_machine() {
        let view = StatusView::of(&status(), None);
        assert_eq!(view.members.iter().map(|m| m.pid).collect::<Vec<_>>(), [Some(41), Some(42), None]);
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["members"][0]["self"], true);
        assert_eq!(json["members"][1]["state"], "alive");
        assert_eq!((&json["members"][1]["share"], &json["members"][1]["since_seconds"]), (&0.25.into(), &1.5.into()));
    }

    #[test]
    fn what_moves_is_told_in_the_same_words_for_the_mesh_and_for_one_peer() {
        let here = Moving { copies_brought: 2, bytes_brought: 20, since_ms: 1_500, ..Moving::default() };
        let mesh = MeshMoving { silent: 1, ..MeshMoving::default().with(Some(here)).with(Some(here)) };
        let view = StatusView::of(&Status { moving: Some(here), ..status() }, Some(&mesh));
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!((&json["moving"]["copies_brought"], &json["moving"]["peers"]), (&4.into(), &2.into()));
        assert_eq!((&json["moving_here"]["copies_brought"], &json["moving"]["silent"]), (&2.into(), &1.into()));
        assert_eq!(
            (&json["moving_here"]["since_seconds"], &json["moving"]["bytes_brought"]),
            (&1.5.into(), &40.into())
        );
        assert_eq!(serde_json::from_value::<StatusView>(json).unwrap(), view);
    }
}
