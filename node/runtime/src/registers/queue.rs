//! Peers that change one register at the same time go one after the other.
//!
//! Two proposals that run at the same time refuse each other's ballots, and
//! whoever is refused waits longer and longer while others, who were not, go
//! on: with several busy peers some wait for seconds. So whoever was refused
//! queues up for a turn at one of the acceptors, the first one that is alive,
//! and proposes when its turn has come; and does so from the beginning for as
//! long as it meets others there. Who changes what nobody else does never
//! asks.
//!
//! Nothing is safe by this: ballots decide. A turn is a hint, bounded in time;
//! where nobody gives one, back-off is left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{Either, select};
use shoal_ports::{Flow, FlowReader, FlowWriter};
use shoal_types::{Error, FlowHeader, PeerId, RegisterKey, RegisterTurn, Result, wire};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::context::{Context, lock};

/// Whoever has not ended its turn by then has it no more.
const TURN: Duration = Duration::from_secs(1);

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

/// Queues that a peer keeps, and turns that it asks of others at a time: each
/// is a flow.
const QUEUES_MAX: usize = 1_024;
const ASKED_MAX: usize = 32;

/// The queues that this peer keeps for others, and where it queues up itself.
#[derive(Default)]
pub(crate) struct Queues(Mutex<State>);

#[derive(Default)]
struct State {
    kept: BTreeMap<RegisterKey, Arc<AsyncMutex<()>>>,
    /// Until when a register counts as crowded, by the monotonic clock.
    crowded: BTreeMap<RegisterKey, Duration>,
    /// Who said nothing, until when it is not asked.
    silent: BTreeMap<PeerId, Duration>,
    /// Turns asked of others now.
    asked: usize,
}

/// A turn; over when it is dropped.
pub(super) enum Turn {
    Here {
        _turn: OwnedMutexGuard<()>,
        _place: Place,
    },
    /// The queue is kept by another: it sees the flow end.
    There {
        _flow: (Box<dyn FlowWriter>, Box<dyn FlowReader>),
        _asked: Asked,
    },
}

/// A place in a queue that is kept here. The last one to leave removes it.
pub(super) struct Place {
    context: Arc<Context>,
    key: RegisterKey,
    queue: Arc<AsyncMutex<()>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.context.queues.0);
        // The map's, and this one.
        if Arc::strong_count(&self.queue) == 2 {
            state.kept.remove(&self.key);
        }
    }
}

impl Place {
    fn new(context: &Arc<Context>, key: &RegisterKey) -> Result<Self> {
        let mut state = lock(&context.queues.0);
        if state.kept.len() >= QUEUES_MAX && !state.kept.contains_key(key) {
            return Err(Error::Busy { peer: context.me, retry_after_ms: 100 });
        }
        let queue = state.kept.entry(key.clone()).or_default().clone();
        Ok(Self { context: context.clone(), key: key.clone(), queue })
    }
}

/// One of [`ASKED_MAX`].
pub(super) struct Asked(Arc<Context>);

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

/// Whether others were met at a register lately.
pub(super) fn is_crowded(context: &Context, key: &RegisterKey) -> bool {
    lock(&context.queues.0).crowded.get(key).is_some_and(|until| context.ports.clock.now() < *until)
}

/// Notes that others are at a register now.
pub(super) fn note_crowded(context: &Context, key: &RegisterKey) {
    let (mut state, now) = (lock(&context.queues.0), context.ports.clock.now());
    if state.crowded.len() >= REMEMBERED_MAX {
        state.crowded.retain(|_, until| now < *until);
    }
    if state.crowded.len() < REMEMBERED_MAX {
        state.crowded.insert(key.clone(), now + CROWDED);
    }
}

/// Waits for a turn. `None` when nobody gives one in time, half of what an
/// operation may take.
pub(super) async fn wait(context: &Arc<Context>, key: &RegisterKey) -> Option<Turn> {
    let turn = context.timeout("a turn", context.config.timing.name / 2, take(context, key)).await;
    turn.inspect_err(|error| tracing::debug!(%error, %key, "no turn at a register")).ok()
}

