//! Peers that change one register at the same time go one after the other.
//!
//! Two proposals that run at the same time refuse each other's ballots, and
//! whoever is refused waits longer and longer while others, who were not, go
//! on: with several busy peers some wait for seconds. So whoever was refused
//! queues up for a turn at one of the acceptors, the first one that is alive,
//! and proposes when its turn has come; and does so from the beginning for as
//! long as it meets others there. Who changes what nobody else does never
//! asks; nor does a change that depends on what was read before, as that is
//! another by the time that its turn comes. Where such changes queued up, of
//! three peers the one nearest to the queue made all of them: whenever it was
//! somebody else's turn, that had read what was there before the last one.
//!
//! Nothing is safe by this: ballots decide. A turn is a hint, bounded in time;
//! where nobody gives one, back-off is left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use shoal_ports::{Flow, FlowReader, FlowWriter};
use shoal_types::{Error, FlowHeader, PeerId, RegisterKey, RegisterTurn, Result, wire};
use tokio::sync::Mutex as AsyncMutex;

use super::drive;
use crate::context::{Context, lock};

/// Whoever has not ended its turn by then has it no more.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// Whoever keeps the queue says so often that it does to those who wait.
const WORD: Duration = Duration::from_millis(500);

/// Whoever says nothing for so long does not keep it any more.
const WORD_MAX: Duration = Duration::from_secs(1);

/// For so long it is not asked again.
const SILENT: Duration = Duration::from_secs(5);

/// For so long after it was met a register counts as one that others change.
const CROWDED: Duration = Duration::from_secs(2);

/// Registers of which a peer remembers that.
const REMEMBERED_MAX: usize = 4_096;

/// Places in queues that a peer keeps, of all peers and of each; and turns that
/// it asks of others at a time. Each is a flow.
const PLACES_MAX: usize = 512;
const PLACES_OF_ONE_MAX: usize = 32;
const ASKED_MAX: usize = 32;

/// The queues that this peer keeps for others, and where it queues up itself.
#[derive(Default)]
pub(crate) struct Queues(Mutex<State>);

#[derive(Default)]
struct State {
    kept: BTreeMap<RegisterKey, Queue>,
    /// How many places in them each peer has.
    places: BTreeMap<PeerId, usize>,
    /// Until when a register counts as crowded, by the monotonic clock.
    crowded: BTreeMap<RegisterKey, Duration>,
    /// Who said nothing, until when it is not asked.
    silent: BTreeMap<PeerId, Duration>,
    /// Turns asked of others now.
    asked: usize,
}

#[derive(Default)]
struct Queue {
    places: usize,
    /// Whoever has it has the turn; first come, first served.
    turn: Arc<AsyncMutex<()>>,
}

/// A turn; over when it is dropped, or after [`TURN`].
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held")] Held);

#[expect(dead_code, reason = "they are held")]
enum Held {
    Here(oneshot::Sender<()>),
    /// The queue is kept by another: it sees the flow end.
    There(Box<dyn FlowWriter>, Box<dyn FlowReader>, Asked),
}

/// A place in a queue that is kept here. The last one to leave removes it.
struct Place {
    context: Arc<Context>,
    key: RegisterKey,
    of: PeerId,
    turn: Arc<AsyncMutex<()>>,
}

