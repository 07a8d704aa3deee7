//! What Shoal promises, held against real processes: one module per promise.
//!
//! Each test starts peers of its own, in directories of its own, on ports that
//! the system chooses, and speaks to them as a user does: by the command line.

mod lan;
mod mesh;

mod admission;
mod append;
mod bad_input;
mod bench;
mod buckets;
mod changing;
mod demo;
mod detection;
mod dev;
mod disks;
mod durability;
mod embedded;
mod http;
mod interrupted;
mod layering;
mod machines;
mod membership;
mod names;
mod objects;
mod queries;
mod resume;
mod simulation;
mod storage;
mod streaming;
mod versions;
