//! The process: configuration, start, shutdown and restart.

mod command_line;
mod drain;
mod restart;
