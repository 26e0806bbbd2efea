//! The whole node, as an operator runs it: the real binary, real sockets, real disks, and
//! everything that can go wrong with them.
//!
//! * `hostile`: requests that no honest client sends, over raw sockets.
//! * `crash`: kill -9 and power cuts under load.
//! * `uring_refused`: systems that do not allow io_uring.
//! * `clients`: python-glanceclient and images made by qemu-img.
//! * `limits`: memory that does not grow with images.
//! * `registry_files`: permissions of the registry's files.
//! * `reload`: servers that are replaced while they serve, and glance-control.
//! * `workers`: connections spread over the workers, and one worker that is busy.
//!
//! Every server binds loopback, keeps its data below cargo's target folder, and is ended by
//! its own process id. What a machine cannot do (loop devices, another program) is skipped
//! with a line that says so.

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
