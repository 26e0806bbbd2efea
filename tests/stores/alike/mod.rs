//! Behaviour that all stores share, seen by the clients of a node and in the backend.
//!
//! * `backend`: a node for each kind of backend, and direct access to the backend.
//! * `cuts`: downloads that are cut at random positions.
//! * `failures`: backends that are unreachable, silent, cut or wrong during an upload.
//! * `lies`: objects with other bytes than were uploaded.
//! * `script`: a sequence of uploads, downloads, faults and deletions, drawn from a seed.
//! * `secrets`: keys and passwords never leak.
//! * `workload`: the same sequence has equal results on every store.

mod backend;
mod cuts;
mod failures;
mod lies;
mod script;
mod secrets;
mod workload;
