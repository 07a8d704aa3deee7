use std::sync::Arc;
use std::time::Duration;

use shoal_types::{ErrorClass, JobId, PeerId, Request};

use crate::context::Context;

/// How often a peer is told that a job is over, until it says that it heard.
/// One that cannot be reached for longer asks for itself, or has died. 1-20.
const TRIES: u32 = 8;

/// Between two of them. 0.1-1 s: what the job left there is kept for so much longer.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells another peer that a job is over. Once may not be enough: a call is
/// lost, or waits for a link that cannot be made just then.
pub(super) async fn tell(context: &Arc<Context>, peer: PeerId, job: JobId) {
    for n in 1..=TRIES {
        let Err(error) = context.call(peer, Request::JobRelease { job }).await else {
            return;
        };
        tracing::debug!(%error, n, peer = %peer.short(), %job, "was not told that a job is over");
        if error.class() != ErrorClass::Retry {
            return;
        }
        if n < TRIES {
            context.ports.clock.sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use shoal_ports::{Clock, Ports};
    use tokio::sync::mpsc;

    use super::*;
    use crate::tests::ports::{Hurry, Network};
    use crate::tests::{config, ports};

    /// How many times a peer hears that a job is over, if so many calls to it
    /// fail before, and when.
    async fn heard(unanswered: u32) -> (u32, Duration) {
        let config = config();
        let network = Arc::new(Network::new(config.info.id, mpsc::channel(1).0));
        network.answers_after(unanswered);
        let clock = Arc::new(Hurry::default());
        let context = Context::new(config, Ports { clock: clock.clone(), ..ports(network.clone()) });
        tell(&context, PeerId::from_bytes([9; 32]), JobId::from_bytes([1; 10])).await;
        (network.answered(), clock.now())
    }

    // It was said once. A peer that a partition hid in that moment kept the
    // job's outputs until it came to ask for itself, long after all had healed.
    #[tokio::test]
    async fn a_peer_that_cannot_be_told_is_told_again_for_a_while() {
        assert_eq!(heard(0).await, (1, Duration::ZERO));
        assert_eq!(heard(2).await, (1, 2 * PAUSE));
        assert_eq!(heard(TRIES).await, (0, (TRIES - 1) * PAUSE));
    }
}
