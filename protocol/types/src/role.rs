//! What of a peer may be changed while it runs: its part in keeping the data.

use serde::{Deserialize, Serialize};

use crate::{Error, PeerInfo, Result};

/// A change of the part that a peer takes; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleChange {
    /// Peers that may fail together.
    pub zone: Option<String>,
    /// Its share of the data relative to the others'; 0 holds none.
    pub weight: Option<u32>,
    /// Whether it hands its data over and goes.
    pub leaves: Option<bool>,
}

impl RoleChange {
    /// The heaviest that a peer can be.
    pub const WEIGHT_MAX: u32 = 1_000_000;

    /// The longest name of a zone, in bytes.
    pub const ZONE_BYTES_MAX: usize = 128;

    /// Fails when nobody can be that.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a zone without a name or with a strange one, and
    /// for a weight beyond [`RoleChange::WEIGHT_MAX`].
    pub fn check(&self) -> Result<()> {
        if let Some(zone) = &self.zone
            && (zone.is_empty() || zone.len() > Self::ZONE_BYTES_MAX || zone.chars().any(char::is_control))
        {
            return Err(Error::invalid(
                format!("the zone's name has {} bytes", zone.len()),
                "1 to 128 printable characters name a zone, for example rack-2",
            ));
        }
        match self.weight {
            Some(weight) if weight > Self::WEIGHT_MAX => Err(Error::invalid(
                format!("a weight of {weight} is too much"),
                "weights go from 0 (holds no data) to 1000000; 100 is the usual one",
            )),
            _ => Ok(()),
        }
    }

    /// What a peer says of itself after the change: as a later revision, if that is anything else.
    pub fn apply(&self, before: &PeerInfo) -> PeerInfo {
        let mut after = PeerInfo {
            zone: self.zone.clone().unwrap_or_else(|| before.zone.clone()),
            weight: self.weight.unwrap_or(before.weight),
            leaves: self.leaves.unwrap_or(before.leaves),
            ..before.clone()
        };
        after.revision += u64::from(after != *before);
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_be_is_refused_with_a_hint() {
        let zone = |zone: &str| RoleChange { zone: Some(zone.into()), ..RoleChange::default() };
        let weight = |weight| RoleChange { weight: Some(weight), ..RoleChange::default() };
        assert!(zone("rack-2").check().is_ok() && weight(0).check().is_ok() && weight(1_000_000).check().is_ok());
        for bad in [zone(""), zone("a\nb"), zone(&"z".repeat(129)), weight(1_000_001)] {
            let error = bad.check().unwrap_err();
            assert!(!error.hint().is_empty(), "{error}");
        }
    }
}
