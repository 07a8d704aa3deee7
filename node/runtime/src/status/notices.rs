//! What is wrong or under way, in words, most urgent first.

use std::collections::BTreeSet;

use shoal_types::{DiskState, Error, Health, MemberStatus, PeerId};

use crate::context::{Context, lock};

pub(super) fn notices(
    context: &Context,
    members: &[MemberStatus],
    unlinked: &BTreeSet<PeerId>,
    refusals: Vec<(String, String)>,
    disk: &DiskState,
) -> Vec<String> {
    let delay = context.config.timing.repair_delay.as_secs();
    let replicas = context.layout().map_or(0, |layout| layout.replicas as usize);
    let mut notices: Vec<String> = of_disk(disk).into_iter().collect();
    let mute = context.acks.silent(context.ports.clock.now()).into_keys().collect();
    notices.extend(of_members(members, &Unreached { unlinked, mute: &mute }, replicas, delay));
    notices.extend(of_layout(context, members));
    if context.secrets.look(|secrets| secrets.previous.is_some()) {
        notices
            .push("the secret is being changed: the one before admits too until all members know the new one".into());
    }
    notices.extend(of_strangers(context));
    notices.extend(refusals.into_iter().map(|(address, why)| format!("no link to {address}: {why}")));
    notices
}

/// What is wrong with this peer's disk, and what to do.
fn of_disk(disk: &DiskState) -> Option<String> {
    match disk {
        DiskState::Fine => None,
        DiskState::Full { free_bytes, needed_bytes } => Some(format!(
            "the disk of this peer is full ({free_bytes} bytes free, {needed_bytes} needed): it takes no new chunks; \
             make room on it, or add a peer"
        )),
        DiskState::FullForNames { free_bytes, needed_bytes } => Some(format!(
            "the disk of this peer is too full even for names ({free_bytes} bytes free, {needed_bytes} needed): nothing \
             is written to it; make room on it"
        )),
        DiskState::Failed { why } => Some(format!(
            "the disk of this peer failed ({why}): nothing is written to it any more; replace it, then restart this peer"
        )),
        DiskState::Gone { why } => Some(format!("the data directory of this peer is gone ({why}): the peer stops")),
    }
}

/// Who is alive, and yet not of much use.
struct Unreached<'a> {
    /// Without a link to this peer.
    unlinked: &'a BTreeSet<PeerId>,
    /// Does not acknowledge copies.
    mute: &'a BTreeSet<PeerId>,
}

/// Who of the layout is missing, and what comes of it: others take the place
/// of one that is dead where enough are left, `replicas` at least, and more
/// than half of all.
fn of_members(members: &[MemberStatus], unreached: &Unreached<'_>, replicas: usize, delay_secs: u64) -> Vec<String> {
    let belonging: Vec<&MemberStatus> = members.iter().filter(|member| member.in_layout).collect();
    let alive: Vec<_> = belonging.iter().filter(|member| member.health == Health::Alive).collect();
    let keeping = alive.iter().filter(|member| member.info.weight > 0).count();
    let (all, alive) = (belonging.len(), alive.len());
    let decides = alive * 2 > all;
    let mut notices = Vec::new();
    if !decides && all > 0 {
        notices.push(format!(
            "{alive} of {all} members are alive, too few to decide: names are not changed, nor the members, until \
             more than half are there again"
        ));
    }
    let copies = match keeping >= replicas {
        true => "others make copies in its place",
        false => "nobody is left to make the copies that it has",
    };
    for member in belonging {
        let name = &member.info.name;
        match member.health {
            Health::Dead if !decides => notices.push(format!("{name} is dead")),
            Health::Dead => notices.push(format!(
                "{name} is dead; {copies}, and the layout goes on without it once it has been dead for {delay_secs} s"
            )),
            Health::Leaving if member.info.leaves => {
                notices.push(format!("{name} is leaving: it goes once others keep what it holds"));
            }
            Health::Leaving if !decides => notices.push(format!("{name} has stopped")),
            Health::Leaving => {
                notices.push(format!("{name} has stopped; {copies}, and the layout waits for it for {delay_secs} s"))
            }
            Health::Suspected => notices.push(format!("{name} does not answer")),
            Health::Alive if alive > 2 && unreached.unlinked.contains(&member.id) => notices.push(format!(
                "there is no link to {name}, which is alive for others: no change of members comes to its end \
                 without; see whether one of the two can be reached at its addresses (shoal doctor)"
            )),
            Health::Alive if unreached.mute.contains(&member.id) => notices.push(format!(
                "{name} does not acknowledge the copies that are put: others take them where there are others, and it \
                 is tried again now and then; see whether its disk hangs"
            )),
            Health::Alive => {}
        }
    }
    notices
}

