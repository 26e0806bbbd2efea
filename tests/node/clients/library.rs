//! `glanceclient.v1.Client`, as Python programs use it (`library.py`).

use std::path::Path;

use super::{Tool, newest, old, stdout_of};
use crate::support::server::Setup;

#[test]
fn newest_library_works() {
    run(&newest());
}

#[test]
fn old_library_works() {
    run(&old());
}

fn run(tool: &Tool) {
    let node = Setup::new().start();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/clients/library.py");
    let endpoint = format!("http://{}", node.address());
    let said = stdout_of(
        tool.python()
            .arg(program)
            .arg(endpoint)
            .current_dir(node.folder()),
    );
    assert!(said.ends_with("all is well\n"), "{said}");
}
