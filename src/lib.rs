//! One image node: the OpenStack Image service (Glance), v1 API, as native programs.

pub mod transfer;
