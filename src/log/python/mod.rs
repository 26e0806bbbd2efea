//! The formats of Python's logging that Glance's operators know: line templates, times, and the
//! configuration file of `logging.config.fileConfig`.
//!
//! * `template` renders a record by a format such as `%(levelname)8s`; `clock` gives and renders
//!   its time
//! * `file_config` reads `--log-config`; `args` reads the arguments of its handlers

mod args;
pub(super) mod clock;
pub(super) mod file_config;
pub(super) mod template;
