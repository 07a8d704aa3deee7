//! Objects that are larger than what a peer may have in memory.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::mesh::{Mesh, Peer, SHOAL};

/// Of the object. A peer that gathered it, on its way in or out, would need as much.
const BYTES: usize = 1 << 30;

/// What a peer may need at most, in all.
const MEMORY_BYTES: u64 = (BYTES / 2) as u64;

const PIECE_BYTES: usize = 1 << 20;

/// What is put: pieces of noise, no two alike.
struct Pieces(Vec<u8>);

impl Pieces {
    const NUMBER: usize = BYTES / PIECE_BYTES;

    fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        Self((0..PIECE_BYTES).map(|_| next()).collect())
    }

    fn nth(&mut self, number: usize) -> &[u8] {
        self.0[..size_of::<usize>()].copy_from_slice(&number.to_le_bytes());
        &self.0
    }
}

fn put(peer: &Peer, name: &str) {
    let mut command = Command::new(SHOAL);
    command.args(["put", "-", name]).env("SHOAL_PEER", &peer.gateway);
    let mut put = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    let mut pieces = Pieces::new();
    (0..Pieces::NUMBER).for_each(|at| input.write_all(pieces.nth(at)).unwrap());
    drop(input);
    assert!(put.wait().unwrap().success());
}

/// Reads an object, and does nothing for a while after its beginning.
fn read(peer: &Peer, name: &str) {
    let mut command = Command::new(SHOAL);
    command.args(["cat", name]).env("SHOAL_PEER", &peer.gateway);
    let mut cat = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = cat.stdout.take().unwrap();
    let (mut pieces, mut got) = (Pieces::new(), vec![0; PIECE_BYTES]);
    for at in 0..Pieces::NUMBER {
        output.read_exact(&mut got).unwrap();
        assert!(got == pieces.nth(at), "piece {at} at {}", peer.name);
        if at == 0 {
            std::thread::sleep(Duration::from_secs(2));
        }
    }
    assert_eq!(output.read(&mut got).unwrap(), 0, "more than was put");
    assert!(cat.wait().unwrap().success());
}

#[test]
fn an_object_goes_through_peers_that_could_not_hold_it_in_memory() {
    let mesh = Mesh::with(2, &["--replicas", "1"]);
    put(&mesh.peers[0], "b/large.bin");
    // Half of the chunks are elsewhere, whoever is asked.
    mesh.peers.iter().for_each(|peer| read(peer, "b/large.bin"));
    for peer in &mesh.peers {
        let most = peer.memory("VmHWM");
        assert!(most < MEMORY_BYTES, "{} needed {most} bytes", peer.name);
    }
}