/// Like [`wait`], by one that was refused: others are there.
pub(super) async fn wait_among_others(context: &Arc<Context>, key: &RegisterKey) -> Option<Turn> {
    note_crowded(context, key);
    wait(context, key).await
}

/// At the first acceptor that answers.
async fn take(context: &Arc<Context>, key: &RegisterKey) -> Result<Turn> {
    loop {
        let keeper = keeper(context, key)?;
        match take_at(context, keeper, key).await {
            Err(error) if is_silent(context, keeper) => tracing::debug!(%error, %key, "another one keeps the queue"),
            taken => return taken,
        }
    }
}

async fn take_at(context: &Arc<Context>, keeper: PeerId, key: &RegisterKey) -> Result<Turn> {
    if keeper == context.me {
        let place = Place::new(context, key)?;
        let turn = match place.queue.clone().try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => {
                note_crowded(context, key);
                place.queue.clone().lock_owned().await
            }
        };
        return Ok(Turn::Here { _turn: turn, _place: place });
    }
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
        lock(&context.queues.0).silent.insert(keeper, context.ports.clock.now() + SILENT);
    }
    Ok(Turn::There { _flow: heard?, _asked: asked })
}

async fn word(context: &Context, reader: &mut Box<dyn FlowReader>) -> Result<RegisterTurn> {
    let frame = reader.next().await?.ok_or_else(|| context.unexpected("a turn"))?;
    wire::decode::<Result<RegisterTurn>>(&frame)?
}

fn is_silent(context: &Context, peer: PeerId) -> bool {
    lock(&context.queues.0).silent.get(&peer).is_some_and(|until| context.ports.clock.now() < *until)
}

/// Who keeps the queue: for all peers the same, as long as they see the same members.
fn keeper(context: &Context, key: &RegisterKey) -> Result<PeerId> {
    let placed_by = key.placed_by().ok_or_else(|| Error::bug("nobody queues up for a layout"))?;
    let acceptors = context.require_layout()?.acceptors(placed_by).current;
    let live = acceptors.into_iter().find(|peer| context.is_live(*peer) && !is_silent(context, *peer));
    live.ok_or_else(|| Error::NoQuorum { what: format!("'{key}'"), answered: 0, needed: 1 })
}

/// Gives a peer its turn, and waits for its end.
pub(crate) async fn serve(context: &Arc<Context>, key: RegisterKey, flow: Flow) -> Result<()> {
    let Flow { mut writer, mut reader } = flow;
    let place = match Place::new(context, &key) {
        Ok(place) => place,
        Err(error) => return crate::serve::refuse(writer, error).await,
    };
    let mut ended = reader.next();
    let _turn = match place.queue.clone().try_lock_owned() {
        Ok(turn) => turn,
        Err(_) => {
            let mut turn = std::pin::pin!(place.queue.clone().lock_owned());
            loop {
                say(&mut writer, RegisterTurn::Waits).await?;
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
    say(&mut writer, RegisterTurn::Begins).await?;
    // However it ends: done, gone, or too slow.
    let _ = context.timeout("a turn", TURN, ended).await;
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
        let key = RegisterKey::Object("b/k".parse().unwrap());
        let kept = || lock(&context.queues.0).kept.len();
        let first = Place::new(&context, &key).unwrap();
        let turn = Turn::Here { _turn: first.queue.clone().try_lock_owned().unwrap(), _place: first };
        let second = Place::new(&context, &key).unwrap();
        assert!(second.queue.clone().try_lock_owned().is_err(), "it is the first one's turn");
        drop(turn);
        assert_eq!(kept(), 1);
        assert!(second.queue.clone().try_lock_owned().is_ok());
        drop(second);
        assert_eq!(kept(), 0);
    }
}
