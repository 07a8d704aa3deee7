//! The engine as a mesh uses it: several engines, chunks in a map, tasks run
//! one by one in an odd order, and plain DataFusion as the oracle.

mod compressed;
mod formats;
mod mesh;
mod records;
mod several;
mod shapes;
mod tpch;
