//! How time passes.

use std::time::Duration;

use super::{Event, State, World};
use crate::executor::Idle;
use crate::panics;

impl World {
    /// Lets time pass up to `end`, or until somebody stops the world.
    pub(crate) async fn run_until(&self, idle: &Idle, end: Duration) {
        loop {
            idle.reached().await;
            self.look_for_panics();
            let event = {
                let mut state = self.state();
                if state.stopped {
                    return;
                }
                let Some(event) = state.next(end) else {
                    return;
                };
                if !state.watch.turn(state.heap.now(), event.host(), state.trace.events()) {
                    state.stopped = true;
                    return;
                }
                event
            };
            self.happen(event);
        }
    }

    /// A panic that somebody caught, in a task or an actor, is a bug all the same.
    pub(crate) fn look_for_panics(&self) {
        if let Some(panic) = panics::take() {
            let host = self.state().watch.host();
            self.violate("no-panics", host.as_slice(), panic);
        }
    }

    fn happen(&self, event: Event) {
        match event {
            Event::Awake { sleeper, .. } => {
                // Who slept may have been dropped.
                let _ = sleeper.send(());
            }
            Event::Arrive { at, packet } => self.arrive(at, packet),
            Event::Transfer(transfer) => self.arrive(transfer.to, transfer.packet),
            Event::Disk { host, work, .. } => self.disk_works(host, work),
            Event::Act { act, .. } => act(self),
        }
    }
}

impl State {
    /// The next event that reaches anybody: what is meant for a life that is
    /// over does not, what is meant for a paused host waits.
    fn next(&mut self, end: Duration) -> Option<Event> {
        loop {
            let event = self.heap.pop_until(end)?;
            let now = self.heap.now();
            if let Some(id) = event.host() {
                let host = &mut self.hosts[id.index()];
                match host.paused_until {
                    Some(until) if until > now => {
                        self.heap.push_at(until, event);
                        continue;
                    }
                    Some(_) => host.paused_until = None,
                    None => {}
                }
                let stale = match &event {
                    Event::Awake { incarnation, .. } | Event::Disk { incarnation, .. } => !host.lives(*incarnation),
                    Event::Arrive { .. } | Event::Transfer(_) | Event::Act { .. } => false,
                };
                if stale {
                    continue;
                }
            }
            let kind = match &event {
                Event::Awake { .. } => 1,
                Event::Arrive { .. } | Event::Transfer(_) => 2,
                Event::Disk { .. } => 3,
                Event::Act { .. } => 4,
            };
            let bytes: &[u8] = match &event {
                Event::Arrive { packet, .. } => packet.bytes(),
                Event::Transfer(transfer) => transfer.packet.bytes(),
                Event::Act { what, .. } => what.as_bytes(),
                Event::Awake { .. } | Event::Disk { .. } => &[],
            };
            self.trace.event(now, event.host(), kind, bytes);
            return Some(event);
        }
    }
}
