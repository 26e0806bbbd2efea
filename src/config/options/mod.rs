//! Every option this program acts on, one struct a subject.
//!
//! Most options of Glance stand in `[DEFAULT]`, which is a drawer rather than a subject; so it is split here, and
//! a part of the program is given only the struct of its own subject. In the file nothing is split.

mod images;
mod log;
mod server;
mod storage;

pub use images::ImagesConfig;
pub use log::LogConfig;
pub use server::{HealthcheckConfig, HttpConfig, ListenConfig};
pub use storage::{DataConfig, IoBackend, RegistryConfig, StoreConfig, StoreIo};

use crate::config::declare::Group;

/// All options in the order of the sample.
pub(crate) fn groups() -> Vec<Group> {
    vec![
        ListenConfig::group(),
        HttpConfig::group(),
        DataConfig::group(),
        ImagesConfig::group(),
        RegistryConfig::group(),
        LogConfig::group(),
        StoreConfig::group(),
        HealthcheckConfig::group(),
    ]
}
