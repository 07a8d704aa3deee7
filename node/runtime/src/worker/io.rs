use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use shoal_ports::{BoxFuture, Flow, FlowReader, FrameStream, TaskIo};
use shoal_types::{ChunkId, Error, FlowHeader, InputPin, Result, wire};

use crate::chunks;
use crate::context::Context;
use crate::foreground::Awaited;

/// A running task's way to chunks and to other peers' outputs.
pub(crate) struct Io {
    context: Arc<Context>,
}

impl Io {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl TaskIo for Io {
    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<(Bytes, bool)>> {
        let context = self.context.clone();
        async move {
            let _awaited = Awaited::begin(&context);
            chunks::read(&context, chunk, range).await
        }
        .boxed()
    }

    fn fetch(&self, pin: InputPin, bucket: u32) -> BoxFuture<'static, Result<FrameStream>> {
        let context = self.context.clone();
        async move { fetch_output(&context, pin, bucket).await }.boxed()
    }

    fn is_local(&self, pin: &InputPin) -> bool {
        pin.holder == self.context.me
    }
}

/// One bucket of an output, from its holder. Whatever goes wrong with the
/// holder is `OutputLost`: its producer is to be run again.
pub(crate) async fn fetch_output(context: &Arc<Context>, pin: InputPin, bucket: u32) -> Result<FrameStream> {
    let InputPin { output, holder } = pin;
    if holder == context.me {
        return context.ports.compute.output(output, bucket);
    }
    let lost = move |error: Error| {
        tracing::info!(%error, %output, holder = %holder.short(), "an output is lost");
        Error::OutputLost { output, holder }
    };
    let opened = async {
        loop {
            match open_output(context, pin, bucket).await {
                Err(Error::Busy { retry_after_ms, .. }) => {
                    context.ports.clock.sleep(Duration::from_millis(retry_after_ms.clamp(10, 2_000))).await;
                }
                result => return result,
            }
        }
    };
    let reader = context.timeout("fetching an output", context.config.timing.chunk, opened).await.map_err(lost)?;
    let frames = stream::unfold(Some(reader), move |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(frame)) => Some((Ok(frame), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(lost(error)), None)),
        }
    });
    Ok(frames.boxed())
}

async fn open_output(context: &Arc<Context>, pin: InputPin, bucket: u32) -> Result<Box<dyn FlowReader>> {
    let header = wire::encode(&FlowHeader::OutputGet { output: pin.output, bucket })?;
    let Flow { writer, mut reader } = context.ports.transport.open(pin.holder, header).await?;
    writer.finish().await?;
    chunks::first_frame::<()>(&mut reader, pin.holder).await?;
    Ok(reader)
}
