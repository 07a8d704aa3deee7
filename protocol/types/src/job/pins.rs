//! Pins on the wire: a task that reads what a hundred thousand others put out
//! still fits into a frame, at about five bytes a pin.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InputPin, OutputId};
use crate::{JobId, PeerId, StageId, TaskId};

/// Who and what is named once, and meant by its index.
#[derive(Serialize, Deserialize)]
struct Pins {
    holders: Vec<PeerId>,
    stages: Vec<(JobId, StageId)>,
    inputs: Vec<Vec<Pin>>,
}

#[derive(Serialize, Deserialize)]
struct Pin {
    stage: u32,
    /// Less that of the pin before, and one: nothing, where they follow each other.
    partition: u32,
    attempt: u32,
    holder: u32,
}

pub(super) fn serialize<S: Serializer>(inputs: &[Vec<InputPin>], serializer: S) -> Result<S::Ok, S::Error> {
    let all = || inputs.iter().flatten();
    let holders = sorted(all().map(|pin| pin.holder));
    let stages = sorted(all().map(|pin| (pin.output.task.job, pin.output.task.stage)));
    let packed = |pins: &Vec<InputPin>| {
        let mut next = 0;
        let pack = |pin: &InputPin| {
            let OutputId { task: TaskId { job, stage, partition }, attempt } = pin.output;
            let step = partition.wrapping_sub(next);
            next = partition.wrapping_add(1);
            Pin { stage: place(&stages, &(job, stage)), partition: step, attempt, holder: place(&holders, &pin.holder) }
        };
        pins.iter().map(pack).collect()
    };
    let inputs = inputs.iter().map(packed).collect();
    Pins { inputs, holders, stages }.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<InputPin>>, D::Error> {
    let Pins { holders, stages, inputs } = Pins::deserialize(deserializer)?;
    let unpacked = |pins: Vec<Pin>| {
        let mut next: u32 = 0;
        let unpack = |pin: Pin| {
            let partition = next.wrapping_add(pin.partition);
            next = partition.wrapping_add(1);
            let (job, stage) = *stages.get(pin.stage as usize)?;
            let holder = *holders.get(pin.holder as usize)?;
            Some(InputPin { output: OutputId { task: TaskId { job, stage, partition }, attempt: pin.attempt }, holder })
        };
        pins.into_iter().map(unpack).collect()
    };
    let inputs: Option<_> = inputs.into_iter().map(unpacked).collect();
    inputs.ok_or_else(|| D::Error::custom("a pin on a stage or a holder that is not named"))
}

fn sorted<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Where an item is among all that there are.
fn place<T: Ord>(all: &[T], item: &T) -> u32 {
    all.binary_search(item).unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FragmentId, TaskSpec, wire};

    fn spec(inputs: Vec<Vec<InputPin>>) -> TaskSpec {
        let task = TaskId { job: JobId::from_bytes([1; 10]), stage: StageId(2), partition: 3 };
        TaskSpec {
            output: OutputId { task, attempt: 4 },
            coordinator: PeerId::from_bytes([1; 32]),
            fragment: FragmentId::of(b"plan"),
            buckets: 2,
            inputs,
            memory_bytes: 1,
        }
    }

    fn pin(job: u8, stage: u32, partition: u32, attempt: u32, holder: u8) -> InputPin {
        let task = TaskId { job: JobId::from_bytes([job; 10]), stage: StageId(stage), partition };
        InputPin { output: OutputId { task, attempt }, holder: PeerId::from_bytes([holder; 32]) }
    }

    #[test]
    fn pins_in_any_order_come_back() {
        for inputs in [
            vec![],
            vec![vec![], vec![pin(1, 2, u32::MAX, 7, 9), pin(1, 2, 0, 0, 9)], vec![pin(3, 2, 5, 1, 8)]],
            vec![vec![pin(1, 0, 9, 1, 1), pin(1, 0, 3, 2, 2), pin(1, 1, 3, 2, 2), pin(1, 0, 3, 2, 2)]],
        ] {
            let spec = spec(inputs);
            assert_eq!(wire::decode::<TaskSpec>(&wire::encode(&spec).unwrap()).unwrap(), spec);
        }
    }

    #[test]
    fn many_pins_fit_into_a_frame() {
        let pins = (0..100_000).map(|n| pin(1, 0, n, n % 2, (n % 250) as u8)).collect();
        let spec = spec(vec![pins]);
        let frame = wire::encode(&spec).unwrap();
        assert!(frame.len() < wire::FRAME_BYTES_MAX * 2 / 3, "{}", frame.len());
        assert_eq!(wire::decode::<TaskSpec>(&frame).unwrap(), spec);
    }

    #[test]
    fn a_pin_on_nobody_is_refused() {
        let bad = postcard::to_allocvec(&Pins {
            holders: vec![],
            stages: vec![(JobId::from_bytes([1; 10]), StageId(1))],
            inputs: vec![vec![Pin { stage: 0, partition: 0, attempt: 0, holder: 0 }]],
        });
        let mut deserializer = postcard::Deserializer::from_bytes(bad.as_deref().unwrap());
        assert!(deserialize(&mut deserializer).is_err());
    }
}