/// Which layout this peer looks for, or what the one in force waits for.
fn of_layout(context: &Context, members: &[MemberStatus]) -> Option<String> {
    let Some(layout) = context.layout() else {
        let join = &context.config.join;
        return Some(match join.is_empty() {
            true => "this peer is looking for its mesh".into(),
            false => format!("this peer is looking for its mesh at {}", join.join(", ")),
        });
    };
    if !layout.is_joint() {
        return None;
    }
    let held_up = lock(&context.held_up).clone().filter(|(of, _)| *of == layout.id());
    let waits = held_up.and_then(|(_, why)| waits(&why, members)).unwrap_or_default();
    Some(format!("layout {} is being taken up: data is moving to its new owners{waits}", layout.version))
}

/// For whom a joint layout waits, where that is more than a matter of time.
fn waits(why: &Error, members: &[MemberStatus]) -> Option<String> {
    let name = |peer: &PeerId| {
        let member = members.iter().find(|member| member.id == *peer);
        member.map_or_else(|| peer.short(), |member| member.info.name.clone())
    };
    match why {
        Error::DiskFull { peer, .. } => {
            let name = name(peer);
            Some(format!(
                "; the disk of {name} has no room for its share: make some, give it less (shoal weight), or let it \
                 go again (shoal leave {name})"
            ))
        }
        Error::DiskFailed { peer, .. } => {
            let name = name(peer);
            Some(format!("; the disk of {name} failed: replace it, or let it go (shoal leave {name})"))
        }
        Error::NoQuorum { .. } => Some("; too many members are away for those before to be let go".into()),
        _ => None,
    }
}

fn of_strangers(context: &Context) -> Option<String> {
    let met = context.stranger()?;
    let (mesh, replicas) = (met.theirs.mesh.short(), met.theirs.replicas);
    let ours = context.layout().map(|layout| layout.replicas).filter(|ours| *ours != replicas);
    Some(match (met.stay_apart, ours) {
        (true, Some(ours)) => format!(
            "another mesh ({mesh}) with the same secret is reachable, which keeps {replicas} copies of each chunk, \
             and this one {ours}: both hold data, or were started with --replicas, and they stay apart; copy the data \
             of one over, and start its peers with empty directories and without --replicas"
        ),
        (true, None) => format!(
            "another mesh ({mesh}) with the same secret is reachable, and both hold data: they stay apart; \
             copy the data of one over, and start its peers with empty directories"
        ),
        (false, _) => {
            format!("another mesh ({mesh}) with the same secret has been met: one that holds no data joins the other")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::info;

    fn member(n: u8, health: Health) -> MemberStatus {
        let info = info(n);
        MemberStatus { id: info.id, in_layout: true, share_ppm: 0, is_self: n == 1, health, info, since_ms: 0 }
    }

    fn told(health: &[Health], replicas: usize) -> Vec<String> {
        let members: Vec<MemberStatus> = (1u8..).zip(health).map(|(n, health)| member(n, *health)).collect();
        let one = |at: usize| members.get(at).map(|member| member.id).into_iter().collect();
        of_members(&members, &Unreached { unlinked: &one(1), mute: &one(2) }, replicas, 60)
    }

    #[test]
    fn what_comes_of_a_death_depends_on_who_is_left() {
        use Health::{Alive, Dead, Leaving};
        let made = told(&[Alive, Dead, Leaving, Alive, Alive, Alive], 3);
        assert!(made.iter().all(|one| one.contains("others make copies") && one.contains("60 s")), "{made:?}");
        let none = told(&[Alive, Dead, Alive], 3);
        assert!(none[0].contains("nobody is left") && none[0].contains("60 s"), "{none:?}");
        assert!(none[1].contains("does not acknowledge"), "{none:?}");
        let few = told(&[Alive, Dead, Leaving], 3);
        assert!(few[0].starts_with("1 of 3 members are alive, too few"), "{few:?}");
        assert_eq!(few[1..].iter().filter(|told| told.contains("copies") || told.contains("60 s")).count(), 0);
        assert_eq!(few.len(), 3);
        assert!(told(&[Alive, Alive, Alive], 3)[0].contains("no link"), "others see it");
        assert_eq!(told(&[Alive, Alive], 2), Vec::<String>::new(), "there are no others");
    }

    #[test]
    fn a_layout_that_waits_for_a_disk_says_whose_it_is() {
        let members = [member(1, Health::Alive), member(2, Health::Alive)];
        let full = Error::DiskFull { peer: members[1].id, free_bytes: 1, needed_bytes: 2 };
        let name = &members[1].info.name;
        assert!(waits(&full, &members).unwrap().contains(&format!("shoal leave {name}")));
        let unready = Error::NotReady { peer: members[1].id, why: String::new() };
        assert_eq!(waits(&unready, &members), None);
    }
}
