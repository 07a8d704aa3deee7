use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use crate::failure::Failure;

/// The longest query, in bytes: what a gateway takes.
const SQL_BYTES_MAX: u64 = 1 << 20;

/// The query's text: as given, from a file (`-` is stdin), or from stdin.
pub(crate) fn text(given: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    let text = match (given, file) {
        (Some(text), _) => text,
        (None, Some(path)) if path.as_os_str() != "-" => {
            let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
            read(file).map_err(|error| Failure::file("read", path, &error))?
        }
        (None, None) if std::io::stdin().is_terminal() => {
            return Err(Failure::usage("there is no query", "shoal sql \"SELECT 1\", or -f FILE"));
        }
        _ => read(std::io::stdin().lock())
            .map_err(|error| Failure::request(format!("cannot read the query from stdin: {error}"), ""))?,
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage("the query is empty", "shoal sql \"SELECT 1\""));
    }
    Ok(text.to_owned())
}

fn read(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(SQL_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SQL_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {SQL_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_comes_from_the_line_or_a_file_and_is_never_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\n select 1 \n").unwrap();
        assert_eq!(text(None, Some(file.path())).unwrap(), "select 1");
        assert_eq!(text(Some("select 2".into()), None).unwrap(), "select 2");
        assert!(text(Some("  ".into()), None).is_err());
        assert!(text(None, Some(Path::new("/no/such/file"))).is_err());
        std::fs::write(file.path(), " ".repeat((1 << 20) + 1)).unwrap();
        assert!(text(None, Some(file.path())).is_err());
    }
}
