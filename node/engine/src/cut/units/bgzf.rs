use super::{Step, Units, number};

/// The members of a BGZF file (SAM specification, section 4.1): gzip whose
/// members of at most 64 KiB say in an extra field how long they are.
///
/// Of other gzip a member's end is known only once it is inflated, and its
/// beginning is three bytes that stand anywhere: it is not cut by members.
#[derive(Debug)]
pub(crate) struct Bgzf;

/// Magic, deflate, and the flag of extra fields alone.
const MAGIC: [u8; 4] = [0x1f, 0x8b, 8, 4];

/// The head up to the extra fields.
const FIXED_BYTES: usize = 12;

/// Head, the fewest bytes of deflate, checksum and length.
const MEMBER_BYTES_MIN: u32 = 28;

impl Units for Bgzf {
    fn step(&mut self, bytes: &[u8]) -> Step {
        if !bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic) {
            return Step::Lost;
        }
        let Some(extra_bytes) = number::<2>(bytes, FIXED_BYTES - 2) else {
            return Step::Need(FIXED_BYTES);
        };
        let end = FIXED_BYTES + extra_bytes as usize;
        let Some(mut extra) = bytes.get(FIXED_BYTES..end) else {
            return Step::Need(end);
        };
        while let Some(length) = number::<2>(extra, 2) {
            if extra.starts_with(b"BC\x02\0") {
                // One less than the length of the member.
                return match number::<2>(extra, 4).map(|size| size + 1) {
                    Some(size) if size >= MEMBER_BYTES_MIN.max(end as u32) => Step::End(size.into()),
                    Some(_) | None => Step::Lost,
                };
            }
            extra = extra.get(4 + length as usize..).unwrap_or_default();
        }
        Step::Lost
    }

    fn rewind(&mut self) {}
}
