use shoal_types::ChunkId;

/// The directory of all chunks.
pub(super) const CHUNKS: &str = "chunks";

/// The directory of a chunk: its first byte, so that no directory holds too many.
pub(super) fn dir(id: ChunkId) -> String {
    format!("{CHUNKS}/{:.2}", id.to_string())
}

pub(super) fn file(id: ChunkId) -> String {
    let name = id.to_string();
    format!("{CHUNKS}/{}/{}", &name[..2], &name[2..])
}

/// The chunk in `chunks/dir/file`; `None` for a stranger's file.
pub(super) fn parse(dir: &str, file: &str) -> Option<ChunkId> {
    let id = format!("{dir}{file}").parse::<ChunkId>().ok()?;
    // Hex in capitals also parses, but is not the name that we give.
    (self::file(id) == format!("{CHUNKS}/{dir}/{file}")).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_back_to_its_chunk_and_a_strangers_to_none() {
        let id = ChunkId::of(b"x");
        let path = file(id);
        let parts: Vec<&str> = path.split('/').collect();
        assert_eq!(format!("{}/{}", parts[0], parts[1]), dir(id));
        assert_eq!(parse(parts[1], parts[2]), Some(id));
        assert_eq!(parse(parts[1], &parts[2].to_uppercase()), None);
        assert_eq!(parse("lost+found", "x"), None);
    }
}
