use super::{HEAD_BYTES_MAX, Step, Units};

/// The blocks of an Avro file (Avro 1.12, "Object Container Files"): a head
/// that ends in a marker, then blocks that say how long they are, each
/// followed by the marker.
#[derive(Debug, Default)]
pub(crate) struct Avro {
    marker: Option<[u8; MARKER_BYTES]>,
    /// The data of a block was passed, and its marker follows.
    at_marker: bool,
}

const MAGIC: &[u8] = b"Obj\x01";
const MARKER_BYTES: usize = 16;

/// Why something does not read.
enum Trouble {
    /// It takes so many bytes, or more.
    Short(usize),
    Bad,
}

/// Reads what stands one after the other.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], Trouble> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)).ok_or(Trouble::Bad)?;
        let taken = self.bytes.get(self.at..end).ok_or(Trouble::Short(end))?;
        self.at = end;
        Ok(taken)
    }

    /// A number in zigzag code, of ten bytes at most.
    fn long(&mut self) -> Result<i64, Trouble> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(Trouble::Bad)
    }

    fn length(&mut self) -> Result<u64, Trouble> {
        u64::try_from(self.long()?).map_err(|_| Trouble::Bad)
    }

    /// The head: magic, a map of bytes, and the marker.
    fn head(&mut self) -> Result<[u8; MARKER_BYTES], Trouble> {
        if !self.bytes.iter().zip(MAGIC).all(|(byte, magic)| byte == magic) {
            return Err(Trouble::Bad);
        }
        self.take(MAGIC.len() as u64)?;
        loop {
            let entries = self.long()?;
            if entries < 0 {
                // How many bytes they are is said too.
                self.length()?;
            }
            for _ in 0..entries.unsigned_abs() {
                for _key_and_value in 0..2 {
                    let length = self.length()?;
                    self.take(length)?;
                }
            }
            if entries == 0 {
                return self.take(MARKER_BYTES as u64)?.try_into().map_err(|_| Trouble::Bad);
            }
        }
    }

    /// The length of a block's data.
    fn block(&mut self) -> Result<u64, Trouble> {
        self.length()?;
        self.length()
    }
}

impl Avro {
    fn walk(&mut self, bytes: &[u8]) -> Result<Step, Trouble> {
        let mut reader = Reader { bytes, at: 0 };
        let Some(marker) = self.marker else {
            self.marker = Some(reader.head()?);
            return Ok(Step::Within(reader.at as u64));
        };
        if self.at_marker {
            if reader.take(MARKER_BYTES as u64)? != marker {
                return Err(Trouble::Bad);
            }
            self.at_marker = false;
            return Ok(Step::End(MARKER_BYTES as u64));
        }
        let data_bytes = reader.block()?;
        self.at_marker = true;
        data_bytes.checked_add(reader.at as u64).map(Step::Within).ok_or(Trouble::Bad)
    }
}

impl Units for Avro {
    fn step(&mut self, bytes: &[u8]) -> Step {
        match self.walk(bytes) {
            Ok(step) => step,
            Err(Trouble::Short(bytes)) if bytes <= HEAD_BYTES_MAX => Step::Need(bytes),
            Err(Trouble::Short(_) | Trouble::Bad) => Step::Lost,
        }
    }

    fn rewind(&mut self) {
        self.at_marker = false;
    }
}
