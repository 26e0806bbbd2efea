//! The `glance` command line.
