//! A TCP stream from this process to itself.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Written or read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Sends for `time`; what has arrived counts, until the last byte has.
pub(super) fn mb_per_second(time: Duration) -> Result<f64, Failure> {
    stream(time).map_err(|error| Failure::request(format!("cannot send over loopback: {error}"), ""))
}

fn stream(time: Duration) -> io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let started = Instant::now();
    let sending = std::thread::spawn(move || -> io::Result<()> {
        let piece = vec![1; PIECE_BYTES];
        while started.elapsed() < time {
            sender.write_all(&piece)?;
        }
        // Dropped, the connection ends, and with it the reading.
        Ok(())
    });
    let (mut piece, mut bytes) = (vec![0; PIECE_BYTES], 0);
    loop {
        match receiver.read(&mut piece)? {
            0 => break,
            read => bytes += read as u64,
        }
    }
    let elapsed = started.elapsed();
    sending.join().map_err(|_| io::Error::other("the sender panicked"))??;
    Ok(super::super::mb_per_second(bytes, elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives() {
        assert!(mb_per_second(Duration::from_millis(10)).unwrap() > 0.0);
    }
}
