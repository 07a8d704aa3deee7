//! One file per command: its options, its examples, and what it does.

pub(crate) mod bench;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod cp;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod du;
pub(crate) mod find;
pub(crate) mod generate;
pub(crate) mod get;
pub(crate) mod invite;
pub(crate) mod job;
pub(crate) mod leave;
pub(crate) mod ls;
pub(crate) mod mv;
pub(crate) mod put;
pub(crate) mod rm;
pub(crate) mod secret;
pub(crate) mod sim;
pub(crate) mod sql;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod weight;
pub(crate) mod zone;
