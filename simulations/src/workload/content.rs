use bytes::{BufMut, Bytes, BytesMut};

use crate::random::Random;

/// The bytes of a content: its number, then what follows from that.
pub(crate) fn content(number: u64, length: usize) -> Bytes {
    let mut random = Random::of(number, &[600]);
    let mut bytes = BytesMut::with_capacity(length + 8);
    bytes.put_u64_le(number);
    while bytes.len() < length {
        bytes.put_u64_le(random.next_u64());
    }
    bytes.truncate(length.max(8));
    bytes.freeze()
}

/// The number of a content, if `bytes` are one, whole.
pub(super) fn number_of(bytes: &[u8]) -> Option<u64> {
    let head: [u8; 8] = bytes.get(..8)?.try_into().ok()?;
    let number = u64::from_le_bytes(head);
    (content(number, bytes.len()) == bytes).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_tells_its_number_and_one_changed_byte_is_noticed() {
        for length in [8, 9, 100, 5000] {
            let bytes = content(77, length);
            assert_eq!(bytes.len(), length);
            assert_eq!(number_of(&bytes), Some(77));
            let mut changed = bytes.to_vec();
            changed[length - 1] ^= 1;
            assert_ne!(number_of(&changed), Some(77));
        }
    }
}