impl Place {
    fn new(context: &Arc<Context>, key: &RegisterKey, of: PeerId) -> Result<Self> {
        let mut state = lock(&context.queues.0);
        let (all, of_one) = (state.places.values().sum::<usize>(), state.places.get(&of).copied().unwrap_or_default());
        if all >= PLACES_MAX || of_one >= PLACES_OF_ONE_MAX {
            return Err(Error::Busy { peer: context.me, retry_after_ms: 100 });
        }
        *state.places.entry(of).or_default() += 1;
        let queue = state.kept.entry(key.clone()).or_default();
        queue.places += 1;
        Ok(Self { context: context.clone(), key: key.clone(), of, turn: queue.turn.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let state = &mut *lock(&self.context.queues.0);
        if let Some(queue) = state.kept.get_mut(&self.key) {
            queue.places -= 1;
            if queue.places == 0 {
                state.kept.remove(&self.key);
            }
        }
        if let Some(places) = state.places.get_mut(&self.of) {
            *places -= 1;
            if *places == 0 {
                state.places.remove(&self.of);
            }
        }
    }
}

/// One of [`ASKED_MAX`].
struct Asked(Arc<Context>);

impl Asked {
    fn new(context: &Arc<Context>) -> Option<Self> {
        let mut state = lock(&context.queues.0);
        let has_room = state.asked < ASKED_MAX;
        state.asked += usize::from(has_room);
        has_room.then(|| Self(context.clone()))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        lock(&self.0.queues.0).asked -= 1;
    }
}

/// Notes that others change a register now.
pub(crate) fn note_crowded(context: &Context, key: &RegisterKey) {
    let (mut state, now) = (lock(&context.queues.0), context.ports.clock.now());
    if !state.crowded.contains_key(key) && state.crowded.len() >= REMEMBERED_MAX {
        state.crowded.retain(|_, until| now < *until);
        if state.crowded.len() >= REMEMBERED_MAX {
            return;
        }
    }
    state.crowded.insert(key.clone(), now + CROWDED);
}

fn is_crowded(context: &Context, key: &RegisterKey) -> bool {
    lock(&context.queues.0).crowded.get(key).is_some_and(|until| context.ports.clock.now() < *until)
}

/// A turn at a register where others were met lately. `None` where nobody was,
/// or nobody gives one in time, a quarter of what an operation may take.
pub(crate) async fn if_crowded(context: &Arc<Context>, key: &RegisterKey) -> Option<Turn> {
    if is_crowded(context, key) { wait(context, key).await } else { None }
}

/// The same for one that was refused: others are there.
pub(super) async fn among_others(context: &Arc<Context>, key: &RegisterKey) -> Option<Turn> {
    note_crowded(context, key);
    wait(context, key).await
}

async fn wait(context: &Arc<Context>, key: &RegisterKey) -> Option<Turn> {
    let turn = context.timeout("a turn", drive::limit(context) / 4, take(context, key)).await;
    turn.inspect_err(|error| {
        tracing::debug!(%error, %key, "no turn at a register");
        // The next one does not wait in vain as well.
        lock(&context.queues.0).crowded.remove(key);
    })
    .ok()
}

/// At the first acceptor that answers.
async fn take(context: &Arc<Context>, key: &RegisterKey) -> Result<Turn> {
    loop {
        let keeper = keeper(context, key)?;
        let taken = if keeper == context.me { here(context, key).await } else { there(context, keeper, key).await };
        match taken {
            Err(error) if is_silent(context, keeper) => tracing::debug!(%error, %key, "another one keeps the queue"),
            taken => return taken,
        }
    }
}

async fn here(context: &Arc<Context>, key: &RegisterKey) -> Result<Turn> {
    let place = Place::new(context, key, context.me)?;
    let turn = match place.turn.clone().try_lock_owned() {
        Ok(turn) => turn,
        Err(_) => {
            note_crowded(context, key);
            place.turn.clone().lock_owned().await
        }
    };
    let (ends, ended) = oneshot::channel();
    let keeper = context.clone();
    context.spawn("a turn", async move {
        let _held = (turn, place);
        let _ = keeper.timeout("a turn", TURN, async { Ok(ended.await) }).await;
    });
    Ok(Turn(Held::Here(ends)))
}

async fn there(context: &Arc<Context>, keeper: PeerId, key: &RegisterKey) -> Result<Turn> {
    let busy = || Error::Busy { peer: context.me, retry_after_ms: 100 };
    let asked = Asked::new(context).ok_or_else(busy)?;
    let heard = async {
        let header = wire::encode(&FlowHeader::RegisterTurn { key: key.clone() })?;
        let flow = context.timeout("a place in a queue", WORD_MAX, context.ports.transport.open(keeper, header));
        let Flow { writer, mut reader } = flow.await?;
        while context.timeout("a turn", WORD_MAX, word(context, &mut reader)).await? == RegisterTurn::Waits {
            note_crowded(context, key);
        }
        Ok((writer, reader))
    };
    let heard = heard.await;
    if let Err(Error::Timeout { .. } | Error::Unreachable { .. }) = heard {
        let (mut state, now) = (lock(&context.queues.0), context.ports.clock.now());
        state.silent.retain(|_, until| now < *until);
        state.silent.insert(keeper, now + SILENT);
    }
    let (writer, reader) = heard?;
    Ok(Turn(Held::There(writer, reader, asked)))
}

async fn word(context: &Context, reader: &mut Box<dyn FlowReader>) -> Result<RegisterTurn> {
    let frame = reader.next().await?.ok_or_else(|| context.unexpected("a turn"))?;
    wire::decode::<Result<RegisterTurn>>(&frame)?
}

fn is_silent(context: &Context, peer: PeerId) -> bool {
    lock(&context.queues.0).silent.get(&peer).is_some_and(|until| context.ports.clock.now() < *until)
}

/// Who keeps the queue: for all peers the same, as long as they see the same
/// members and hear of that one.
fn keeper(context: &Context, key: &RegisterKey) -> Result<PeerId> {
    let placed_by = key.placed_by().ok_or_else(|| Error::bug("nobody queues up for a layout"))?;
    let acceptors = context.require_layout()?.acceptors(placed_by).current;
    let live = acceptors.into_iter().find(|peer| context.is_live(*peer) && !is_silent(context, *peer));
    live.ok_or_else(|| Error::NoQuorum { what: format!("'{key}'"), answered: 0, needed: 1 })
}

/// Gives a peer its turn, and waits for its end.
pub(crate) async fn serve(context: &Arc<Context>, from: PeerId, key: RegisterKey, flow: Flow) -> Result<()> {
    let Flow { mut writer, mut reader } = flow;
    let nobodys = || Error::BadFrame { what: format!("a turn at {key}") };
    let place = match key.placed_by().ok_or_else(nobodys).and_then(|_| Place::new(context, &key, from)) {
        Ok(place) => place,
        Err(error) => return crate::serve::refuse(writer, error).await,
    };
    let mut ended = reader.next();
    let _turn = match place.turn.clone().try_lock_owned() {
        Ok(turn) => turn,
        Err(_) => {
            let mut turn = std::pin::pin!(place.turn.clone().lock_owned());
            loop {
                context.timeout("saying that one waits", WORD, say(&mut writer, RegisterTurn::Waits)).await?;
                let next = select(&mut turn, context.ports.clock.sleep(WORD));
                match select(next, ended).await {
                    Either::Left((Either::Left((turn, _)), waiting)) => {
                        ended = waiting;
                        break turn;
                    }
                    Either::Left((Either::Right(_), waiting)) => ended = waiting,
                    // Whoever gives up waiting is in nobody's way.
                    Either::Right(_) => return Ok(()),
                }
            }
        }
    };
    let all_of_it = async {
        say(&mut writer, RegisterTurn::Begins).await?;
        ended.await
    };
    // However it ends: done, gone, or too slow.
    let _ = context.timeout("a turn", TURN, all_of_it).await;
    Ok(())
}

async fn say(writer: &mut Box<dyn FlowWriter>, said: RegisterTurn) -> Result<()> {
    writer.send(wire::encode(&Ok::<_, Error>(said))?).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::ports::Network;
    use crate::tests::{config, ports};

    #[tokio::test]
    async fn a_queue_is_there_for_as_long_as_somebody_is_in_it() {
        let config = config();
        let network = Arc::new(Network::new(config.info.id, tokio::sync::mpsc::channel(1).0));
        let context = Context::new(config, ports(network));
        let (key, other) = (RegisterKey::Object("b/k".parse().unwrap()), PeerId::from_bytes([1; 32]));
        let kept = || {
            let state = lock(&context.queues.0);
            (state.kept.len(), state.places.len())
        };
        let first = Place::new(&context, &key, context.me).unwrap();
        let turn = first.turn.clone().try_lock_owned().unwrap();
        let second = Place::new(&context, &key, other).unwrap();
        assert!(second.turn.clone().try_lock_owned().is_err(), "it is the first one's turn");
        assert_eq!(kept(), (1, 2));
        drop((turn, first));
        assert!(second.turn.clone().try_lock_owned().is_ok());
        let all: Vec<Place> = (1..PLACES_OF_ONE_MAX).map(|_| Place::new(&context, &key, other).unwrap()).collect();
        assert!(matches!(Place::new(&context, &key, other), Err(Error::Busy { .. })), "one peer takes not all of it");
        drop((second, all));
        assert_eq!(kept(), (0, 0));
    }
}
