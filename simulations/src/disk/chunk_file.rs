use shoal_types::{ChunkId, Copies};

/// The chunk whose file this is, `chunks/ab/cdef…`, and how many copies there
/// are to be of it: `.r2` at the end, where that is a number of its own.
pub(crate) fn chunk_at(path: &str) -> Option<(ChunkId, Copies)> {
    let (dir, file) = path.strip_prefix("chunks/")?.split_once('/')?;
    let (name, copies) = match file.split_once(".r") {
        Some((name, copies)) => (name, Copies::from(copies.parse::<u8>().ok()?)),
        None => (file, Copies::DEFAULT),
    };
    Some((format!("{dir}{name}").parse().ok()?, copies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_chunk_and_how_many_copies_there_are_to_be() {
        let chunk = ChunkId::of(b"x");
        let text = chunk.to_string();
        let path = format!("chunks/{}/{}", &text[..2], &text[2..]);
        assert_eq!(chunk_at(&path), Some((chunk, Copies::DEFAULT)));
        assert_eq!(chunk_at(&format!("{path}.r1")), Some((chunk, Copies::from(1))));
        assert_eq!(chunk_at("registers/1"), None);
    }
}
