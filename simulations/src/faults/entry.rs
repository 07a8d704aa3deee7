use serde::{Deserialize, Deserializer, Serialize, de};

use super::{FaultKind, Victims};
use crate::scenario::Span;

/// A scenario's entry: what, to whom, when, how often. Beside these fields it
/// has those of its kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultEntry {
    /// From the start of the run's work.
    pub at: Span,
    /// How long it lasts (`for`). Without it a fault that does not end by
    /// itself lasts for ever, but for those that say otherwise.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    /// Strikes again and again until the end of the run's work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Whom it strikes; one host at random if nothing is said, but for those
    /// that say otherwise.
    pub peers: Victims,
    /// Only hosts of this zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What every entry may have.
const COMMON: &str = "kind, at, for, every, peers, zone";

impl FaultEntry {
    /// Something that goes wrong at the start of the run's work.
    pub fn new(kind: FaultKind) -> Self {
        Self { at: Span::default(), lasts: None, every: None, peers: kind.fault().victims(), zone: None, kind }
    }

    fn read(mut table: toml::Table) -> Result<Self, String> {
        let name: String = take(&mut table, "kind")?
            .ok_or_else(|| format!("a fault has no kind; there are {}", FaultKind::NAMES.join(", ")))?;
        let within = |why: String| format!("fault '{name}': {why}");
        let at = take(&mut table, "at").map_err(within)?.unwrap_or_default();
        let lasts = take(&mut table, "for").map_err(within)?;
        let every = take(&mut table, "every").map_err(within)?;
        let peers = take(&mut table, "peers").map_err(within)?;
        let zone = take(&mut table, "zone").map_err(within)?;
        let kind = FaultKind::read(&name, table).map_err(|why| match why.starts_with("unknown field") {
            true => within(format!("{why}; every fault has {COMMON}")),
            false if FaultKind::NAMES.contains(&name.as_str()) => within(why),
            false => why,
        })?;
        let peers = peers.unwrap_or_else(|| kind.fault().victims());
        Ok(Self { at, lasts, every, peers, zone, kind })
    }
}

/// Takes a field out of a table, if it is there.
fn take<T: de::DeserializeOwned>(table: &mut toml::Table, key: &str) -> Result<Option<T>, String> {
    let Some(value) = table.remove(key) else {
        return Ok(None);
    };
    value.try_into().map(Some).map_err(|error: toml::de::Error| format!("{key}: {}", error.message()))
}

// Not derived: with `flatten` a misspelt field would go unnoticed.
impl<'de> Deserialize<'de> for FaultEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(toml::Table::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
