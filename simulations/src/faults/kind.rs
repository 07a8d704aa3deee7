use serde::Serialize;

use super::{
    Bandwidth, Clock, Crash, Cut, DiskFull, DiskLost, DiskSlow, Duplicate, Fault, Join, Latency, Leave, Loss,
    Partition, Pause, Reclaim, Reorder, Role, Rot, SlowPeer, SyncFails, SyncLies,
};

macro_rules! kinds {
    ($($name:literal => $kind:ident),* $(,)?) => {
        /// Every fault there is.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind")]
        pub enum FaultKind {
            $(#[serde(rename = $name)] $kind($kind),)*
        }

        $(impl From<$kind> for FaultKind {
            fn from(fault: $kind) -> Self {
                Self::$kind(fault)
            }
        })*

        impl FaultKind {
            /// What they are called in a scenario.
            pub const NAMES: &[&str] = &[$($name),*];

            pub(crate) fn fault(&self) -> &dyn Fault {
                match self {
                    $(Self::$kind(fault) => fault,)*
                }
            }

            /// What it is called.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)*
                }
            }

            /// The fault of that name with these fields.
            pub(super) fn read(name: &str, fields: toml::Table) -> Result<Self, String> {
                match name {
                    $($name => fields.try_into().map(Self::$kind).map_err(|error| error.message().to_owned()),)*
                    _ => Err(format!("there is no fault '{name}'; there are {}", Self::NAMES.join(", "))),
                }
            }
        }
    };
}

kinds! {
    "latency" => Latency,
    "loss" => Loss,
    "duplicate" => Duplicate,
    "reorder" => Reorder,
    "bandwidth" => Bandwidth,
    "partition" => Partition,
    "cut" => Cut,
    "slow-peer" => SlowPeer,
    "crash" => Crash,
    "pause" => Pause,
    "clock" => Clock,
    "reclaim" => Reclaim,
    "role" => Role,
    "leave" => Leave,
    "join" => Join,
    "disk-full" => DiskFull,
    "disk-slow" => DiskSlow,
    "sync-fails" => SyncFails,
    "rot" => Rot,
    "disk-lost" => DiskLost,
    "sync-lies" => SyncLies,
}
