//! Writing past the page cache.

use std::fs::File;
use std::io;

/// What a direct write begins at and is a multiple of, in memory and in the
/// file: no sector in use is longer.
#[cfg(target_os = "linux")]
const ALIGNED_BYTES: usize = 4 << 10;

/// What is not aligned in memory goes by way of a buffer that is.
#[cfg(target_os = "linux")]
const PIECE_BYTES: usize = 1 << 20;

/// Writes the beginning of `bytes` to the beginning of a file, directly. Gives
/// how much that was: all but the last few, and nothing where the file system
/// cannot. The rest is for the caller to write.
#[cfg(target_os = "linux")]
pub(super) fn write(file: &File, bytes: &[u8]) -> io::Result<usize> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    let flags = fcntl_getfl(file)?;
    if fcntl_setfl(file, flags | OFlags::DIRECT).is_err() {
        return Ok(0);
    }
    let whole = bytes.len() / ALIGNED_BYTES * ALIGNED_BYTES;
    let written = write_whole(file, &bytes[..whole]);
    fcntl_setfl(file, flags)?;
    match written {
        Ok(()) => Ok(whole),
        // It takes the flag, and wants another alignment.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn write(_: &File, _: &[u8]) -> io::Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
fn write_whole(file: &File, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt;

    if bytes.as_ptr().align_offset(ALIGNED_BYTES) == 0 {
        return file.write_all_at(bytes, 0);
    }
    let mut buffer = vec![0; PIECE_BYTES + ALIGNED_BYTES];
    let aligned = buffer.as_ptr().align_offset(ALIGNED_BYTES);
    let buffer = &mut buffer[aligned..aligned + PIECE_BYTES];
    let mut offset = 0;
    for piece in bytes.chunks(PIECE_BYTES) {
        let buffer = &mut buffer[..piece.len()];
        buffer.copy_from_slice(piece);
        file.write_all_at(buffer, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_what_was_given_wherever_it_begins_and_ends() {
        // In the working directory: a temporary one may be in memory, which has no direct writes.
        let dir = tempfile::tempdir_in(".").unwrap();
        let can = {
            let probe = File::create_new(dir.path().join("probe")).unwrap();
            rustix::fs::fcntl_setfl(&probe, rustix::fs::OFlags::DIRECT).is_ok()
        };
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES as u64).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
        let aligned = bytes.as_ptr().align_offset(ALIGNED_BYTES);
        for (begin, length) in [(0, 2 * PIECE_BYTES), (0, PIECE_BYTES + 77), (1, PIECE_BYTES + 5000), (512, 4095)] {
            let bytes = &bytes[aligned + begin..][..length];
            let path = dir.path().join(format!("{begin}-{length}"));
            let file = File::create_new(&path).unwrap();
            let written = write(&file, bytes).unwrap();
            assert_eq!(written, if can { length / ALIGNED_BYTES * ALIGNED_BYTES } else { 0 });
            assert!(fs::read(&path).unwrap() == bytes[..written], "{begin}, {length}");
        }
    }

    #[test]
    fn where_nothing_can_be_written_nothing_counts_as_written() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "kept").unwrap();
        let written = write(&File::open(&path).unwrap(), &vec![1; PIECE_BYTES]);
        assert!(!matches!(written, Ok(1..)), "{written:?}");
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }
}
