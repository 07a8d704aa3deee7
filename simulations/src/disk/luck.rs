use crate::Random;

/// A write reaches the disk in these.
const SECTOR_BYTES: u64 = 512;

/// What becomes of changes that were not synced.
///
/// Each on its own would never show all kept or all lost when there are many,
/// and these are the most likely in practice: so luck has a mood first.
pub(super) struct Luck {
    mood: Mood,
    random: Random,
}

enum Mood {
    AllKept,
    AllLost,
    Each,
}

/// What a choice is for: one fault more or less does not move the others.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Cut,
    Tear,
    FailedSync,
    Rot,
}

impl Purpose {
    /// For the `count`th time on the disk with this seed.
    pub(super) fn random(self, seed: u64, count: u64) -> Random {
        Random::of(seed, &[self as u64, count])
    }
}

/// What becomes of a write.
pub(super) enum Fate {
    Kept,
    /// Only so many of its bytes, up to a sector's bound.
    Torn(usize),
    /// The file is as long as the write makes it, its bytes did not come.
    LengthOnly,
    Lost,
}

impl Luck {
    pub(super) fn new(mut random: Random) -> Self {
        let mood = match random.below(4) {
            0 => Mood::AllKept,
            1 => Mood::AllLost,
            _ => Mood::Each,
        };
        Self { mood, random }
    }

    /// Whether a change of a directory, or of a length, happened.
    pub(super) fn keeps(&mut self) -> bool {
        match self.mood {
            Mood::AllKept => true,
            Mood::AllLost => false,
            Mood::Each => self.coin(),
        }
    }

    pub(super) fn coin(&mut self) -> bool {
        self.random.below(2) == 0
    }

    pub(super) fn fate(&mut self, offset: u64, bytes: usize) -> Fate {
        match self.mood {
            Mood::AllKept => Fate::Kept,
            Mood::AllLost => Fate::Lost,
            Mood::Each => match self.random.below(6) {
                0 | 1 => Fate::Kept,
                2 | 3 => Fate::Torn(self.tear(offset, bytes)),
                4 => Fate::LengthOnly,
                _ => Fate::Lost,
            },
        }
    }

    /// How many bytes of a torn write came.
    pub(super) fn tear(&mut self, offset: u64, bytes: usize) -> usize {
        let first = offset / SECTOR_BYTES;
        let sectors = (offset + bytes as u64).div_ceil(SECTOR_BYTES) - first;
        let end = (first + self.random.below(sectors.max(1))) * SECTOR_BYTES;
        end.saturating_sub(offset) as usize
    }
}
