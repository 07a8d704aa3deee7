//! Every decoder of bytes that somebody else made, and what must hold of it.
//!
//! Bytes are foreign when they come from a stranger at the port, from an
//! admitted peer, from a person, or back from a disk. A [`Target`] is a function
//! that takes any of them: it decodes, asserts, and returns. Nothing panics; a
//! value takes memory in proportion to its bytes; what decodes encodes, and
//! decodes to the same; and what a state machine is told that way keeps it
//! within its bounds.
//!
//! ```text
//!   Target { run, seeds } ──▶ tests       a few thousand mutated seeds each, with every change
//!                         └─▶ cargo fuzz  as long as one likes, led by coverage (`fuzz/README.md`)
//! ```
//!
//! A new decoder of foreign bytes gets a target, or becomes part of one.

mod frames;
mod job;
mod log;
mod memory;
mod register;
mod script;
mod swim;
#[cfg(test)]
mod tests;
mod text;

use shoal_net::fuzzing as net;

/// Something that decodes.
pub struct Target {
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
    /// Bytes as they are in earnest, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// All of them, in the order in which bytes meet them.
pub const TARGETS: &[Target] = &[
    target("mux", net::mux, frames::streams),
    target("admission", net::admission, net::admissions),
    target("gossip_frames", net::gossip_frames, frames::on_a_stream),
    target("flow_frames", net::flow_frames, frames::on_a_stream),
    target("call_heads", net::call_heads, frames::call_heads),
    target("gossip", frames::gossip, frames::gossips),
    target("request", frames::request, frames::requests),
    target("answer", frames::answer, frames::answers),
    target("flow_header", frames::flow_header, frames::flow_headers),
    target("flow_answer", frames::flow_answer, frames::flow_answers),
    target("kept", frames::kept, frames::all_kept),
    target("swim", swim::run, swim::seeds),
    target("register", register::run, register::seeds),
    target("job", job::run, job::seeds),
    target("log", log::run, log::seeds),
    target("text", text::run, text::seeds),
];

/// Runs the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(bytes);
}
