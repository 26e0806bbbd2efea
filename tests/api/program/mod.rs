//! The process: its configuration, its start, its end, and what outlives it.

mod command_line;
mod drain;
mod restart;
