//! Tests of the whole server as an operator runs it: the real binary, sockets and disks, and their
//! failures.
//!
//! * `hostile`: malicious requests, over raw sockets.
//! * `crash`: kill -9 and power cuts under load.
//! * `uring_refused`: systems that do not allow io_uring.
//! * `clients`: python-glanceclient and images made by qemu-img.
//! * `limits`: bounds of memory.
//! * `registry_files`: permissions of the registry's files.
//! * `reload`: servers that are replaced while they serve, and glance-control.
//! * `workers`: the distribution of connections over the workers, also with a blocked worker.
//!
//! Every server binds loopback, keeps its data below cargo's target folder, and is stopped by its
//! own process id. A test that needs a feature this machine lacks (loop devices, another
//! program) is skipped with a message.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod crash;
mod hostile;
mod limits;
mod registry_files;
mod reload;
mod uring_refused;
mod workers;
