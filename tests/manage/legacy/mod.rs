//! `glance-manage load-legacy`: registries of old Glance releases in each kind of database.
//!
//! * `tables`: their content.
//! * `eras`: the expected images.
//! * `databases`: PostgreSQL and MariaDB, started for a test.

mod databases;
mod eras;
mod servers;
mod sqlite;
mod tables;

use serde_json::Value;

use super::manage;
use crate::support::server::Server;

/// A part of passwords and locations, which no message may contain.
const SECRET: &str = "CANARY";

/// The content of a registry, including fields that lists do not show.
struct Dump(Vec<Value>);

impl Dump {
    #[track_caller]
    fn of(server: &Server) -> Self {
        manage(server, &["export", "--force", "all.dump"]).expect(0);
        let dump = std::fs::read_to_string(server.folder().join("all.dump")).expect("a dump");
        let lines = dump.lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["image"].clone()
        });
        Self(lines.filter(|image| !image.is_null()).collect())
    }

    #[track_caller]
    fn image(&self, id: &str) -> &Value {
        let found = self.0.iter().find(|image| image["id"] == id);
        found.expect("the image in the dump")
    }
}

/// Asserts that nothing was imported and no registry was created.
#[track_caller]
fn assert_untouched(server: &Server) {
    assert!(!server.data_dir().join("registry").exists());
}
