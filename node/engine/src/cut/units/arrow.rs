use arrow::ipc::{MessageHeader, root_as_message};

use super::{HEAD_BYTES_MAX, Step, Units, number};

/// The record batches of Arrow IPC (Arrow columnar format 1.5, "Encapsulated
/// message format"), of a stream or of a file, which is a stream between a
/// magic and a footer. A batch goes with the dictionaries before it; the schema
/// is in the first chunk, and the footer in the last.
#[derive(Debug, Default)]
pub(crate) struct Arrow {
    /// Whether the beginning of the file is passed.
    has_begun: bool,
    /// Whether a message was met: zeros before the first one are padding.
    has_message: bool,
}

const MAGIC: &[u8] = b"ARROW1\0\0";
const CONTINUATION: u32 = u32::MAX;
/// The continuation mark and the length of the metadata.
const PREFIX_BYTES: usize = 8;

impl Units for Arrow {
    fn step(&mut self, bytes: &[u8]) -> Step {
        let (Some(mark), Some(length)) = (number::<4>(bytes, 0), number::<4>(bytes, 4)) else {
            return Step::Need(PREFIX_BYTES);
        };
        if !self.has_begun {
            self.has_begun = true;
            if bytes.starts_with(MAGIC) {
                return Step::Within(MAGIC.len() as u64);
            }
        }
        if mark == 0 && length == 0 && !self.has_message {
            // Writers that align to more than eight bytes pad the magic to that.
            return Step::Within(PREFIX_BYTES as u64);
        }
        if mark != CONTINUATION {
            return Step::Lost;
        }
        self.has_message = true;
        if length == 0 {
            // The end of the stream; in a file the footer follows.
            return Step::End(PREFIX_BYTES as u64);
        }
        if length as usize > HEAD_BYTES_MAX {
            return Step::Lost;
        }
        let end = PREFIX_BYTES + length as usize;
        let Some(metadata) = bytes.get(PREFIX_BYTES..end) else { return Step::Need(end) };
        let Ok(message) = root_as_message(metadata) else { return Step::Lost };
        let body = u64::try_from(message.bodyLength()).ok().and_then(|body| body.checked_add(end as u64));
        match (body, message.header_type()) {
            (None, _) => Step::Lost,
            (Some(bytes), MessageHeader::RecordBatch) => Step::End(bytes),
            (Some(bytes), _) => Step::Within(bytes),
        }
    }

    fn rewind(&mut self) {}
}
