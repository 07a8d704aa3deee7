use shoal_types::Member;

use crate::straw::{self, Straw};
use crate::{PlacementKey, first_word};

/// Whether `member` is certainly none of the `replicas` owners of `key` among
/// itself, the `others` and whoever else there may be in one of `zones` zones:
/// enough of the others are better than it is.
///
/// `false` says nothing: ask for the owners. Of many others few are looked
/// at, so that this costs far less, about 100 ns in a mesh of any size.
pub fn is_beyond<'a>(
    key: PlacementKey,
    member: &Member,
    others: impl IntoIterator<Item = &'a Member>,
    zones: usize,
    replicas: usize,
) -> bool {
    if member.weight == 0 || replicas == 0 {
        return true;
    }
    let hash = |member: &Member| straw::hash(key.0, first_word(member.id.as_bytes()));
    let own = hash(member);
    let is_better = |other: &Member| match other.weight {
        0 => false,
        same if same == member.weight => hash(other) > own,
        weight => Straw::new(hash(other), weight) < Straw::new(own, member.weight),
    };
    let (mut better, mut seen) = (0, Vec::with_capacity(zones.min(replicas)));
    for other in others.into_iter().filter(|other| is_better(other)) {
        better += 1;
        if seen.len() < replicas && !seen.contains(&other.zone.as_str()) {
            seen.push(&other.zone);
        }
        // As `owners`: with every zone in, it takes as many as there are replicas.
        if better >= replicas && seen.len() >= zones.min(replicas) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use shoal_types::PeerId;

    use super::*;
    use crate::owners;

    fn member(n: u8, zones: u8, weights: &[u32]) -> Member {
        Member {
            id: PeerId::from_bytes(*blake3::hash(&[n]).as_bytes()),
            name: String::new(),
            zone: format!("zone-{}", n % zones),
            weight: weights[usize::from(n) % weights.len()],
            revision: 0,
            since: 0,
        }
    }

    #[test]
    fn who_is_beyond_owns_nothing_and_most_who_own_nothing_are_found_out() {
        for (zones, weights) in [(1, &[1][..]), (2, &[1]), (5, &[1]), (5, &[100, 200, 0]), (40, &[7])] {
            let members: Vec<Member> = (0..40).map(|n| member(n, zones, weights)).collect();
            let (mut beyond, mut idle) = (0, 0);
            for word in 0..200u64 {
                let key = PlacementKey::from_u64(word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let owners = owners(key, &members, 3);
                for one in &members {
                    let others = members.iter().filter(|other| other.id != one.id);
                    let is_owner = owners.contains(&one.id);
                    idle += usize::from(!is_owner);
                    if is_beyond(key, one, others, usize::from(zones), 3) {
                        beyond += 1;
                        assert!(!is_owner);
                        // The others own it with or without it.
                        let others = members.iter().filter(|other| other.id != one.id);
                        assert_eq!(crate::owners(key, others, 3), owners);
                    }
                }
            }
            assert!(beyond * 10 >= idle * 9, "{beyond} of {idle} with {zones} zones");
        }
    }

    #[test]
    fn too_few_others_prove_nothing() {
        let members: Vec<Member> = (0..3).map(|n| member(n, 3, &[1])).collect();
        for one in &members {
            let others = members.iter().filter(|other| other.id != one.id);
            assert!(!is_beyond(PlacementKey::from_u64(7), one, others, 3, 3));
        }
    }
}
