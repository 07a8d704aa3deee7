//! What becomes of a job's tasks when it is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shoal_ports::{Inbound, Ports, Reply};
use shoal_types::{
    FlowHeader, FragmentId, JobId, OutputId, PeerId, Request, Response, Result, StageId, TaskId, TaskSpec, wire,
};
use tokio::sync::{mpsc, oneshot};

use super::ports::{Compute, Frames, Network, WAIT};
use super::{config, ports};
use crate::Peer;

const COORDINATOR: PeerId = PeerId::from_bytes([9; 32]);

/// A peer with two slots, to which a coordinator speaks.
struct Worker {
    _peer: Peer,
    network: Arc<Network>,
    compute: Arc<Compute>,
}

impl Worker {
    async fn start() -> Self {
        let config = config();
        let (events, inbound) = mpsc::channel(8);
        let network = Arc::new(Network::new(config.info.id, events));
        network.has_fragment(&Bytes::from(WAIT));
        let compute = Arc::new(Compute::default());
        let ports = Ports { compute: compute.clone(), ..ports(network.clone()) };
        let peer = Peer::start(config, ports, inbound).await.unwrap();
        Self { _peer: peer, network, compute }
    }

    /// Gives it a task, by a flow that never ends.
    async fn run(&self, job: JobId, partition: u32) {
        let spec = TaskSpec {
            output: OutputId { task: TaskId { job, stage: StageId(0), partition }, attempt: 0 },
            coordinator: COORDINATOR,
            fragment: FragmentId::of(WAIT.as_bytes()),
            buckets: 1,
            inputs: vec![],
            memory_bytes: 1,
        };
        let header = wire::encode(&FlowHeader::TaskRun(spec)).unwrap();
        self.network.comes(Inbound::Open { from: COORDINATOR, header, flow: Frames::flow([]) }).await;
    }

    async fn release(&self, job: JobId) {
        let (answer, answered) = oneshot::channel();
        let reply = Reply::new(move |frame| drop(answer.send(frame)));
        let request = wire::encode(&Request::JobRelease { job }).unwrap();
        self.network.comes(Inbound::Call { from: COORDINATOR, request, reply }).await;
        let answer = wire::decode::<Result<Response>>(&answered.await.unwrap()).unwrap();
        assert!(matches!(answer, Ok(Response::Done)));
    }

    /// Waits until so many tasks run.
    async fn comes_to_run(&self, tasks: usize) {
        for _ in 0..3_000 {
            if self.compute.running() == tasks {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} tasks run, not {tasks}", self.compute.running());
    }
}

// A task was stopped by the end of its flow alone. That comes after all the
// bytes that are on their way to the peer, many seconds on a slow line, and
// the tasks of a job that was over held their slots for so long.
#[tokio::test]
async fn the_tasks_of_a_job_end_with_it_though_the_end_of_their_flows_is_still_on_its_way() {
    let worker = Worker::start().await;
    let (over, other) = (JobId::from_bytes([1; 10]), JobId::from_bytes([2; 10]));
    for partition in 0..3 {
        worker.run(over, partition).await;
    }
    worker.run(other, 0).await;
    worker.comes_to_run(2).await;
    worker.release(over).await;
    // Neither the two that ran nor the one that waited: the other job's is next.
    worker.comes_to_run(1).await;
    worker.run(over, 3).await;
    worker.run(other, 1).await;
    worker.comes_to_run(2).await;
    worker.release(other).await;
    worker.comes_to_run(0).await;
}
