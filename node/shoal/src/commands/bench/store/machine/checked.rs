//! What a peer cannot do without, done without a peer: bytes that cross a
//! socket, and are hashed on the way to or from a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

/// Read or written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Sends a file over loopback to a file that is synced, its BLAKE3
/// computed on the way: what a put of one copy comes to.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let send = |mut stream: TcpStream| {
        let (mut from, mut piece) = (File::open(from)?, vec![0; PIECE_BYTES]);
        loop {
            match from.read(&mut piece)? {
                0 => return Ok(()),
                read => stream.write_all(&piece[..read])?,
            }
        }
    };
    over_loopback(send, |mut stream| {
        let (mut to, mut piece) = (File::create(to)?, vec![0; PIECE_BYTES]);
        let mut blake3 = blake3::Hasher::new();
        loop {
            match stream.read(&mut piece)? {
                0 => break,
                read => {
                    blake3.update(&piece[..read]);
                    to.write_all(&piece[..read])?;
                }
            }
        }
        std::hint::black_box(blake3.finalize());
        to.sync_data()
    })
}

/// Reads a file whole, checks its BLAKE3, and sends it over loopback to
/// somebody who drops it: what a get comes to.
pub(super) fn read(path: &Path) -> io::Result<()> {
    let send = |mut stream: TcpStream| {
        let bytes = std::fs::read(path)?;
        std::hint::black_box(blake3::hash(&bytes));
        stream.write_all(&bytes)
    };
    over_loopback(send, |mut stream| {
        let mut piece = vec![0; PIECE_BYTES];
        while stream.read(&mut piece)? > 0 {}
        Ok(())
    })
}

/// A connection of this process to itself, with a thread of its own for who sends.
fn over_loopback(
    send: impl FnOnce(TcpStream) -> io::Result<()> + Send,
    receive: impl FnOnce(TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    std::thread::scope(|scope| {
        // The connection ends with the sender, and with it the receiving.
        let sending = scope.spawn(|| send(sender));
        let received = receive(receiver);
        let sent = sending.join().unwrap_or_else(|_| Err(io::Error::other("the sender panicked")));
        received.and(sent)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_over_a_socket_is_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        let bytes: Vec<u8> = (0..PIECE_BYTES * 2 + 5).map(|at| at as u8).collect();
        std::fs::write(&from, &bytes).unwrap();
        copy(&from, &to).unwrap();
        assert!(std::fs::read(&to).unwrap() == bytes);
        read(&to).unwrap();
        assert!(read(&dir.path().join("none")).is_err());
    }
}
