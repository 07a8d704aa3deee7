use shoal_types::{ChunkId, Copies};

/// The directory of all chunks.
pub(super) const CHUNKS: &str = "chunks";

/// Comes before the number of copies that there are to be of a chunk, in the
/// names of those that have a number of their own.
const COPIES: &str = ".r";

/// The directory of a chunk: its first byte, so that no directory holds too many.
pub(super) fn dir(id: ChunkId) -> String {
    format!("{CHUNKS}/{:.2}", id.to_string())
}

/// Whether that is what such a directory is called.
pub(super) fn is_shard(dir: &str) -> bool {
    dir.len() == 2 && dir.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn file(id: ChunkId, copies: Copies) -> String {
    let name = id.to_string();
    let copies = copies.number().map_or_else(String::new, |copies| format!("{COPIES}{copies}"));
    format!("{CHUNKS}/{}/{}{copies}", &name[..2], &name[2..])
}

/// The chunk in `chunks/dir/file`, and how many copies there are to be of it;
/// `None` for a stranger's file.
pub(super) fn parse(dir: &str, file: &str) -> Option<(ChunkId, Copies)> {
    let (name, copies) = match file.split_once(COPIES) {
        Some((name, copies)) => (name, Copies::from(copies.parse::<u8>().ok()?)),
        None => (file, Copies::DEFAULT),
    };
    let id = format!("{dir}{name}").parse::<ChunkId>().ok()?;
    // Hex in capitals also parses, but is not the name that we give.
    (self::file(id, copies) == format!("{CHUNKS}/{dir}/{file}")).then_some((id, copies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_back_to_its_chunk_and_a_strangers_to_none() {
        let id = ChunkId::of(b"x");
        for copies in [Copies::DEFAULT, Copies::from(1), Copies::from(7)] {
            let path = file(id, copies);
            let parts: Vec<&str> = path.split('/').collect();
            assert_eq!(format!("{}/{}", parts[0], parts[1]), dir(id));
            assert_eq!(parse(parts[1], parts[2]), Some((id, copies)));
            assert_eq!(parse(parts[1], &parts[2].to_uppercase()), None);
        }
        let path = file(id, Copies::DEFAULT);
        for ending in [".r0", ".r8", ".r", ".r01", ".r1.r1", ".x"] {
            let parts: Vec<&str> = path.split('/').collect();
            assert_eq!(parse(parts[1], &format!("{}{ending}", parts[2])), None, "{ending}");
        }
        assert_eq!(parse("lost+found", "x"), None);
    }
}
