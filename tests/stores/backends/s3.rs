//! boto3 against Swift's S3.

use std::path::Path;
use std::process::Command;

use crate::backends::{output_of, stdout_of};
use crate::support::backends::swift::{Account, Swift, SwiftHandle};
use crate::support::backends::tool;
use crate::support::unique;

fn boto(swift: &SwiftHandle, account: &Account, what: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/backends/s3.py");
    let mut command = tool("python");
    command
        .arg(script)
        .args([what, &swift.url, &swift.s3_region])
        .args([&account.user, &account.key]);
    command
}

#[test]
fn objects_parts_and_ranges_work() {
    let swift = Swift::shared();
    let mut boto = boto(swift, &swift.account, "round-trip");
    assert_eq!(stdout_of(boto.arg(unique("bucket"))), "done\n");
}

#[test]
fn a_wrong_key_is_refused() {
    let swift = Swift::shared();
    let mut wrong = swift.account.clone();
    wrong.key.push('x');
    let output = output_of(boto(swift, &wrong, "round-trip").arg(unique("bucket")));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("SignatureDoesNotMatch"), "{stderr}");
}
