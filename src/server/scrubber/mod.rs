//! `glance-scrubber`: removes the data of images whose deletion was delayed.
//!
//! The program works on the registry itself while no server has it open (`standalone`), and sends
//! its requests to the server's admin listener otherwise (`node_client`).

mod node_client;
pub(super) mod run;
mod standalone;
