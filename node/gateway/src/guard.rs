//! Keeps web pages out: see the crate's page for the three ways.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use shoal_types::Error;

use crate::MARK_HEADER;
use crate::reply::Failure;

/// Lets a request through that may come from a program on this machine.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    match check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => Failure::with_status(StatusCode::FORBIDDEN, error).into_response(),
    }
}

fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|value| value.to_str().ok()).unwrap_or("");
    let named = uri.authority().map_or(host, |authority| authority.as_str());
    if hosts.next().is_some() || !is_loopback_host(host) || !is_loopback_host(named) {
        return Err(Error::invalid(
            format!("the request is for host '{}', and this gateway serves its own machine only", shown(host)),
            "ask for http://127.0.0.1:PORT; from another machine, through: ssh -L PORT:127.0.0.1:PORT HOST",
        ));
    }
    let reads_only = method == Method::GET || method == Method::HEAD;
    if !reads_only && headers.get(MARK_HEADER).is_none_or(|value| value != "1") {
        return Err(Error::invalid(
            format!("a {method} request needs the header '{MARK_HEADER}: 1'"),
            "with curl: -H 'x-shoal: 1'. It keeps web pages from driving the mesh",
        ));
    }
    Ok(())
}

/// Whether a `Host` header names this machine by a loopback name: `localhost`,
/// `127.0.0.0/8` or `[::1]`, with or without a port.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, rest)) => match rest.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A host as it may be repeated in a message.
fn shown(host: &str) -> String {
    host.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_loopback_names_are_hosts() {
        for good in ["localhost", "LOCALHOST:7480", "127.0.0.1", "127.0.0.1:7480", "127.9.9.9:1", "[::1]", "[::1]:7480"]
        {
            assert!(is_loopback_host(good), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "localhost.example.com",
            "localhost:example.com",
            "127.0.0.1.nip.io",
            "10.0.0.1:7480",
            "0.0.0.0",
            "[::]",
            "::1",
            "[::1]x",
            "127.0.0.1:7480:1",
            "user@localhost",
        ] {
            assert!(!is_loopback_host(bad), "{bad}");
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_web_page_can_neither_rebind_nor_write() {
        let here = Uri::from_static("/v1/status");
        let host = ("host", "127.0.0.1:7480");
        assert!(check(&Method::GET, &here, &headers(&[host])).is_ok());
        assert!(check(&Method::GET, &here, &headers(&[("host", "evil.example")])).is_err());
        assert!(check(&Method::GET, &here, &headers(&[])).is_err());
        assert!(check(&Method::GET, &here, &headers(&[host, ("host", "evil.example")])).is_err());
        assert!(check(&Method::GET, &Uri::from_static("http://evil.example/v1/status"), &headers(&[host])).is_err());
        assert!(check(&Method::POST, &here, &headers(&[host])).is_err());
        assert!(check(&Method::OPTIONS, &here, &headers(&[host])).is_err());
        assert!(check(&Method::DELETE, &here, &headers(&[host, ("x-shoal", "1")])).is_ok());
    }
}
