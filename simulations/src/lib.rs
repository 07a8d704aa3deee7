//! The real runtime on a simulated network, disk and clock
