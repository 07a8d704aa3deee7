//! Names of objects, as said on the command line.

use shoal_types::{BucketName, ObjectName};

use crate::failure::Failure;
use crate::selection::folder;

/// The object of a name.
///
/// # Errors
/// Wrong usage, when the word is no name.
pub(crate) fn object(word: &str) -> Result<ObjectName, Failure> {
    ObjectName::new(word).map_err(|error| Failure::usage(&error, error.hint()))
}

/// The same, where a pattern may stand, too.
pub(crate) fn source(word: &str) -> Result<ObjectName, Failure> {
    object(word).map_err(|failure| match is_folder(word) {
        true => failure.hinting(format!("all that is in it is '{}**'", folder(word))),
        false => failure,
    })
}

/// The same, of what something is to be called.
pub(crate) fn target(word: &str) -> Result<ObjectName, Failure> {
    object(word).map_err(|failure| match is_folder(word) {
        true => failure.hinting(format!("to have it in there, end that in a slash: {}", folder(word))),
        false => failure,
    })
}

/// Whether a word is a bucket, or a path in one.
fn is_folder(word: &str) -> bool {
    let path = word.trim_end_matches('/');
    BucketName::new(path).is_ok() || ObjectName::new(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(named: Result<ObjectName, Failure>) -> (u8, String, String) {
        match named {
            Err(Failure::Told { code, message, hint }) => (code, message, hint),
            other => panic!("{other:?}"),
        }
    }

    /// It was said that a bucket has no bucket, with another exit code by each command.
    #[test]
    fn a_bucket_is_no_object_and_what_is_meant_may_be_what_is_in_it() {
        let (code, message, hint) = told(source("b"));
        assert_eq!((code, hint.as_str()), (2, "all that is in it is 'b/**'"));
        assert_eq!(message, "'b' is not an object name: it is a bucket, and has no key");
        assert_eq!(told(source("b/x/")).2, "all that is in it is 'b/x/**'");
        assert_eq!(told(target("b")).2, "to have it in there, end that in a slash: b/");
        for neither in [told(object("b")), told(source("b//x")), told(target("/x"))] {
            assert!(neither.0 == 2 && neither.2.contains("BUCKET/KEY"), "{neither:?}");
        }
        assert_eq!(object("b/x").unwrap().as_str(), "b/x");
    }
}
