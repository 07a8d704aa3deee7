use serde::{Deserialize, Deserializer, Serialize, de};

use crate::host::HostId;
use crate::random::Random;
use crate::scenario::Share;

/// Whom a fault strikes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Victims {
    /// So many, at random.
    Count(u32),
    /// That part of them, at random: `"10%"`. At least one, but of 0%.
    Share(Share),
    /// These, by number: `[0, 3]`.
    These(Vec<u32>),
}

impl Victims {
    /// Everyone.
    pub const ALL: Self = Self::Share(Share(1.0));

    /// How many of so many hosts.
    pub(crate) fn count(&self, of: usize) -> usize {
        match self {
            Self::Count(count) => *count as usize,
            Self::Share(share) if share.0 > 0.0 => ((share.0 * of as f64).round() as usize).max(1),
            Self::Share(_) => 0,
            Self::These(numbers) => numbers.len(),
        }
    }

    pub(crate) fn is_random(&self) -> bool {
        !matches!(self, Self::These(_))
    }

    pub(crate) fn choose(&self, of: &[HostId], random: &mut Random) -> Vec<HostId> {
        match self {
            Self::Count(_) | Self::Share(_) => random.sample(of, self.count(of.len())),
            Self::These(numbers) => of.iter().copied().filter(|host| numbers.contains(&host.0)).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Victims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let read = match &value {
            toml::Value::Integer(count) => u32::try_from(*count).ok().map(Self::Count),
            toml::Value::Float(share) if (0.0..=1.0).contains(share) => Some(Self::Share(Share(*share))),
            toml::Value::String(share) => return share.parse().map(Self::Share).map_err(de::Error::custom),
            toml::Value::Array(_) => value.clone().try_into().ok().map(Self::These),
            _ => None,
        };
        read.ok_or_else(|| {
            de::Error::custom(format!(
                "{value} is neither a number of hosts, nor a share as \"10%\", nor a list of them"
            ))
        })
    }
}
