//! The cause of an [`Error::Exhausted`] as it is read: an error of any other
//! kind. One within the other, hundreds of thousands fit into a frame, and
//! reading them would take more stack than there is.

use std::cell::Cell;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::Error;

thread_local! {
    /// Whether this thread is reading a cause. It cannot be handed down: what
    /// serde derives takes nothing along.
    static READING: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<Error>, D::Error> {
    struct Read;

    impl Drop for Read {
        fn drop(&mut self) {
            READING.set(false);
        }
    }

    if READING.replace(true) {
        return Err(D::Error::custom("an exhausted task as the cause of another"));
    }
    let _read = Read;
    Box::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn within(cause: Error) -> Error {
        Error::Exhausted { task: String::new(), attempts: 1, cause: Box::new(cause) }
    }

    /// A frame of a megabyte that said "exhausted" over and over ended the
    /// process of whoever read it: its stack overflowed.
    #[test]
    fn a_cause_of_a_cause_of_a_cause_costs_no_stack() {
        let [one, two] = [1, 2].map(|depth| {
            let error = (0..depth).fold(Error::Cancelled, |cause, _| within(cause));
            wire::encode(&error).unwrap()
        });
        // What one more of them adds.
        let step = two.len() - one.len();
        let mut frame = two[..1].to_vec();
        while frame.len() < wire::FRAME_BYTES_MAX {
            frame.extend_from_slice(&two[1..1 + step]);
        }
        for frame in [&two[..], &frame[..]] {
            let complaint = wire::decode::<Error>(frame).unwrap_err();
            assert!(matches!(complaint, Error::BadFrame { .. }), "{complaint}");
            // And the next one is read as ever.
            assert_eq!(wire::decode::<Error>(&one).unwrap(), within(Error::Cancelled));
        }
        assert_eq!(Error::exhausted("0.1", 1, within(Error::Cancelled)), Error::exhausted("0.1", 1, Error::Cancelled));
    }
}
