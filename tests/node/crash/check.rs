//! Checks after a restart that the server's state agrees with the ledger.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::ledger::{Data, Entry, Ledger, State};
use crate::support::bytes::md5_hex;
use crate::support::http::{Connection, Response};
use crate::support::server::Server;

/// Longest time in which the cleaner must remove the leftovers of the previous process.
const HOUSEKEEPING: Duration = Duration::from_secs(15);

/// Counts of the check.
#[derive(Debug, Default)]
pub struct Checked {
    pub active: u64,
    pub deleted: u64,
    pub killed: u64,
    pub queued: u64,
    pub downloads: u64,
}

/// Checks every image and every file. Afterwards the ledger has one state for each image.
pub fn check(node: &Server, ledger: &mut Ledger) -> Checked {
    let mut checked = Checked::default();
    let mut wire = node.connect();
    for (id, entry) in &mut ledger.entries {
        let state = look(&mut wire, id, entry);
        assert!(entry.allows(&state), "{id} is {state:?}, but {entry:?}");
        match &state {
            State::Active { data, .. } => {
                checked.active += 1;
                checked.downloads += 1;
                check_data(&mut wire, id, data);
            }
            State::Deleted => checked.deleted += 1,
            State::Killed => checked.killed += 1,
            State::Queued { .. } => checked.queued += 1,
            State::Absent => {}
        }
        entry.known = state;
        entry.possible.clear();
    }
    ledger
        .entries
        .retain(|_, entry| entry.known != State::Absent);
    check_files(node, ledger);
    checked
}

/// Returns the state of an image, from the server's responses.
fn look(wire: &mut Connection, id: &str, entry: &Entry) -> State {
    let answer = wire.ask("HEAD", &format!("/v1/images/{id}"), "", b"");
    let answer = answer.unwrap_or_else(|error| panic!("HEAD {id}: {error}"));
    if answer.status == 404 {
        return State::Absent;
    }
    assert_eq!(answer.status, 200, "{id}: {entry:?}");
    let text = |name: &str| answer.header(name).unwrap_or_default().to_owned();
    let name = text("x-image-meta-name");
    match answer.image_status() {
        Some("queued") => State::Queued { name },
        Some("active") => State::Active {
            name,
            data: data_of(&answer),
        },
        Some("killed") => State::Killed,
        Some("deleted") => State::Deleted,
        other => panic!("{id} is {other:?} after a restart, {entry:?}"),
    }
}

fn data_of(answer: &Response) -> Data {
    let size = answer
        .header("x-image-meta-size")
        .and_then(|size| size.parse().ok());
    Data {
        size_bytes: size.expect("an active image has a size"),
        md5: answer
            .header("x-image-meta-checksum")
            .unwrap_or_default()
            .to_owned(),
    }
}

fn check_data(wire: &mut Connection, id: &str, data: &Data) {
    let answer = wire.ask("GET", &format!("/v1/images/{id}"), "", b"");
    let answer = answer.unwrap_or_else(|error| panic!("GET {id}: {error}"));
    assert_eq!(answer.status, 200, "{id}: {}", answer.text());
    assert_eq!(answer.body.len() as u64, data.size_bytes, "{id}");
    assert_eq!(md5_hex(&answer.body), data.md5, "{id}");
}

/// Waits until every byte in the store belongs to an active image.
fn check_files(node: &Server, ledger: &Ledger) {
    let active = ledger.entries.iter().filter_map(|(id, entry)| {
        let data = entry.known.data()?;
        Some((id.clone(), data.size_bytes))
    });
    let wanted: BTreeMap<String, u64> = active.collect();
    let began = Instant::now();
    loop {
        let files = node.stored_files().into_iter();
        let files: BTreeMap<String, u64> = files
            .map(|(path, size)| (path.display().to_string(), size))
            .collect();
        if files == wanted {
            return;
        }
        if began.elapsed() > HOUSEKEEPING {
            let orphans = files.iter().filter(|(id, _)| !wanted.contains_key(*id));
            let missing = wanted.keys().filter(|id| !files.contains_key(*id));
            panic!(
                "orphans {:?}, missing {:?}",
                orphans.collect::<Vec<_>>(),
                missing.collect::<Vec<_>>()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
