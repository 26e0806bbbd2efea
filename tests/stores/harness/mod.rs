//! Tests of the test servers that inject faults.

mod gate;
mod origin;
