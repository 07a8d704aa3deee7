use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use shoal_ports::Flow;
use shoal_types::{Error, FlowHeader, FragmentId, Result, TaskSpec, wire};
use tokio::sync::Mutex as Turns;

use crate::chunks;
use crate::context::{Context, lock};

/// The longest plan fragment that a worker takes, in bytes.
const FRAGMENT_BYTES_MAX: u32 = 64 << 20;

/// Fragments kept for the tasks to come.
const FRAGMENTS_MAX: usize = 128;

/// Plan fragments by name, each fetched once from a coordinator however many
/// tasks want it at once.
#[derive(Default)]
pub(super) struct Fragments {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kept: BTreeMap<FragmentId, Bytes>,
    /// Those that are kept, the oldest first.
    order: VecDeque<FragmentId>,
    /// Those that are being fetched. Whoever has the turn fetches.
    wanted: BTreeMap<FragmentId, Arc<Turns<()>>>,
}

impl Fragments {
    pub(super) async fn get(&self, context: &Arc<Context>, spec: &TaskSpec) -> Result<Bytes> {
        if let Some(bytes) = self.kept(spec.fragment) {
            return Ok(bytes);
        }
        let wanting = self.want(spec.fragment);
        // In the order in which they came. One that failed or was cancelled
        // leaves its turn to the next, which asks its own task's coordinator:
        // the same plan may be of two jobs.
        let turn = wanting.turns.lock().await;
        if let Some(bytes) = self.kept(spec.fragment) {
            return Ok(bytes);
        }
        let bytes = fetch(context, spec).await?;
        self.keep(spec.fragment, &bytes);
        drop(turn);
        Ok(bytes)
    }

    fn kept(&self, id: FragmentId) -> Option<Bytes> {
        lock(&self.inner).kept.get(&id).cloned()
    }

    fn want(&self, id: FragmentId) -> Wanting<'_> {
        let turns = lock(&self.inner).wanted.entry(id).or_default().clone();
        Wanting { fragments: self, id, turns }
    }

    fn keep(&self, id: FragmentId, bytes: &Bytes) {
        let Inner { kept, order, .. } = &mut *lock(&self.inner);
        if kept.insert(id, bytes.clone()).is_none() {
            order.push_back(id);
            if order.len() > FRAGMENTS_MAX
                && let Some(oldest) = order.pop_front()
            {
                kept.remove(&oldest);
            }
        }
    }
}

/// A task that wants a fragment, for as long as it does.
struct Wanting<'a> {
    fragments: &'a Fragments,
    id: FragmentId,
    turns: Arc<Turns<()>>,
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        let wanted = &mut lock(&self.fragments.inner).wanted;
        // Copies are made under the lock only: with two, this is the last task.
        if Arc::strong_count(&self.turns) <= 2 {
            wanted.remove(&self.id);
        }
    }
}

async fn fetch(context: &Arc<Context>, spec: &TaskSpec) -> Result<Bytes> {
    let work = async {
        let header = FlowHeader::FragmentGet { job: spec.output.task.job, fragment: spec.fragment };
        let flow = context.ports.transport.open(spec.coordinator, wire::encode(&header)?).await?;
        let Flow { writer, mut reader } = flow;
        writer.finish().await?;
        let length = chunks::first_frame::<u32>(&mut reader, spec.coordinator).await?;
        if length > FRAGMENT_BYTES_MAX {
            return Err(Error::BadFrame { what: format!("a plan fragment of {length} bytes") });
        }
        chunks::read_exactly(&mut reader, length).await
    };
    let bytes = context.timeout("fetching a plan", context.config.timing.chunk, work).await?;
    if FragmentId::of(&bytes) != spec.fragment {
        return Err(Error::BadFrame { what: "a plan fragment that is not what its name says".into() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use shoal_types::{JobId, OutputId, PeerId, StageId, TaskId};
    use tokio::sync::mpsc;

    use super::*;
    use crate::tests::ports::Network;
    use crate::tests::{config, ports};

    const PLAN: Bytes = Bytes::from_static(b"plan");

    /// Tasks of a stage that have just come, and whom their peer asks.
    struct Stage {
        network: Arc<Network>,
        context: Arc<Context>,
        fragments: Arc<Fragments>,
    }

    impl Stage {
        fn new() -> Self {
            let config = config();
            let network = Arc::new(Network::new(config.info.id, mpsc::channel(1).0));
            let context = Context::new(config, ports(network.clone()));
            Self { network, context, fragments: Arc::default() }
        }

        /// A task, up to where it has to wait.
        fn begin(&self, partition: u32) -> BoxFuture<'static, Result<Bytes>> {
            let job = JobId::from_bytes([1; 10]);
            let spec = TaskSpec {
                output: OutputId { task: TaskId { job, stage: StageId(0), partition }, attempt: 0 },
                coordinator: PeerId::from_bytes([9; 32]),
                fragment: FragmentId::of(&PLAN),
                buckets: 1,
                inputs: vec![],
                memory_bytes: 1,
            };
            let (context, fragments) = (self.context.clone(), self.fragments.clone());
            let mut task = async move { fragments.get(&context, &spec).await }.boxed();
            assert!((&mut task).now_or_never().is_none(), "it has to wait");
            task
        }

        fn wanted(&self) -> usize {
            lock(&self.fragments.inner).wanted.len()
        }
    }

    #[tokio::test]
    async fn a_fragment_that_many_tasks_want_at_once_is_fetched_once() {
        let stage = Stage::new();
        stage.network.opens_when_told();
        let [first, second, third] = [0, 1, 2].map(|partition| stage.begin(partition));
        assert_eq!(stage.network.opened(), 1);
        stage.network.has_fragment(&PLAN);
        let (first, second, third) = futures::join!(first, second, third);
        assert_eq!((first.unwrap(), second.unwrap(), third.unwrap()), (PLAN, PLAN, PLAN));
        assert_eq!((stage.network.opened(), stage.wanted()), (1, 0));
    }

    #[tokio::test]
    async fn when_one_that_fetches_fails_or_is_cancelled_the_next_does() {
        let stage = Stage::new();
        stage.network.opens_when_told();
        let [first, second, third] = [0, 1, 2].map(|partition| stage.begin(partition));
        stage.network.opens_nothing();
        assert!(first.await.is_err());
        stage.network.opens_when_told();
        let mut second = second;
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(stage.network.opened(), 2);
        drop(second);
        stage.network.has_fragment(&PLAN);
        assert_eq!(third.await.unwrap(), PLAN);
        assert_eq!((stage.network.opened(), stage.wanted()), (3, 0));
    }

    #[tokio::test]
    async fn tasks_that_are_cancelled_leave_nothing_behind() {
        let stage = Stage::new();
        stage.network.opens_when_told();
        let tasks = [0, 1, 2].map(|partition| stage.begin(partition));
        assert_eq!(stage.wanted(), 1);
        drop(tasks);
        assert_eq!(stage.wanted(), 0);
    }
}
