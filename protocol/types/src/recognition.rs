//! What an object's first bytes tell of its format.

use crate::Format;

/// The magic of each format that has one. bzip2 has the size of its blocks
/// behind the first three bytes, and then the magic of a block or of the end.
const MAGICS: [(&[u8], Format); 5] = [
    (b"PAR1", Format::Parquet),
    (b"Obj\x01", Format::Avro),
    (b"ARROW1\0\0", Format::Arrow),
    (&[0x1f, 0x8b, 8], Format::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Format::Zstd),
];
const BZIP2: &[u8] = b"BZh";
const BZIP2_FOLLOWS: [[u8; 6]; 2] = [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];

/// How a stream of Arrow IPC begins, and a skippable frame of zstd behind its
/// first byte: too common, or of too many, to tell the format by themselves.
const ARROW_STREAM: [u8; 4] = [0xff; 4];
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

impl Format {
    /// So many first bytes tell the format of an object, or all where there are fewer.
    pub const HEAD_BYTES: usize = 10;

    /// The format of an object with this name that begins with these bytes,
    /// where nobody has said one.
    ///
    /// CSV, JSON and text are what the name says: their bytes tell nothing.
    /// Of all else the bytes decide, whatever the name says: a `.gz` that is
    /// none is [`Format::Bytes`]. Without any bytes it is what the name says.
    pub fn of(name: &str, head: &[u8]) -> Self {
        let by_name = Self::of_name(name);
        if !by_name.has_magic() || head.is_empty() || by_name.may_begin_with(head) {
            return by_name;
        }
        Self::of_head(head).unwrap_or(Self::Bytes)
    }

    /// Whether the first bytes have a say, besides the name.
    pub const fn has_magic(self) -> bool {
        match self {
            Self::Csv | Self::Json | Self::Text => false,
            Self::Parquet | Self::Bytes | Self::Avro | Self::Arrow | Self::Gzip | Self::Zstd | Self::Bzip2 => true,
        }
    }

    fn of_head(head: &[u8]) -> Option<Self> {
        if let Some([b'1'..=b'9', follows @ ..]) = head.strip_prefix(BZIP2)
            && BZIP2_FOLLOWS.iter().any(|magic| follows.starts_with(magic))
        {
            return Some(Self::Bzip2);
        }
        MAGICS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, format)| *format)
    }

    /// Whether bytes of a format that was named may begin like this, although
    /// that alone would not tell it.
    fn may_begin_with(self, head: &[u8]) -> bool {
        match self {
            Self::Arrow => head.starts_with(&ARROW_STREAM),
            Self::Zstd => matches!(head, [0x50..=0x5f, skippable @ ..] if skippable.starts_with(&ZSTD_SKIPPABLE)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: [(&[u8], Format); 7] = [
        (b"PAR1\x15\x04\x15\x10\x15\x14", Format::Parquet),
        (b"Obj\x01\x04\x14avro", Format::Avro),
        (b"ARROW1\0\0\xff\xff", Format::Arrow),
        (&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff], Format::Gzip),
        (&[0x28, 0xb5, 0x2f, 0xfd, 4, 0, 0, 0, 0, 0], Format::Zstd),
        (b"BZh91AY&SY", Format::Bzip2),
        (b"BZh9\x17\x72\x45\x38\x50\x90", Format::Bzip2),
    ];

    #[test]
    fn where_the_name_says_nothing_the_first_bytes_tell_the_format() {
        for (head, format) in HEADS {
            assert_eq!(head.len(), Format::HEAD_BYTES);
            assert_eq!(Format::of("b/x", head), format);
            for len in 0..3 {
                assert_eq!(Format::of("b/x", &head[..len]), Format::Bytes, "{len} bytes tell nothing");
            }
        }
        for nothing in [&b"BZh is how it begins"[..], b"ARROW1 is no", &[0xff; 10], b"a,b\n1,2\n", b"{\"a\": 1}\n"] {
            assert_eq!(Format::of("b/x", nothing), Format::Bytes, "{nothing:?}");
        }
    }

    #[test]
    fn a_name_that_its_first_bytes_contradict_says_nothing_but_of_text() {
        for ending in ["parquet", "avro", "arrow", "gz", "zst", "bz2"] {
            let name = format!("b/x.{ending}");
            assert_eq!(Format::of(&name, b"plain text"), Format::Bytes, "{name}");
            assert_eq!(Format::of(&name, b""), Format::of_name(&name), "{name}, of which nothing is known");
            for (head, format) in HEADS {
                assert_eq!(Format::of(&name, head), format, "{name}");
            }
        }
        for (head, _) in HEADS {
            assert_eq!(Format::of("b/x.csv", head), Format::Csv);
        }
        assert_eq!(Format::of("b/x.arrows", &[0xff, 0xff, 0xff, 0xff, 0x98, 0, 0, 0, 0x10, 0]), Format::Arrow);
        assert_eq!(Format::of("b/x.zst", &[0x5e, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2]), Format::Zstd);
    }
}
