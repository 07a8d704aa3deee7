use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{Either, select};
use shoal_ports::Flow;
use shoal_types::{FlowHeader, PeerId, Result, TaskReport, TaskSpec, wire};

use crate::chunks;
use crate::context::Context;
use crate::worker::WorkerMsg;

/// Has a task run by a peer, this one perhaps; `None` when it was cancelled.
pub(super) async fn task(
    context: &Arc<Context>,
    peer: PeerId,
    spec: TaskSpec,
    fragment: Bytes,
    cancelled: oneshot::Receiver<()>,
) -> Option<Result<TaskReport>> {
    let work = std::pin::pin!(async {
        if peer == context.me {
            let (report, result) = oneshot::channel();
            let worker = context.actors()?.worker.clone();
            worker
                .cast(WorkerMsg::RunHere { spec, fragment, report })
                .map_err(|_| context.not_ready("its worker has stopped"))?;
            return result.await.map_err(|_| context.not_ready("its worker has stopped"))?;
        }
        let header = wire::encode(&FlowHeader::TaskRun(spec))?;
        // The writer stays open: its end would cancel the task.
        let Flow { writer, mut reader } = context.ports.transport.open(peer, header).await?;
        let report = chunks::first_frame::<TaskReport>(&mut reader, peer).await;
        // The worker waits for this end; should it be gone, so much the better.
        let _ = writer.finish().await;
        report
    });
    match select(work, cancelled).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}
