//! What follows the `?`. As of [conditions](crate::condition), what cannot be
//! asked for is refused, never ignored.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shoal_types::{Error, Result};

use crate::reply::Failure;

/// What a request asks for by its query, all of which is known.
#[derive(Debug)]
pub(crate) struct Asked<Q>(pub(crate) Q);

/// The parameters of a route.
pub(crate) trait Parameters: DeserializeOwned {
    /// Each with what it takes, as `limit=N`.
    const USAGE: &'static [&'static str];
}

/// Of a route that has none.
#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

impl Parameters for Nothing {
    const USAGE: &'static [&'static str] = &[];
}

impl<Q: Parameters, S: Sync> FromRequestParts<S> for Asked<Q> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let pairs: Query<Vec<(String, String)>> = query(parts, Q::USAGE)?;
        let is_known = |name: &str| Q::USAGE.iter().any(|usage| usage.split('=').next() == Some(name));
        if let Some((unknown, _)) = pairs.0.iter().find(|(name, _)| !is_known(name)) {
            let shown: String = unknown.chars().take(80).filter(|c| !c.is_control()).collect();
            let what = format!("{} {} takes no parameter '{shown}'", parts.method, parts.uri.path());
            return Err(Error::invalid(what, hint(Q::USAGE)).into());
        }
        let Query(asked) = query(parts, Q::USAGE)?;
        Ok(Self(asked))
    }
}

/// How many a page has: as many as are asked for, and `most` at the most.
pub(crate) fn limit(asked: Option<u32>, most: u32) -> Result<u32> {
    match asked {
        Some(0) => Err(Error::invalid("a page of nothing", format!("?limit=N, from 1 to {most}"))),
        asked => Ok(asked.unwrap_or(most).min(most)),
    }
}

fn query<T: DeserializeOwned>(parts: &Parts, usage: &[&str]) -> Result<Query<T>> {
    Query::try_from_uri(&parts.uri).map_err(|error| Error::invalid(error.body_text(), hint(usage)))
}

fn hint(usage: &[&str]) -> String {
    match usage {
        [] => "it takes none".into(),
        [first, rest @ ..] => rest.iter().fold(format!("it takes ?{first}"), |hint, usage| format!("{hint}, ?{usage}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[derive(Debug, Deserialize)]
    struct Two {
        #[serde(default)]
        all: bool,
        limit: Option<u32>,
    }

    impl Parameters for Two {
        const USAGE: &'static [&'static str] = &["all=true", "limit=N"];
    }

    async fn asked<Q: Parameters>(query: &str) -> Result<Q, String> {
        let (mut parts, ()) = Request::delete(format!("/v1/x{query}")).body(()).unwrap().into_parts();
        let asked = Asked::<Q>::from_request_parts(&mut parts, &()).await;
        asked.map(|asked| asked.0).map_err(|failure| format!("{:?}", failure))
    }

    #[test]
    fn a_page_has_as_many_as_are_asked_for_and_never_none() {
        assert_eq!([None, Some(7), Some(2_000)].map(|asked| limit(asked, 1_000)), [Ok(1_000), Ok(7), Ok(1_000)]);
        assert!(limit(Some(0), 1_000).is_err());
    }

    /// `DELETE …?versionId=` removed what the name stands for now.
    #[tokio::test]
    async fn what_cannot_be_asked_for_is_refused_with_what_can() {
        let two = asked::<Two>("?limit=3&all=true").await.unwrap();
        assert_eq!((two.all, two.limit), (true, Some(3)));
        assert!(!asked::<Two>("").await.unwrap().all);
        let refused = asked::<Two>("?limit=3&versionId=abc").await.unwrap_err();
        assert!(refused.contains("DELETE /v1/x takes no parameter 'versionId'"), "{refused}");
        assert!(refused.contains("it takes ?all=true, ?limit=N"), "{refused}");
        for strange in ["?limit=x", "?limit=1&limit=2", "?all", "?ALL=true", "?=1"] {
            assert!(asked::<Two>(strange).await.is_err(), "{strange}");
        }
        assert!(asked::<Nothing>("").await.is_ok() && asked::<Nothing>("?").await.is_ok());
        assert!(asked::<Nothing>("?all=true").await.unwrap_err().contains("it takes none"));
    }
}
