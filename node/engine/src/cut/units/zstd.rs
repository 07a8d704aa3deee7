use super::{Step, Units, number};

/// The frames of a zstd file (RFC 8878, section 3.1): each a row of blocks
/// that say how long they are, the last one that it is the last.
#[derive(Debug, Default)]
pub(crate) struct Zstd {
    /// The frame that it is in, if any.
    frame: Option<Frame>,
}

#[derive(Debug)]
struct Frame {
    has_checksum: bool,
}

const MAGIC: u32 = 0xfd2f_b528;
/// Sixteen magics of frames that decoders skip.
const SKIPPED: u32 = 0x0184_d2a5;

impl Zstd {
    fn frame(&mut self, bytes: &[u8]) -> Step {
        let Some(magic) = number::<4>(bytes, 0) else { return Step::Need(4) };
        if magic >> 4 == SKIPPED {
            return match number::<4>(bytes, 4) {
                Some(length) => Step::End(8 + u64::from(length)),
                None => Step::Need(8),
            };
        }
        if magic != MAGIC {
            return Step::Lost;
        }
        let Some(descriptor) = bytes.get(4) else { return Step::Need(5) };
        let is_single = descriptor & 0x20 != 0;
        let content_size = match descriptor >> 6 {
            0 => u64::from(is_single),
            power => 1 << power,
        };
        let dictionary_id = [0, 1, 2, 4][usize::from(descriptor & 3)];
        self.frame = Some(Frame { has_checksum: descriptor & 4 != 0 });
        Step::Within(5 + u64::from(!is_single) + dictionary_id + content_size)
    }
}

impl Units for Zstd {
    fn step(&mut self, bytes: &[u8]) -> Step {
        let Some(frame) = &self.frame else { return self.frame(bytes) };
        let Some(head) = number::<3>(bytes, 0) else { return Step::Need(3) };
        let size = match head >> 1 & 3 {
            // One byte, repeated.
            1 => 1,
            3 => return Step::Lost,
            _ => u64::from(head >> 3),
        };
        let is_last = head & 1 != 0;
        if !is_last {
            return Step::Within(3 + size);
        }
        let checksum = if frame.has_checksum { 4 } else { 0 };
        self.frame = None;
        Step::End(3 + size + checksum)
    }

    fn rewind(&mut self) {
        self.frame = None;
    }
}
