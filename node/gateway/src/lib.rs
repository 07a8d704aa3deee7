//! How the outside talks to a peer: HTTP/1.1 on loopback, under `/v1`.
//!
//! ```text
//!   GET    /v1/status                   the mesh as this peer sees it
//!   GET    /v1/objects?prefix=&after=&limit=
//!   GET    /v1/objects/BUCKET/KEY       ?version=; bytes (Range, If-Range, If-None-Match)
//!   HEAD   /v1/objects/BUCKET/KEY       ?version=
//!   PUT    /v1/objects/BUCKET/KEY       (If-None-Match: *, If-Match, x-shoal-format, x-shoal-request-id)
//!   POST   /v1/objects/BUCKET/KEY       appends (If-Match, x-shoal-append-id)
//!   DELETE /v1/objects/BUCKET/KEY       ?purge=true, ?version= (If-Match)
//!   POST   /v1/copy                     {from, to, version?, former?} (as PUT); no data moves
//!   GET    /v1/versions?prefix=&after=&after_number=&limit=   what names stood for before
//!   GET    /v1/buckets, /v1/buckets/BUCKET                    how objects are kept
//!   PATCH  /v1/buckets/BUCKET           {history_s?, replicas?, write_copies?}
//!   GET    /v1/manifests/BUCKET/KEY     ?version=; what is known of an object, its chunks included;
//!                                       with ?check=true also whether somebody has each of them
//!   GET    /v1/chunks/HASH              a chunk by its name; needs no quorum
//!   GET    /v1/examinations             what each member finds of itself and the others
//!   POST   /v1/members/WHO/role         its zone and weight, and whether it leaves
//!   POST   /v1/secret/rotate
//!   GET    /v1/jobs, /v1/jobs/ID        what runs and ran
//!   DELETE /v1/jobs/ID                  cancels
//!   GET    /v1/health?quick=            whether everything is at full replication -> lines
//!   POST   /v1/scrub                    {who, bytes_per_second?} -> lines
//!   POST   /v1/sql                      {sql, task_memory?} -> a stream of records
//! ```
//!
//! [`Gateway`] serves a running [`Peer`](shoal_runtime::Peer); [`Client`] is
//! the other end, typed. Both speak in [views](view): the JSON shapes that
//! the command line's `--json` prints too. A parameter that a route does not
//! have is refused. An error is
//! `{"error": {kind, message, hint, detail}}` with a fitting status; `detail`
//! carries the typed error to a client of ours.
//!
//! # Who may
//!
//! The gateway has no credentials, so it listens on loopback only and refuses
//! any other address. A web page in a browser on the same machine is kept out
//! three ways: the `Host` header must name loopback (no DNS rebinding),
//! requests that change anything need the header `x-shoal: 1` (a page cannot
//! send it without a CORS preflight), and no CORS header is ever answered.
//! Any local user may use it; what must not be seen by them needs a machine
//! of its own.

mod client;
mod condition;
mod guard;
mod lines;
mod listener;
mod query;
mod range;
mod record;
mod reply;
mod routes;
mod server;
pub mod view;

pub use client::{Client, ClientError, Download, ListPage, Rows, SqlUpdate, Step, Watched};
pub use record::{RECORD_BYTES_MAX, Record, RecordDecoder};
pub use server::{Gateway, Serving};

/// The header without which nothing that changes anything is done.
pub const MARK_HEADER: &str = "x-shoal";
/// How an object's bytes are read as rows: `parquet`, `csv`, `json`, `text`, `bytes`, `avro`, `arrow`, `gzip`, `zstd`, `bzip2`.
pub const FORMAT_HEADER: &str = "x-shoal-format";
/// Which append it is, as 32 hex digits: asked for again under the same id, it is made once.
pub const APPEND_ID_HEADER: &str = "x-shoal-append-id";
/// Which PUT or copy it is, as 32 hex digits: asked for again under the same id,
/// it is not refused for its own sake.
pub const REQUEST_ID_HEADER: &str = "x-shoal-request-id";
/// The MD5 that a body must have, in base64 (RFC 1864).
pub const CONTENT_MD5_HEADER: &str = "content-md5";
/// The MD5 of an object's content, in hex, in answers that have one; with
/// [`KEEP_MD5`] in a put it is computed and kept.
pub const MD5_HEADER: &str = "x-shoal-md5";
/// What asks a put for an MD5.
pub const KEEP_MD5: &str = "keep";
/// When an object was put, in ms since the epoch.
pub const MODIFIED_HEADER: &str = "x-shoal-modified-ms";
/// The job that a stream of records belongs to.
pub const JOB_HEADER: &str = "x-shoal-job";
