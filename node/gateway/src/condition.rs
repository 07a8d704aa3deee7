//! Conditional requests: `If-Match` and `If-None-Match`.

use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use data_encoding::BASE64;
use shoal_runtime::{ContentMd5, PutCondition, Terms};
use shoal_types::{AppendId, Error, Etag, ParseIdError, Result};

use crate::{CONTENT_MD5_HEADER, KEEP_MD5, MD5_HEADER, REQUEST_ID_HEADER};

/// What a change demands of the name before it. What cannot be demanded is
/// refused, never ignored: a client that asked for safety must get it.
pub(crate) fn of_change(headers: &HeaderMap) -> Result<PutCondition> {
    let hint = "If-Match: \"ETAG\" demands that version, If-Match: * any, If-None-Match: * that there is none";
    if headers.contains_key(IF_UNMODIFIED_SINCE) {
        return Err(Error::invalid("If-Unmodified-Since cannot be demanded: much changes within a second", hint));
    }
    match (text(headers, IF_MATCH.as_str())?, text(headers, IF_NONE_MATCH.as_str())?) {
        (None, None) => Ok(PutCondition::Always),
        (None, Some("*")) => Ok(PutCondition::IfAbsent),
        (Some("*"), None) => Ok(PutCondition::IfPresent),
        (Some(tag), None) => match strong_tag(tag) {
            Some(tag) => Ok(PutCondition::IfMatch(Etag(tag.into()))),
            None => Err(Error::invalid(format!("If-Match: {tag} is not one strong entity tag"), hint)),
        },
        (None, Some(tag)) => Err(Error::invalid(format!("If-None-Match: {tag} cannot be demanded of a change"), hint)),
        (Some(_), Some(_)) => Err(Error::invalid("If-Match and If-None-Match exclude each other", hint)),
    }
}

/// On which terms a name is written.
pub(crate) fn terms(headers: &HeaderMap) -> Result<Terms> {
    Ok(Terms { condition: of_change(headers)?, request: id(headers, REQUEST_ID_HEADER)? })
}

