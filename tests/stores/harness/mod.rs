//! The project's own servers of faults: they do what the tests of the stores rely on.

mod gate;
mod origin;
