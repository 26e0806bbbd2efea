//! The final check of the model test: compares every image at every server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::client::{Shared, ask, see, step};
use super::ledger::{Ledger, State};
use crate::support::bytes::md5_hex;
use crate::support::http::Request;
use crate::support::v1::{ids_of, image_path};
use crate::support::within;

/// Maximum time until a server that has just started answers everything.
const SETTLED: Duration = Duration::from_secs(60);

pub struct Checked {
    pub images: u64,
    pub answers: u64,
}

pub fn all(addresses: &[SocketAddr], shared: &Shared, ledger: &Ledger) -> Checked {
    let mut checked = Checked {
        images: 0,
        answers: 0,
    };
    for (id, entry) in &ledger.entries {
        let first = settled(addresses[0], id);
        checked.images += u64::from(first.is_some());
        for address in addresses {
            let seen = settled(*address, id);
            checked.answers += 1;
            assert_eq!(seen, first, "{id} at {address} and at {}", addresses[0]);
            if entry.possible.is_empty() {
                assert_eq!(
                    seen, entry.known,
                    "{id} at {address}: an acknowledged write is lost"
                );
            } else {
                is_possible(id, &entry.possible, entry.known.is_some(), seen.as_ref());
            }
        }
        if let Some(state) = first.filter(|state| state.status == "active") {
            checked.answers += 1;
            let address = addresses[id.len() % addresses.len()];
            let data = ask(address, &Request::get(&image_path(id))).expect("data");
            assert_eq!(
                Some(md5_hex(&data.expect(200).body)),
                state.checksum,
                "{id}"
            );
        }
    }
    properties(addresses, shared, ledger);
    lists(addresses, ledger);
    checked
}

/// Returns the state of an image once no operation on it is in progress. Uploads of a killed server
/// are ended when it starts again.
fn settled(address: SocketAddr, id: &str) -> Option<State> {
    let mut seen = None;
    within(SETTLED, "an image at rest", || {
        seen = see(address, id);
        let state = seen.as_ref().and_then(Option::as_ref);
        seen.is_some() && state.is_none_or(|state| state.status != "saving")
    });
    seen.expect("an answer")
}

fn is_possible(id: &str, possible: &[State], was_there: bool, seen: Option<&State>) {
    let Some(seen) = seen else {
        assert!(!was_there, "{id} is gone");
        return;
    };
    let fits = |state: &State| {
        state.status == seen.status
            && state.name == seen.name
            // A killed image shows the size of its intended data, or none.
            && (state.checksum == seen.checksum || state.status == "killed")
    };
    assert!(
        possible.iter().any(fits),
        "{id} is {seen:?}, none of {possible:?}"
    );
    let furthest = possible.iter().map(|state| step(state.status)).max();
    assert!(Some(step(seen.status)) <= furthest);
}

fn properties(addresses: &[SocketAddr], shared: &Shared, ledger: &Ledger) {
    let ids = shared.ids.lock().expect("no panic");
    for address in addresses {
        let mut found = BTreeSet::new();
        for id in ids.iter() {
            let head = ask(*address, &Request::head(&image_path(id))).expect("an answer");
            for (name, _) in &head.headers {
                let name = name.to_ascii_lowercase();
                if let Some(property) = name.strip_prefix("x-image-meta-property-") {
                    found.insert(property.to_owned());
                }
            }
        }
        for property in &ledger.properties {
            assert!(found.contains(property), "{property} is lost at {address}");
        }
    }
}

/// Checks that every list has exactly the existing images.
fn lists(addresses: &[SocketAddr], ledger: &Ledger) {
    for address in addresses {
        let mut listed = BTreeSet::new();
        let mut marker = String::new();
        loop {
            let path = format!("/v1/images?limit=100&sort_key=id&sort_dir=asc{marker}");
            let page = ids_of(
                &ask(*address, &Request::get(&path))
                    .expect("a list")
                    .expect(200),
            );
            let Some(last) = page.last() else { break };
            marker = format!("&marker={last}");
            for id in page {
                assert!(
                    listed.insert(id.clone()),
                    "{id} is listed twice at {address}"
                );
            }
        }
        for (id, entry) in &ledger.entries {
            if let (Some(state), true) = (&entry.known, entry.possible.is_empty()) {
                let is_there = state.status != "deleted";
                assert_eq!(
                    listed.contains(id),
                    is_there,
                    "{id} in the list of {address}"
                );
            }
        }
    }
}