/// What becomes of the MD5 of a body.
pub(crate) fn md5(headers: &HeaderMap) -> Result<ContentMd5> {
    if let Some(digest) = text(headers, CONTENT_MD5_HEADER)? {
        let bytes = BASE64.decode(digest.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        return bytes
            .map(ContentMd5::Expected)
            .ok_or_else(|| Error::invalid(format!("Content-MD5: {digest} is no MD5"), "it is the base64 of 16 bytes"));
    }
    match text(headers, MD5_HEADER)? {
        None => Ok(ContentMd5::Left),
        Some(KEEP_MD5) => Ok(ContentMd5::Kept),
        Some(other) => Err(Error::invalid(
            format!("{MD5_HEADER}: {other} asks for nothing that is known"),
            format!("{MD5_HEADER}: {KEEP_MD5} has the MD5 computed and kept, Content-MD5 has it checked too"),
        )),
    }
}

/// The id in a header, if there is one.
pub(crate) fn id(headers: &HeaderMap, header: &str) -> Result<Option<AppendId>> {
    let parsed = text(headers, header)?.map(str::parse).transpose();
    parsed.map_err(|error: ParseIdError| {
        Error::invalid(error.to_string(), format!("{header} is 32 hex digits, drawn for each request"))
    })
}

/// On which terms a DELETE removes the name.
pub(crate) fn of_delete(headers: &HeaderMap) -> Result<Terms> {
    let terms = terms(headers)?;
    if terms.condition == PutCondition::IfAbsent {
        let hint = "If-Match: \"ETAG\" removes only that version";
        return Err(Error::invalid("what is absent cannot be removed", hint));
    }
    Ok(terms)
}

/// The version that alone may be appended to.
pub(crate) fn of_append(headers: &HeaderMap) -> Result<Option<Etag>> {
    match of_change(headers)? {
        PutCondition::Always => Ok(None),
        PutCondition::IfPresent => {
            Err(Error::invalid("If-Match: * cannot be demanded of an append", "demand the version that is there"))
        }
        PutCondition::IfMatch(etag) => Ok(Some(etag)),
        PutCondition::IfAbsent => {
            Err(Error::invalid("nothing can be appended to what is absent", "PUT it with If-None-Match: *"))
        }
    }
}

/// Whether the client of a GET has this version already.
pub(crate) fn is_known(headers: &HeaderMap, etag: &Etag) -> bool {
    let Some(header) = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else { return false };
    header.split(',').map(str::trim).any(|tag| {
        // A GET compares weakly (RFC 9110, section 13.1.2).
        tag == "*" || strong_tag(tag.strip_prefix("W/").unwrap_or(tag)) == Some(etag.0.as_str())
    })
}

/// Whether the client of a GET wants another version than this one, or none
/// (RFC 9110, section 13.1.1).
pub(crate) fn is_unwanted(headers: &HeaderMap, etag: &Etag) -> bool {
    let mut values = headers.get_all(IF_MATCH).iter().peekable();
    let is_asked = values.peek().is_some();
    let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    is_asked && !tags.any(|tag| tag == "*" || strong_tag(tag) == Some(etag.0.as_str()))
}

/// The tag in `"tag"`, also without the quotes. A weak tag, a list and `*`
/// are none.
pub(crate) fn strong_tag(text: &str) -> Option<&str> {
    let tag = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    (!tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')).then_some(tag)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|_| values.next().is_none());
    text.map(Some).ok_or_else(|| Error::invalid(format!("the header {name} is not one line of text"), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, axum::http::HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_put_is_conditional_as_asked_or_refused() {
        assert_eq!(of_change(&headers(&[])), Ok(PutCondition::Always));
        assert_eq!(of_change(&headers(&[("if-none-match", "*")])), Ok(PutCondition::IfAbsent));
        assert_eq!(of_change(&headers(&[("if-match", "*")])), Ok(PutCondition::IfPresent));
        let tag = PutCondition::IfMatch(Etag("ab12".into()));
        assert_eq!(of_change(&headers(&[("if-match", "\"ab12\"")])), Ok(tag.clone()));
        assert_eq!(of_change(&headers(&[("if-match", "ab12")])), Ok(tag));
        for refused in [
            &[("if-match", "W/\"ab12\"")][..],
            &[("if-unmodified-since", "Mon, 30 Nov 2026 19:00:00 GMT")],
            &[("if-match", "\"a\", \"b\"")],
            &[("if-none-match", "\"a\"")],
            &[("if-match", "\"a\""), ("if-none-match", "*")],
            &[("if-match", "\"a\""), ("if-match", "\"b\"")],
        ] {
            assert!(of_change(&headers(refused)).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn an_md5_is_left_out_kept_or_expected() {
        assert_eq!(md5(&headers(&[])), Ok(ContentMd5::Left));
        assert_eq!(md5(&headers(&[(MD5_HEADER, KEEP_MD5)])), Ok(ContentMd5::Kept));
        let empty = [0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0, 0xb2, 4, 0xe9, 0x80, 9, 0x98, 0xec, 0xf8, 0x42, 0x7e];
        let expected = md5(&headers(&[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]));
        assert_eq!(expected, Ok(ContentMd5::Expected(empty)));
        for refused in [("content-md5", "1B2M2Y8A"), ("content-md5", "?"), (MD5_HEADER, "yes")] {
            assert!(md5(&headers(&[refused])).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_delete_is_of_any_version_or_of_one() {
        assert_eq!(of_delete(&headers(&[])), Ok(PutCondition::Always.into()));
        let version = PutCondition::IfMatch(Etag("ab12".into()));
        assert_eq!(of_delete(&headers(&[("if-match", "\"ab12\"")])), Ok(version.into()));
        let id = of_delete(&headers(&[(REQUEST_ID_HEADER, "000102030405060708090a0b0c0d0e0f")])).unwrap().request;
        assert_eq!(id, Some(AppendId::from_bytes(std::array::from_fn(|at| at as u8))));
        for refused in ["*", "\"ab12\""] {
            let refused = of_delete(&headers(&[("if-none-match", refused)])).unwrap_err().to_string();
            assert!(!refused.contains("PUT"), "{refused}");
        }
    }

    #[test]
    fn an_append_is_to_any_version_or_to_one() {
        assert_eq!(of_append(&headers(&[])), Ok(None));
        assert_eq!(of_append(&headers(&[("if-match", "\"ab12-3\"")])), Ok(Some(Etag("ab12-3".into()))));
        for refused in [("if-none-match", "*"), ("if-match", "*")] {
            assert!(of_append(&headers(&[refused])).is_err());
        }
    }

    #[test]
    fn a_get_is_answered_briefly_when_the_client_has_the_version() {
        let etag = Etag("ab12".into());
        assert!(is_known(&headers(&[("if-none-match", "\"x\", W/\"ab12\"")]), &etag));
        assert!(is_known(&headers(&[("if-none-match", "*")]), &etag));
        assert!(!is_known(&headers(&[("if-none-match", "\"x\"")]), &etag));
        assert!(!is_known(&headers(&[]), &etag));
    }

    #[test]
    fn a_get_of_one_version_is_of_no_other() {
        let etag = Etag("ab12".into());
        for wanted in [
            &[][..],
            &[("if-match", "*")],
            &[("if-match", "\"x\", \"ab12\"")],
            &[("if-match", "\"x\""), ("if-match", "\"ab12\"")],
        ] {
            assert!(!is_unwanted(&headers(wanted), &etag), "{wanted:?}");
        }
        for other in ["\"x\"", "W/\"ab12\"", ""] {
            assert!(is_unwanted(&headers(&[("if-match", other)]), &etag), "{other}");
        }
    }
}
