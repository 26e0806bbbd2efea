//! Tests that a machine cannot run.
//!
//! `tests/run` prints every skip with its reason at its end, and compares the reasons with
//! those that it expects of the run.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that [`skip`] appends its lines to.
const RECORD: &str = "GLANCE_TEST_SKIPS";

/// Reports that this machine or user cannot run a test, and why.
///
/// The line goes to standard error past the test harness, which hides the output of tests that
/// pass, and to the file that `GLANCE_TEST_SKIPS` names. There the program and the test's full
/// name precede it, by which `tests/run` runs the tests as root that require root.
///
/// # Panics
/// When `GLANCE_TEST_STRICT` is set, so that a machine which should be able to run the test
/// does not pass because it is broken.
pub fn skip(test: &str, because: &str) {
    let line = format!("SKIPPED {test}: {}\n", because.trim().replace('\n', " "));
    // The macros write to the harness' capture; the handle writes to the descriptor.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(record) = std::env::var_os(RECORD) {
        let file = OpenOptions::new().append(true).create(true).open(&record);
        let entry = format!("{}\t{}\t{line}", program(), full_name());
        let written = file.and_then(|mut file| file.write_all(entry.as_bytes()));
        written.unwrap_or_else(|error| panic!("{}: {error}", record.display()));
    }
    assert!(
        std::env::var_os("GLANCE_TEST_STRICT").is_none(),
        "{test} cannot run here, and GLANCE_TEST_STRICT allows no skipping: {because}"
    );
}

/// Returns the path of this test program.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "-".to_owned(), |path| path.display().to_string())
}

/// Returns the name of the running test, which the harness gives to its thread.
fn full_name() -> String {
    std::thread::current().name().unwrap_or("-").to_owned()
}
