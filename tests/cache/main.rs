//! The image cache of the real program, with the real servers it is made for and with a
//! scripted origin for what those cannot be made to do.
//!
//! * `storm`: a thousand cold readers, one fetch.
//! * `readers`: who waits for what.
//! * `wrong`: origins that send other bytes, break off or fail.
//! * `audit`: kept images whose files are not what they were.
//! * `bounds`: the limit, the room for others, and who leaves.
//! * `restarts`: ends of every kind, and what the next start finds.
//! * `full_disk`: a disk that others have filled.
//! * `usage`: how images were used, over starts.
//! * `access`: who may have what is kept.
//! * `status_page`: what the operator's page shows.
//! * `queue`: what is fetched before anybody asks.
//! * `management`: what operators see and change, by the API and by `glance-cache-manage`.

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
