//! Tests of the image cache with the real program, with real servers and with a scripted origin for
//! faults that those cannot produce.
//!
//! * `storm`: a thousand concurrent readers cause one download.
//! * `readers`: which readers wait during a fill.
//! * `wrong`: origins that send wrong bytes, cut or fail.
//! * `audit`: cached images whose files were changed.
//! * `bounds`: the size limit, the free disk space, and the order of eviction.
//! * `restarts`: crashes and restarts.
//! * `full_disk`: a disk that other programs have filled.
//! * `usage`: the usage record across restarts.
//! * `access`: authorization for cached images.
//! * `status_page`: the cache on the operator's status page.
//! * `queue`: the prefetch queue.
//! * `management`: management by the API and by `glance-cache-manage`.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod audit;
mod bounds;
mod full_disk;
mod listed;
mod management;
mod node;
mod queue;
mod reader;
mod readers;
mod restarts;
mod status_page;
mod storm;
mod usage;
mod wrong;
