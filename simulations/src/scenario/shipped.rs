//! The scenarios that come with the simulator.

use super::Scenario;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*];
    };
}

shipped!(
    "quiet",
    "churn",
    "swarm",
    "spot",
    "capacity",
    "partition",
    "zone-loss",
    "power-cut",
    "slow-disk",
    "disks",
    "join-storm",
);

impl Scenario {
    /// The shipped scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::parse(Self::text(name)?).ok()
    }

    /// Its TOML text, comments and all, to start one's own from.
    pub fn text(name: &str) -> Option<&'static str> {
        SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
    }

    /// The shipped scenarios: their names, and what each shows in a line.
    pub fn names() -> Vec<(&'static str, String)> {
        SHIPPED
            .iter()
            .map(|(name, _)| (*name, Self::named(name).map(|shipped| shipped.title).unwrap_or_default()))
            .collect()
    }
}
