//! The world as a peer sees it: the ports of `shoal-ports`.

mod clock;
mod spawner;
mod store;
mod transport;

pub(crate) use clock::ClockPort;
pub(crate) use spawner::SpawnerPort;
pub(crate) use store::WitnessedStore;
pub(crate) use transport::TransportPort;
