//! What all stores do alike, seen by the clients of a node and by a look at the backend.
//!
//! * `backend`: a node for each kind of backend, and what a test may do behind its back.
//! * `cuts`: downloads that are cut at random.
//! * `failures`: backends that are away, silent, cut off or wrong while data go there.
//! * `lies`: objects with other bytes than were uploaded.
//! * `script`: a sequence of uploads, downloads, faults and deletions, drawn from a seed.
//! * `secrets`: keys and passwords are nowhere but where they belong.
//! * `workload`: the same sequence on every store, with equal results.

mod backend;
mod cuts;
mod failures;
mod lies;
mod script;
mod secrets;
mod workload;
