//! The JSON shapes of the gateway and of `--json`: ids as text, states as
//! words, so that people and `jq` can read them.

mod error;
mod examination;
mod health;
mod job;
mod moving;
mod object;
mod scrub;
mod status;

pub use error::{ErrorView, kind};
pub use examination::ExaminationView;
pub use health::{ConditionView, DiskView, HealthProgressView, HealthView, LastScrubView, MemberHealthView};
pub use job::{EventView, JobStateView, JobView, TimedEvent};
pub use moving::{MeshMovingView, MovingView};

pub use object::{BucketView, ChunkView, ManifestView, ObjectPage, ObjectView, StoredView, VersionPage, VersionView};
pub use scrub::{MemberScrubView, ScrubView};
pub use status::{LayoutMemberView, LayoutView, MemberView, StatusView};
