//! Registries as old Glances made them, in each of the three databases.
//!
//! * `tables`: what stands in them.
//! * `eras`: what must become of it.
//! * `databases`: PostgreSQL and MariaDB, started for a test.

mod databases;
mod eras;
mod servers;
mod sqlite;
mod tables;

use serde_json::Value;

use super::manage;
use crate::support::server::Server;

/// What no message may show: a part of passwords and of locations.
const SECRET: &str = "CANARY";

/// Everything that a registry has, with what lists do not show.
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

/// Nothing was loaded, and no registry was made.
#[track_caller]
fn assert_untouched(server: &Server) {
    assert!(!server.data_dir().join("registry").exists());
}
