//! The gateway as any HTTP client meets it.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::mesh::{Mesh, Peer};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn etag(&self) -> &str {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with("etag:"));
        line.unwrap_or_else(|| panic!("no ETag in {}", self.head))[5..].trim()
    }
}

/// One request on a connection of its own; `headers` are whole lines.
fn request(peer: &Peer, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(&peer.gateway).unwrap();
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nx-shoal: 1\r\nContent-Length: {}\r\n{lines}\r\n",
        peer.gateway,
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

#[test]
fn a_read_is_of_the_version_that_is_asked_for_or_of_none() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    let path = "/v1/objects/b/x.bin";
    let put = |content: &[u8]| request(peer, "PUT", path, &[], content).etag().to_owned();
    let old = put(&[1; 5_000]);
    let new = put(&[2; 5_000]);
    let (of_old, of_new) = (format!("If-Match: {old}"), format!("If-Match: \"x\", {new}"));
    let get = |headers: &[&str]| request(peer, "GET", path, headers, b"");

    // A download that goes on is never of two versions.
    let rest = get(&["Range: bytes=1000-", &of_old]);
    assert_eq!(rest.status, 412, "{}", rest.head);
    let rest = get(&["Range: bytes=1000-", &of_new]);
    assert!(rest.status == 206 && rest.body == [2; 4_000], "{}", rest.head);
    assert_eq!((get(&[&of_old]).status, get(&[&of_new]).status, get(&["If-Match: *"]).status), (412, 200, 200));

    let head = |header: &str| request(peer, "HEAD", path, &[header], b"").status;
    assert_eq!((head(&of_old), head(&of_new)), (412, 200));
    assert_eq!((head(&format!("If-None-Match: {new}")), head(&format!("If-None-Match: {old}"))), (304, 200));

    // A part does not take the place of the whole.
    for method in ["PUT", "POST"] {
        let part = request(peer, method, path, &["Content-Range: bytes 5-9/10"], b"tail!");
        assert_eq!(part.status, 400, "{}", part.head);
    }
    assert!(get(&[]).body == [2; 5_000]);
}

#[test]
fn a_copy_that_is_asked_for_again_is_what_it_was_whatever_its_source_has_become() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    let put = |content: &[u8]| request(peer, "PUT", "/v1/objects/b/x", &[], content).etag().to_owned();
    let id = format!("x-shoal-request-id: {:032x}", 5);
    let copy = || {
        let json = ["Content-Type: application/json", &id];
        let answer = request(peer, "POST", "/v1/copy", &json, br#"{"from": "b/x", "to": "c/x"}"#);
        assert!(answer.status < 300, "{} {}", answer.head, String::from_utf8_lossy(&answer.body));
        let copied: Value = serde_json::from_slice(&answer.body).unwrap();
        format!("\"{}\"", copied["etag"].as_str().unwrap())
    };
    let first = put(b"first");
    assert_eq!(copy(), first);
    put(b"second");
    assert_eq!(copy(), first, "whoever moves removes its source if it is that version still");
    assert_eq!(peer.ok(&["cat", "c/x"]), "first");
}

/// `DELETE …?versionId=` removed what the name stands for now, and `?prefx=`
/// listed everything.
#[test]
fn a_parameter_that_a_route_does_not_have_is_refused_and_does_nothing() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    let path = "/v1/objects/b/x";
    assert_eq!(request(peer, "PUT", path, &[], b"content").status, 201);
    let check = |method: &str, path: &str, usage: &str| {
        let answer = request(peer, method, path, &[], b"{}");
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.head);
        let body = String::from_utf8_lossy(&answer.body);
        assert!(method == "HEAD" || (body.contains("takes no parameter") && body.contains(usage)), "{body}");
    };
    for method in ["GET", "HEAD", "DELETE", "PUT", "POST"] {
        let usage = if matches!(method, "PUT" | "POST") { "it takes none" } else { "?version=ETAG" };
        check(method, &format!("{path}?versionId=abc"), usage);
    }
    check("GET", "/v1/objects?prefx=h/", "it takes ?prefix=TEXT, ?after=NAME, ?limit=N");
    check("GET", "/v1/manifests/b/x?versionId=abc", "?version=ETAG");
    check("GET", "/v1/versions?prefx=h/", "?after_number=NUMBER");
    check("GET", "/v1/health?fast=true", "?quick=true");
    for path in ["status", "examinations", "buckets", "buckets/b", "jobs", "jobs/x", "chunks/x"] {
        check("GET", &format!("/v1/{path}?a=b"), "it takes none");
    }
    for path in ["copy", "scrub", "sql", "secret/rotate", "members/self/role"] {
        check("POST", &format!("/v1/{path}?a=b"), "it takes none");
    }
    check("PATCH", "/v1/buckets/b?history_s=1", "it takes none");
    check("DELETE", "/v1/jobs/x?force=true", "it takes none");
    assert_eq!(request(peer, "GET", path, &[], b"").body, b"content");
    // Nor is a setting that there is none of.
    assert_eq!(request(peer, "PATCH", "/v1/buckets/b", &[], br#"{"histroy_s": 1}"#).status, 400);
}

#[test]
fn a_change_can_demand_that_something_is_there() {
    let mesh = Mesh::of(1);
    let (peer, path) = (&mesh.peers[0], "/v1/objects/b/x");
    let any = |method: &str, content: &[u8]| request(peer, method, path, &["If-Match: *"], content).status;
    assert_eq!((any("PUT", b"new"), any("DELETE", b"")), (412, 404));
    assert_eq!(request(peer, "PUT", path, &[], b"first").status, 201);
    assert_eq!(any("PUT", b"second"), 201);
    let read = request(peer, "GET", path, &["If-Match: *"], b"");
    assert!(read.status == 200 && read.body == b"second", "{}", read.head);
    assert!(read.head.to_ascii_lowercase().contains("last-modified: "), "{}", read.head);
    let since = ["If-Unmodified-Since: Mon, 30 Nov 2026 19:00:00 GMT"];
    assert_eq!(request(peer, "PUT", path, &since, b"third").status, 400, "a second is too long");
    assert_eq!((any("DELETE", b""), any("PUT", b"third")), (204, 412));
    assert_eq!(request(peer, "GET", "/v1/objects?limit=0", &[], b"").status, 400);
}

#[test]
fn a_chunk_is_read_by_its_name() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    let file = mesh.file("f.bin", &[7; 9_000]);
    peer.ok(&["put", &file, "b/f.bin"]);
    let manifest = peer.json(&["stat", "b/f.bin", "--json"]);
    let hash = manifest["chunk_list"][0]["id"].as_str().unwrap();
    let get = |path: &str, headers: &[&str]| request(peer, "GET", path, headers, b"");
    let chunk = get(&format!("/v1/chunks/{hash}"), &[]);
    assert!(chunk.status == 200 && chunk.body == [7; 9_000], "{}", chunk.head);
    let tag = format!("If-None-Match: {}", chunk.etag());
    assert_eq!(get(&format!("/v1/chunks/{hash}"), &[&tag]).status, 304);
    assert_eq!(get(&format!("/v1/chunks/{}", "0".repeat(64)), &[]).status, 503);
    for strange in ["x", &hash[..63], &format!("{hash}00"), "%2e%2e"] {
        assert_eq!(get(&format!("/v1/chunks/{strange}"), &[]).status, 400, "{strange}");
    }
}
