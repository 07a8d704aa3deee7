//! Whether the disk is still the one that the peer started on.

use std::sync::Arc;
use std::time::Duration;

use shoal_types::DiskState;

use crate::context::Context;
use crate::supervisor::SupervisorMsg;

/// How often it is looked at. A look costs the file system a call or two.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Stops the peer once its data directory is gone: nothing that it says it
/// keeps could be found again, and the sooner others take it for dead, the
/// sooner they make copies of what it held. A disk that failed to sync, or is
/// full, can still be read, and the peer stays.
pub(crate) async fn watch(context: Arc<Context>) {
    loop {
        context.ports.clock.sleep(LOOK_EVERY).await;
        let store = context.ports.store.clone();
        let state = context.blocking(move || Ok(store.disk())).await;
        if let (Ok(DiskState::Gone { why }), Ok(actors)) = (state, context.actors()) {
            // It is stopping already if nobody takes it.
            let _ = actors.supervisor.cast(SupervisorMsg::DiskGone(why));
            return;
        }
    }
}
