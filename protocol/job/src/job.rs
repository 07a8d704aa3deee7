use std::collections::BTreeMap;

use shoal_types::{
    Error, ErrorClass, InputPin, JobEvent, JobId, JobPlan, OutputId, PeerId, StageId, StageInput, StageProgress,
    TaskId, TaskReport,
};

use crate::graph::{self, GraphError};
use crate::task::{Task, TaskState};

/// How much a job puts up with.
#[derive(Debug, Clone, Copy)]
pub struct JobConfig {
    /// Attempts at one task that may fail by themselves, or with their peer,
    /// before the job fails with the first cause. 1–10.
    pub attempts_max: u32,
    /// Times that one task's output, or an input under its hands, may be lost
    /// with another peer. Bounds a job on a mesh that falls apart. 4–100.
    pub losses_max: u32,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self { attempts_max: 4, losses_max: 16 }
    }
}

/// What a [`Job`] is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Peers that can run tasks, each so many at once. Again when that changes:
    /// what one runs beyond that goes on, and nothing new begins there. Those
    /// who are there together are told of together: tasks are dealt out at
    /// once, wherever there is room.
    PeersUp {
        slots: BTreeMap<PeerId, u32>,
    },
    /// A peer is gone, with all that it ran and held.
    PeerLost {
        peer: PeerId,
    },
    Finished {
        output: OutputId,
        peer: PeerId,
        report: TaskReport,
    },
    Failed {
        output: OutputId,
        peer: PeerId,
        error: Error,
    },
    /// The answer could not be read from its holder.
    AnswerLost {
        output: OutputId,
    },
    Cancel,
}

/// The attempts that a task reads: per input, its producers by partition.
pub type Pinned = Vec<Vec<InputPin>>;

/// What a [`Job`] wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Run {
        output: OutputId,
        peer: PeerId,
        inputs: Pinned,
    },
    /// The attempt is not wanted any more.
    Abort {
        output: OutputId,
        peer: PeerId,
    },
    /// For those who watch.
    Happened(JobEvent),
    /// The last stage is done; its outputs, in the order of the answer.
    Answered(Vec<InputPin>),
    /// The job is over without an answer.
    Failed(Error),
}

#[derive(Debug)]
struct Worker {
    slots: u32,
    running: u32,
}

#[derive(Debug)]
struct Stage {
    inputs: Vec<StageInput>,
    title: String,
    tasks: Vec<Task>,
    /// Per partition, the peers that hold its chunks, best first; empty where
    /// any peer will do.
    preferred: Vec<Vec<PeerId>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Answered,
    Over,
}

/// One job as its coordinator drives it.
#[derive(Debug)]
pub struct Job {
    id: JobId,
    config: JobConfig,
    stages: Vec<Stage>,
    workers: BTreeMap<PeerId, Worker>,
    phase: Phase,
}

impl Job {
    /// `preferred(stage, partition)` names the peers where that task had best
    /// run, first choice first.
    pub fn new(
        id: JobId,
        plan: &JobPlan,
        config: JobConfig,
        preferred: impl Fn(usize, usize) -> Vec<PeerId>,
    ) -> Result<Self, GraphError> {
        graph::check(plan)?;
        let stages = plan
            .stages
            .iter()
            .enumerate()
            .map(|(at, stage)| Stage {
                inputs: stage.inputs.clone(),
                title: stage.title.clone(),
                tasks: (0..stage.partitions).map(|_| Task::new()).collect(),
                preferred: (0..stage.partitions as usize).map(|partition| preferred(at, partition)).collect(),
            })
            .collect();
        Ok(Self { id, config, stages, workers: BTreeMap::new(), phase: Phase::Running })
    }

