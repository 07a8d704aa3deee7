use std::collections::BTreeMap;

use shoal_types::Member;

/// How many of the `replicas` owners of any one key `is_one` may hold of, at
/// the most: while there are zones enough, owners are in distinct ones, so of
/// all that a zone has only one counts. Costs about as much as finding owners.
pub fn most_owners_among<'a>(
    members: impl IntoIterator<Item = &'a Member>,
    replicas: usize,
    is_one: impl Fn(&Member) -> bool,
) -> usize {
    // Whether it holds of any there.
    let mut zones: BTreeMap<&str, bool> = BTreeMap::new();
    let mut count = 0;
    for member in members.into_iter().filter(|member| member.weight > 0) {
        let is_one = is_one(member);
        count += usize::from(is_one);
        *zones.entry(&member.zone).or_default() |= is_one;
    }
    let affected = zones.values().filter(|affected| **affected).count();
    let others = zones.len() - affected;
    match zones.len() >= replicas {
        true => affected.min(replicas).min(count),
        // Each zone has one of the owners, the rest may be anywhere.
        false => (replicas - others).min(count),
    }
}

#[cfg(test)]
mod tests {
    use shoal_types::PeerId;

    use super::*;
    use crate::{PlacementKey, owners};

    #[test]
    fn no_key_has_more_and_some_key_has_as_many() {
        let weights: &[&[u32]] = &[&[1], &[100, 0], &[1, 5, 30]];
        for zones in [1u8, 2, 4, 5, 7, 20] {
            for weights in weights {
                let members: Vec<Member> = (0..20u8)
                    .map(|n| Member {
                        id: PeerId::from_bytes(*blake3::hash(&[n]).as_bytes()),
                        name: String::new(),
                        zone: format!("zone-{}", n % zones),
                        weight: weights[usize::from(n / zones) % weights.len()],
                        revision: 0,
                        since: 0,
                    })
                    .collect();
                for away in [&[][..], &[3], &[0, 7], &[0, 1, 2, 3], &[0, 5, 10, 15], &[1, 2, 6, 7, 11, 12]] {
                    let is_away = |peer| away.iter().any(|n: &usize| members[*n].id == peer);
                    let most = most_owners_among(&members, 5, |member| is_away(member.id));
                    let found = (0..20_000u64)
                        .map(|n| owners(PlacementKey::from_u64(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), &members, 5))
                        .map(|owners| owners.into_iter().filter(|owner| is_away(*owner)).count())
                        .max();
                    assert!(found <= Some(most), "{zones} zones: {found:?} of at most {most}");
                    // Unequal weights make the worst key rare, and zones may hold too few for it.
                    if weights.len() == 1 && zones >= 4 {
                        assert_eq!(found, Some(most), "{zones} zones, {away:?} away");
                    }
                }
            }
        }
    }
}
