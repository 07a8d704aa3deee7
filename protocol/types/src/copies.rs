use serde::{Deserialize, Serialize};

/// How many copies there are to be of a chunk.
///
/// A chunk that objects of several buckets list is to have the most that any
/// of them wants: so what is once wanted is only ever raised ([`Copies::or`]),
/// until the chunk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Copies(u8);

impl Copies {
    /// As many as everywhere in the mesh.
    pub const DEFAULT: Self = Self(0);
    pub const MAX: u8 = 7;

    /// So many, 1–[`Copies::MAX`]; the default where it is `None`.
    pub fn new(copies: Option<u8>) -> Self {
        copies.map_or(Self::DEFAULT, Self::from)
    }

    /// How many, where all of the mesh has `default`.
    pub fn of(self, default: u32) -> u32 {
        if self == Self::DEFAULT { default } else { u32::from(self.0) }
    }

    /// The more of two, where all of the mesh has `default`.
    #[must_use]
    pub fn or(self, other: Self, default: u32) -> Self {
        if other.of(default) > self.of(default) { other } else { self }
    }

    /// The number, if it is not the default.
    pub fn number(self) -> Option<u8> {
        (self != Self::DEFAULT).then_some(self.0)
    }
}

impl From<u8> for Copies {
    /// What is out of range is the nearest that is not.
    fn from(copies: u8) -> Self {
        Self(copies.min(Self::MAX))
    }
}

impl From<Copies> for u8 {
    fn from(copies: Copies) -> Self {
        copies.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_wishes_the_greater_holds_whatever_the_mesh_has() {
        let [one, two, five] = [1, 2, 5].map(Copies::from);
        assert_eq!((one.or(Copies::DEFAULT, 3), Copies::DEFAULT.or(one, 3)), (Copies::DEFAULT, Copies::DEFAULT));
        assert_eq!((five.or(Copies::DEFAULT, 3), Copies::DEFAULT.or(five, 3)), (five, five));
        assert_eq!((one.or(two, 3), two.or(one, 3)), (two, two));
        assert_eq!((two.or(Copies::DEFAULT, 1), Copies::new(None).of(4)), (two, 4));
        assert_eq!(Copies::from(200).of(3), 7);
    }
}
