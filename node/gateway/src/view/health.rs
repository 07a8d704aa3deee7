use serde::{Deserialize, Serialize};
use shoal_runtime::{Checkup, MemberCheck};
use shoal_types::{DiskState, Health, LastScrub, ObjectName};

use super::MeshMovingView;

/// Reasons that peers give are cut off after so many characters.
const WHY_CHARS_MAX: usize = 300;

/// How far a look at the mesh is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthProgressView {
    pub names: u64,
    pub chunks: u64,
}

/// Whether everything is at full replication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthView {
    /// All copies are there, on members that are there and whose disks work.
    pub full: bool,
    /// Whether only peers' own counts were asked for: names, chunks and copies
    /// are 0 then, and what is lost is unknown.
    pub quick: bool,
    /// Copies that each chunk is to have.
    pub replicas: u64,
    pub names: u64,
    pub object_bytes: u64,
    /// What names stood for before, and can still be read.
    #[serde(default)]
    pub versions: u64,
    /// Chunks that names refer to; `exact` is false where one of several names
    /// may be counted twice.
    pub chunks: u64,
    pub exact: bool,
    pub copies: u64,
    pub copies_missing: u64,
    pub bytes_missing: u64,
    /// Chunks that no member which answers has, the objects that need them,
    /// and the names of the first hundred.
    pub chunks_lost: u64,
    pub objects_lost: u64,
    pub lost: Vec<String>,
    /// Whether data is on its way from the members of an older layout.
    pub joint: bool,
    pub moving: Option<MeshMovingView>,
    pub members: Vec<MemberHealthView>,
}

/// How a member is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberHealthView {
    pub id: String,
    pub name: String,
    pub state: Health,
    /// It is dead or suspected, or does not say how it is.
    pub away: bool,
    /// Copies that belong there and are nowhere.
    pub copies_missing: u64,
    pub bytes_missing: u64,
    /// The rest is `null` for one that is away.
    #[serde(flatten)]
    pub condition: ConditionView,
}

/// What a member says of its disk.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConditionView {
    pub disk: Option<DiskView>,
    /// Why it is not fine.
    pub disk_why: Option<String>,
    pub chunks: Option<u64>,
    pub chunk_bytes: Option<u64>,
    pub free_bytes: Option<u64>,
    /// Copies found bad since it started, by whoever read them.
    pub bad_copies: Option<u64>,
    /// The last time that it read all of its copies.
    pub last_scrub: Option<LastScrubView>,
}

/// Whether a disk takes new data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskView {
    Fine,
    Full,
    Failed,
    Gone,
    /// It takes neither chunks nor names.
    #[serde(rename = "full-for-names")]
    FullForNames,
}

impl DiskView {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Full => "full",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::FullForNames => "full-for-names",
        }
    }
}

/// A scrub of all copies that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastScrubView {
    pub ended_ms: u64,
    pub copies: u64,
    pub bytes: u64,
    pub bad: u64,
    pub mended: u64,
}

impl From<&Checkup> for HealthView {
    fn from(checkup: &Checkup) -> Self {
        Self {
            full: checkup.is_full(),
            quick: checkup.is_quick,
            replicas: checkup.wanted,
            names: checkup.names,
            object_bytes: checkup.object_bytes,
            versions: checkup.versions,
            chunks: checkup.chunks,
            exact: checkup.is_exact,
            copies: checkup.copies,
            copies_missing: checkup.copies_missing,
            bytes_missing: checkup.bytes_missing,
            chunks_lost: checkup.chunks_lost,
            objects_lost: checkup.objects_lost,
            lost: checkup.lost.iter().map(ObjectName::to_string).collect(),
            joint: checkup.is_joint,
            moving: checkup.moving.as_ref().map(MeshMovingView::from),
            members: checkup.members.iter().map(MemberHealthView::from).collect(),
        }
    }
}

impl From<&MemberCheck> for MemberHealthView {
    fn from(member: &MemberCheck) -> Self {
        let condition = member.condition.as_ref().map_or_else(ConditionView::default, |said| {
            let (disk, why) = disk(&said.disk);
            ConditionView {
                disk: Some(disk),
                disk_why: why.map(|why| why.chars().take(WHY_CHARS_MAX).collect()),
                chunks: Some(said.chunks),
                chunk_bytes: Some(said.chunk_bytes),
                free_bytes: Some(said.free_bytes),
                bad_copies: Some(said.bad_copies),
                last_scrub: said.last_scrub.map(LastScrubView::from),
            }
        });
        Self {
            id: member.id.to_string(),
            name: member.name.clone(),
            state: member.health,
            away: member.is_away(),
            copies_missing: member.copies_missing,
            bytes_missing: member.bytes_missing,
            condition,
        }
    }
}

fn disk(state: &DiskState) -> (DiskView, Option<String>) {
    let lacks = |free_bytes, needed_bytes| Some(format!("{free_bytes} bytes free, {needed_bytes} needed"));
    match state {
        DiskState::Fine => (DiskView::Fine, None),
        DiskState::Full { free_bytes, needed_bytes } => (DiskView::Full, lacks(free_bytes, needed_bytes)),
        DiskState::FullForNames { free_bytes, needed_bytes } => {
            (DiskView::FullForNames, lacks(free_bytes, needed_bytes))
        }
        DiskState::Failed { why } => (DiskView::Failed, Some(why.clone())),
        DiskState::Gone { why } => (DiskView::Gone, Some(why.clone())),
    }
}

impl From<LastScrub> for LastScrubView {
    fn from(last: LastScrub) -> Self {
        let LastScrub { ended_ms, copies, bytes, bad, mended } = last;
        Self { ended_ms, copies, bytes, bad, mended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{PeerCondition, PeerId};

    #[test]
    fn what_a_member_says_reads_back_and_one_that_is_away_says_nothing() {
        let member = |n: u8, condition| MemberCheck {
            id: PeerId::from_bytes([n; 32]),
            name: format!("peer-{n}"),
            health: if n == 1 { Health::Alive } else { Health::Dead },
            condition,
            copies_missing: 3,
            bytes_missing: 30,
        };
        let failed = DiskState::Failed { why: "x".repeat(WHY_CHARS_MAX + 1) };
        let said = PeerCondition { disk: failed, chunks: 7, ..PeerCondition::default() };
        let members = vec![member(1, Some(said)), member(2, None)];
        let view = HealthView::from(&Checkup { members, copies_missing: 6, ..Checkup::default() });
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!((&json["full"], &json["members"][0]["disk"]), (&false.into(), &"failed".into()));
        assert_eq!(json["members"][0]["disk_why"].as_str().unwrap().len(), WHY_CHARS_MAX);
        assert_eq!((&json["members"][1]["away"], &json["members"][1]["disk"]), (&true.into(), &().into()));
        assert_eq!(serde_json::from_value::<HealthView>(json).unwrap(), view);
    }
}
