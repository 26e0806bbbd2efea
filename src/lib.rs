//! One image node: the OpenStack Image service (Glance), v1 API, as native programs.
//!
//! Routes are declared in [`api`] (`api/v1/endpoint.rs`), what they do is in [`service`], one
//! file a verb. Programs are in `src/bin`, each a few lines over this library.
//!
//! # Layout
//!
//! From the ground up. A room imports only rooms above it in this list, and no two files of a
//! room import each other; `tests/house.rs` checks both.
//!
//! * [`image`] - nouns: images, ids, statuses, formats, queries, who may do what; no I/O
//! * [`md5`] - MD5 of many streams at once, in the lanes of vector registers; no imports
//! * [`display`] - decides which characters of untrusted text are unsafe to print
//! * [`clock`] - the wall clock, which unit tests can set
//! * [`console`] - standard output and standard error of command-line programs
//! * [`process`] - processes of this machine: liveness, pid files, descriptor limits
//! * [`runtime`] - named threads and their runtimes
//! * [`error`] - the one error of the domain: what the client is told, and what the log is
//! * [`config`] - the configuration file as plain data, each option declared once
//! * [`metrics`] - every metric, in one table
//! * [`log`] - lines as Glance's operators know them, written off the workers
//! * [`transfer`] - buffers, files, pipes and payloads: everything that moves image data
//! * [`net`] - the server side of HTTP: listeners, connections, files sent without a copy
//! * [`http_client`] - requests to other servers: connection pool, TLS, address policy
//! * [`wire`] - messages, both directions of each in one file: headers, JSON, conditions
//! * [`keystone`] - the identity service, as its client sees it: logins, tokens, catalogues
//! * [`registry`] - what is known of images: an index in memory, durable through a journal (with sled behind
//!   it) or etcd, or a registry server that is asked (`remote`)
//! * [`store`] - where image data are: a folder of files, Swift, S3, or web servers that are only read
//! * [`auth`] - who is asking: proxies in front and tokens
//! * [`cache`] - images of other servers kept near: fetched once, served while they come
//! * [`policy`] - what operators allow to whom: policy files, protection of properties
//! * [`service`] - the verbs and the rules of Glance, for every version of the API
//! * [`api`] - doors: a request becomes an endpoint, a verb's result an answer
//! * [`server`] - the life of a process: build, workers, drain
//! * [`manage`] - `glance-manage`: a registry as a whole, dumped, loaded, held against the stores
//!
//! Beside the server, over `wire` and what is above that here, and no further:
//!
//! * [`client`] - the library and the command line of `glance`
//! * [`control`] - `glance-control`: starts, ends and reloads servers
//!
//! # Walkthroughs
//!
//! An upload: `server` accepts, `net` reads the head, `api/v1` parses it, `service/create.rs`
//! reserves the image (`saving`) in the registry, `service/upload.rs` hashes and writes block by
//! block, the store syncs and renames, the registry says `active`, the client hears 201. Nothing
//! is acknowledged that a power cut could take back, and no byte is written that no record knows.
//!
//! A download: `api/v1/download.rs` asks the index for the record and the store for a file;
//! `net/transport` has the kernel send it, after `net/readahead.rs` has read ahead what is
//! not in memory.
//!
//! A download of an image that is elsewhere, with a cache: `cache/books.rs` finds the kept
//! file or the fill, or begins one; `cache/fill.rs` writes it on a thread of its own, and
//! `net/transport` sends what is there of it (`transfer/partial_file.rs`).
//!
//! A copy: `service/named_source.rs` judges the URI that a client names and asks the store for its
//! size, the record says that an upload is coming, the client hears 201; `service/copy.rs` waits
//! for its turn and then is an upload like any other, whose source is the store's answer.
//!
//! A reload: `server/lifecycle/reload.rs` starts a successor, which inherits the sockets
//! (`server/inherited.rs`); `registry/handover` closes the registry here, opens it there, and
//! relays what the old process still has to write; `net/server_state.rs` gives every connection one
//! last answer.
//!
//! Verification at rest: `service/auditor.rs` is the thread, `service/audit.rs` one round of it;
//! `transfer/reading.rs` reads files past the page cache, and `Image::damaged_since` tells every
//! server which images are not served.
//!
//! A record at several servers: `registry/remote` asks a `glance-registry`, whose door is
//! `api/registry`; `registry/etcd/watch.rs` keeps the index of each server up to date by a watch,
//! and `registry/etcd/write.rs` decides a write in one transaction. An upload belongs to the
//! server that takes it in (`Upload::node`): `service/cleanup.rs` leaves those of others alone.
//!
//! HEAD of an image, which clients send most: `net/fast_path.rs` recognises it before hyper is made,
//! and `api/v1/plain.rs` answers with lines the record keeps.
pub mod api;
pub mod auth;
pub mod cache;
pub mod client;
pub mod clock;
pub mod config;
pub mod console;
pub mod control;
pub mod display;
pub mod error;
pub mod http_client;
pub mod image;
pub mod keystone;
pub mod log;
pub mod manage;
pub mod md5;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod process;
pub mod registry;
pub mod runtime;
pub mod server;
pub mod service;
pub mod store;
#[cfg(test)]
mod testing;

pub mod transfer;
pub mod wire;
