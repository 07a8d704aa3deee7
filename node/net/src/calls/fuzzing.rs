use shoal_types::wire::FRAME_BYTES_MAX;

use super::{ANSWER_HEAD_BYTES, REQUEST_HEAD_BYTES, decode_answer_head, decode_request_head};

/// The heads of requests and of answers.
pub fn call_heads(bytes: &[u8]) {
    for head in bytes.chunks(REQUEST_HEAD_BYTES) {
        match decode_request_head(head) {
            Ok((bytes, _)) => assert!(bytes <= FRAME_BYTES_MAX && head.len() == REQUEST_HEAD_BYTES),
            Err(_) => continue,
        }
    }
    for head in bytes.as_chunks::<ANSWER_HEAD_BYTES>().0 {
        if let Ok((bytes, id, status)) = decode_answer_head(head) {
            assert!(bytes <= FRAME_BYTES_MAX);
            let again = [&(bytes as u32).to_le_bytes()[..], &id.to_le_bytes(), &[status.code()]].concat();
            assert_eq!(again, head);
        }
    }
}