    /// Takes an event in; gives what follows from it.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Over {
            return actions;
        }
        match event {
            Event::PeersUp { slots } => {
                for (peer, slots) in slots {
                    self.workers.entry(peer).or_insert(Worker { slots, running: 0 }).slots = slots;
                }
            }
            Event::PeerLost { peer } => self.lose_peer(peer, &mut actions),
            Event::Finished { output, peer, report } => self.finish(output, peer, report, &mut actions),
            Event::Failed { output, peer, error } => self.fail(output, peer, error, &mut actions),
            Event::AnswerLost { output } => self.lose_output(output),
            Event::Cancel => self.give_up(Error::Cancelled, &mut actions),
        }
        self.schedule(&mut actions);
        actions
    }

    /// How far each stage is.
    pub fn progress(&self) -> Vec<StageProgress> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.stages
            .iter()
            .map(|stage| StageProgress {
                title: stage.title.clone(),
                tasks: count(stage.tasks.len()),
                running: count(
                    stage.tasks.iter().filter(|task| matches!(task.state, TaskState::Running { .. })).count(),
                ),
                done: count(stage.tasks.iter().filter(|task| task.is_done()).count()),
                reruns: stage.tasks.iter().map(|task| task.next_attempt.saturating_sub(1)).sum(),
            })
            .collect()
    }

    /// The reports of the accepted attempts, the last stage's last.
    pub fn reports(&self) -> impl Iterator<Item = (StageId, &TaskReport)> {
        self.stages.iter().zip(0u32..).flat_map(|(stage, at)| {
            stage.tasks.iter().filter_map(move |task| match &task.state {
                TaskState::Done { report, .. } => Some((StageId(at), report)),
                TaskState::Pending | TaskState::Running { .. } => None,
            })
        })
    }

    fn task(&mut self, id: TaskId) -> Option<&mut Task> {
        self.stages.get_mut(id.stage.0 as usize)?.tasks.get_mut(id.partition as usize)
    }

    fn free_slot(&mut self, peer: PeerId) {
        if let Some(worker) = self.workers.get_mut(&peer) {
            worker.running = worker.running.saturating_sub(1);
        }
    }

    fn finish(&mut self, output: OutputId, peer: PeerId, report: TaskReport, actions: &mut Vec<Action>) {
        let Some(task) = self.task(output.task).filter(|task| task.runs(output.attempt, peer)) else {
            // Late news of an attempt that was given up.
            actions.push(Action::Abort { output, peer });
            return;
        };
        // Peers say these: a sum that does not fit is no reason to fail.
        let rows = report.rows.iter().fold(0u64, |sum, rows| sum.saturating_add(*rows));
        let elapsed_ms = report.elapsed_ms;
        task.state = TaskState::Done { attempt: output.attempt, peer, report };
        self.free_slot(peer);
        actions.push(Action::Happened(JobEvent::Finished { output, peer, rows, elapsed_ms }));
    }

    fn fail(&mut self, output: OutputId, peer: PeerId, error: Error, actions: &mut Vec<Action>) {
        let config = self.config;
        let Some(task) = self.task(output.task).filter(|task| task.runs(output.attempt, peer)) else {
            return;
        };
        task.state = TaskState::Pending;
        task.first_cause.get_or_insert(error.clone());
        // Not its own failure: its input went away under it.
        let exhausted = if let Error::OutputLost { .. } = error {
            task.losses += 1;
            task.losses > config.losses_max
        } else {
            task.failures += 1;
            error.class() != ErrorClass::Retry || task.failures >= config.attempts_max
        };
        let (attempts, cause) = (task.next_attempt, task.first_cause.clone());
        self.free_slot(peer);
        actions.push(Action::Happened(JobEvent::AttemptFailed { output, peer, error: error.clone() }));
        if exhausted {
            let failure = match (error.class(), cause) {
                (ErrorClass::Retry, Some(cause)) => Error::exhausted(output.task.to_string(), attempts, cause),
                _ => error,
            };
            self.give_up(failure, actions);
            return;
        }
        if let Error::OutputLost { output: lost, .. } = error {
            self.lose_output(lost);
        }
    }

    /// A finished output is gone: its task is to be run again, should anybody need it.
    fn lose_output(&mut self, output: OutputId) {
        if let Some(task) = self.task(output.task)
            && matches!(task.state, TaskState::Done { attempt, .. } if attempt == output.attempt)
        {
            task.state = TaskState::Pending;
            task.losses += 1;
            if self.phase == Phase::Answered {
                self.phase = Phase::Running;
            }
        }
    }

    fn lose_peer(&mut self, lost: PeerId, actions: &mut Vec<Action>) {
        if self.workers.remove(&lost).is_none() {
            return;
        }
        let (mut running, mut outputs) = (Vec::new(), Vec::new());
        let mut exhausted = None;
        let (id, config) = (self.id, self.config);
        for (stage, at) in self.stages.iter_mut().zip(0u32..) {
            for (task, partition) in stage.tasks.iter_mut().zip(0u32..) {
                let task_id = TaskId { job: id, stage: StageId(at), partition };
                match task.state {
                    TaskState::Running { attempt, peer } if peer == lost => {
                        running.push(OutputId { task: task_id, attempt });
                        task.state = TaskState::Pending;
                        task.failures += 1;
                        let cause = Error::Unreachable { peer: lost, why: "it died while it ran the task".into() };
                        let cause = task.first_cause.get_or_insert(cause).clone();
                        if task.failures >= config.attempts_max {
                            exhausted = Some(Error::exhausted(task_id.to_string(), task.next_attempt, cause));
                        }
                    }
                    TaskState::Done { attempt, peer, .. } if peer == lost => {
                        outputs.push(OutputId { task: task_id, attempt });
                        task.state = TaskState::Pending;
                        task.losses += 1;
                    }
                    TaskState::Pending | TaskState::Running { .. } | TaskState::Done { .. } => {}
                }
            }
        }
        if self.phase == Phase::Answered
            && outputs.iter().any(|output| output.task.stage.0 as usize + 1 == self.stages.len())
        {
            self.phase = Phase::Running;
        }
        actions.push(Action::Happened(JobEvent::PeerLost { peer: lost, running, outputs }));
        if let Some(error) = exhausted {
            self.give_up(error, actions);
        }
    }

    fn give_up(&mut self, error: Error, actions: &mut Vec<Action>) {
        self.phase = Phase::Over;
        for (stage, at) in self.stages.iter_mut().zip(0u32..) {
            for (task, partition) in stage.tasks.iter_mut().zip(0u32..) {
                if let TaskState::Running { attempt, peer } = task.state {
                    let output = OutputId { task: TaskId { job: self.id, stage: StageId(at), partition }, attempt };
                    actions.push(Action::Abort { output, peer });
                    task.state = TaskState::Pending;
                }
            }
        }
        actions.push(Action::Failed(error));
    }

    /// Stages whose outputs somebody still needs: the last, and those that an
    /// unfinished task of a needed stage reads.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.stages.len()];
        if let Some(last) = needed.last_mut() {
            *last = true;
        }
        for at in (0..self.stages.len()).rev() {
            if needed[at] && self.stages[at].tasks.iter().any(|task| !task.is_done()) {
                for input in &self.stages[at].inputs {
                    needed[input.stage().0 as usize] = true;
                }
            }
        }
        needed
    }

    fn schedule(&mut self, actions: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        let done = |stage: &Stage| stage.tasks.iter().all(Task::is_done);
        if self.stages.last().is_some_and(done) {
            self.phase = Phase::Answered;
            actions.push(Action::Answered(self.pins(StageId(self.stages.len() as u32 - 1))));
            return;
        }
        let needed = self.needed();
        let ready: Vec<usize> = (0..self.stages.len())
            .filter(|at| needed[*at])
            .filter(|at| self.stages[*at].inputs.iter().all(|input| done(&self.stages[input.stage().0 as usize])))
            .collect();
        // First every task where its data lies, then what is left wherever
        // there is room: an idle peer that reads from afar beats a queue.
        for near in [true, false] {
            for at in &ready {
                self.schedule_stage(*at, near, actions);
            }
        }
    }

    fn schedule_stage(&mut self, at: usize, near: bool, actions: &mut Vec<Action>) {
        let waiting: Vec<usize> = self.stages[at]
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.is_pending())
            .map(|(partition, _)| partition)
            .collect();
        if waiting.is_empty() {
            return;
        }
        let inputs: Pinned = self.stages[at].inputs.iter().map(|input| self.pins(input.stage())).collect();
        for partition in waiting {
            if self.workers.values().all(|worker| worker.running >= worker.slots) {
                return;
            }
            let Some(peer) = self.choose(at, partition, near) else {
                continue;
            };
            let task = &mut self.stages[at].tasks[partition];
            let attempt = task.next_attempt;
            task.next_attempt += 1;
            task.state = TaskState::Running { attempt, peer };
            if let Some(worker) = self.workers.get_mut(&peer) {
                worker.running += 1;
            }
            let id = TaskId { job: self.id, stage: StageId(at as u32), partition: partition as u32 };
            let output = OutputId { task: id, attempt };
            actions.push(Action::Happened(JobEvent::Started { output, peer }));
            actions.push(Action::Run { output, peer, inputs: inputs.clone() });
        }
    }

    /// The least loaded peer with a free slot: among the preferred when
    /// `near`, else among all. Ties go round by partition, so that the tasks
    /// of a stage spread.
    fn choose(&self, at: usize, partition: usize, near: bool) -> Option<PeerId> {
        let preferred = &self.stages[at].preferred[partition];
        let candidates: Vec<(PeerId, &Worker)> = if near {
            preferred.iter().filter_map(|peer| self.workers.get(peer).map(|worker| (*peer, worker))).collect()
        } else {
            self.workers.iter().map(|(peer, worker)| (*peer, worker)).collect()
        };
        let count = candidates.len();
        // The last stage is best where the answer is wanted: an order of its own.
        let turn = if near { 0 } else { partition };
        candidates
            .into_iter()
            .enumerate()
            .filter(|(_, (_, worker))| worker.running < worker.slots)
            .min_by_key(|(n, (_, worker))| (worker.running, (n + count - turn % count) % count))
            .map(|(_, (peer, _))| peer)
    }

    /// The accepted outputs of a stage, by partition.
    fn pins(&self, stage: StageId) -> Vec<InputPin> {
        self.stages[stage.0 as usize]
            .tasks
            .iter()
            .zip(0u32..)
            .filter_map(|(task, partition)| match task.state {
                TaskState::Done { attempt, peer, .. } => Some(InputPin {
                    output: OutputId { task: TaskId { job: self.id, stage, partition }, attempt },
                    holder: peer,
                }),
                TaskState::Pending | TaskState::Running { .. } => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
