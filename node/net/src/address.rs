//! Addresses: `HOST:PORT` for people and peers, multiaddresses for libp2p.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use shoal_types::{Error, Result};

/// No longer address is kept. A DNS name has at most 253 bytes.
pub(crate) const BYTES_MAX: usize = 260;

/// A name may stand for many machines; this many of its addresses are tried.
const RESOLVED_MAX: usize = 8;

/// Whether `text` has the shape `HOST:PORT`.
pub(crate) fn is_host_port(text: &str) -> bool {
    text.len() <= BYTES_MAX
        && text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && port.parse::<u16>().is_ok_and(|port| port != 0)
                && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
        })
}

pub(crate) fn to_multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

/// `None` unless it begins with an IP address and a TCP port.
pub(crate) fn from_multiaddr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// An address of libp2p as people write it.
pub(crate) fn describe(address: &Multiaddr) -> String {
    from_multiaddr(address).map_or_else(|| address.to_string(), |address| address.to_string())
}

/// Where the names lead, asking the system's resolver where it must. What
/// does not resolve is left out; the last failure is told if nothing is left.
pub(crate) async fn resolve(addresses: &[String]) -> Result<Vec<Multiaddr>, String> {
    let mut found = Vec::new();
    let mut why = "it has no address".to_string();
    for address in addresses {
        if let Ok(literal) = address.parse::<SocketAddr>() {
            found.push(literal);
            continue;
        }
        match tokio::net::lookup_host(address.as_str()).await {
            Ok(resolved) => found.extend(resolved.take(RESOLVED_MAX)),
            Err(error) => why = format!("the name in {address} does not resolve: {error}"),
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| address.port() != 0 && !address.ip().is_unspecified() && seen.insert(*address));
    if found.is_empty() { Err(why) } else { Ok(found.into_iter().map(to_multiaddr).collect()) }
}

/// Fails in clear words when `address` cannot be listened at.
///
/// libp2p listens with SO_REUSEPORT, with which the kernel lets two processes
/// of one user share a port without a word. A plain bind does not.
pub(crate) fn check_free(address: SocketAddr) -> Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    TcpListener::bind(address).map(drop).map_err(|error| cannot_listen(address, &error))
}

pub(crate) fn cannot_listen(address: SocketAddr, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => Error::invalid(
            format!("cannot listen at {address}: another process has the port"),
            "stop that process, or listen elsewhere (port 0 takes any free one)",
        ),
        io::ErrorKind::AddrNotAvailable => Error::invalid(
            format!("cannot listen at {address}: this machine does not have the address"),
            "0.0.0.0 listens at every address that it has",
        ),
        io::ErrorKind::PermissionDenied => Error::invalid(
            format!("cannot listen at {address}: not permitted"),
            "ports below 1024 need privileges; take a higher one",
        ),
        _ => Error::invalid(format!("cannot listen at {address}: {error}"), "listen elsewhere"),
    }
}

/// The order in which to offer listening addresses: those that others are
/// most likely to reach first, loopback last. Link-local ones need a zone
/// that others cannot know, and are left out.
pub(crate) fn presentable(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.retain(|address| match address.ip() {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    });
    addresses.sort_by_key(|address| (address.ip().is_loopback(), address.is_ipv6(), *address));
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_offered_last_and_link_local_not_at_all() {
        let addresses = ["127.0.0.1:7", "[fe80::1]:7", "10.0.0.1:7", "[2001:db8::1]:7", "169.254.0.1:7"];
        let sorted = presentable(addresses.iter().map(|text| text.parse().unwrap()).collect());
        let expected: Vec<SocketAddr> =
            ["10.0.0.1:7", "[2001:db8::1]:7", "127.0.0.1:7"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn only_host_and_port_is_an_address() {
        for good in ["peer-1:7000", "10.0.0.1:1", "[::1]:65535"] {
            assert!(is_host_port(good), "{good}");
        }
        for bad in ["", "peer", ":7000", "peer:", "peer:0", "peer:70000", "a b:1", "http://x:1", "x\n:1"] {
            assert!(!is_host_port(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_address_survives_libp2p() {
        for text in ["10.0.0.1:80", "[::1]:7000"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(from_multiaddr(&to_multiaddr(address)), Some(address));
        }
    }
}
