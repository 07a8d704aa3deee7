//! What a peer says of what was under way when it stopped.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use shoal_ports::{Ports, Store as _};
use shoal_types::{Format, ObjectName, RegisterKey};
use tokio::sync::mpsc;

use super::ports::{Network, Store, Tasks};
use super::{config, ports};
use crate::{Peer, PutCondition};

/// A put that was in effect was told as `not ready`: as if nothing had been begun.
#[tokio::test]
async fn a_change_that_a_peer_stops_in_the_middle_of_is_in_doubt_where_it_may_be_in_effect() {
    let mut is_known = false;
    for turns in 0..200 {
        let mut config = config();
        config.timing.name = Duration::from_millis(50);
        let (events, inbound) = mpsc::channel(8);
        let (tasks, store) = (Arc::new(Tasks::default()), Arc::new(Store::default()));
        let network = Arc::new(Network::new(config.info.id, events));
        let ports = Ports { store: store.clone(), spawner: tasks.clone(), ..ports(network) };
        let peer = Peer::start(config, ports, inbound).await.unwrap();
        let name = ObjectName::new("a/b").unwrap();
        let put = |byte| {
            let (peer, name) = (peer.clone(), name.clone());
            tokio::spawn(async move { peer.put(name, Format::Bytes, PutCondition::Always, body(byte)).await })
        };
        // A machine that stands still may be late for it.
        while put("1").await.unwrap().is_err() {}
        let held = || store.register_get(&RegisterKey::Object(name.clone())).unwrap().unwrap().value;
        let before = held();
        let put = put("2");
        let stopping = tokio::spawn(async move {
            for _ in 0..turns {
                after_the_others().await;
            }
            tasks.abort_all();
        });
        stopping.await.unwrap();
        let put = put.await.unwrap();
        if let Err(error) = &put {
            assert!(error.is_in_doubt() || held() == before, "after {turns} turns: {error}");
        }
        is_known |= put.is_ok();
        peer.kill();
        if is_known {
            break;
        }
    }
    assert!(is_known, "it never ended");
}

/// Lets all run that can, once.
async fn after_the_others() {
    let mut is_over = false;
    std::future::poll_fn(|cx| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn body(content: &'static str) -> stream::BoxStream<'static, shoal_types::Result<Bytes>> {
    stream::iter([Ok(Bytes::from(content))]).boxed()
}
