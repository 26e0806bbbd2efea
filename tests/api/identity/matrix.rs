//! Every operation on every kind of image by every kind of caller, compared with `oracle`.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::cast::{Caller, Made, State, make, portrait};
use super::oracle::{self, Ask};
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, ids_of, image_path};

fn start() -> Server {
    Setup::new()
        .option_in("paste_deploy", "flavor", "trusted-auth")
        .option("allow_anonymous_access", true)
        .option("delayed_delete", true)
        // Stalled uploads keep their images `saving` until all callers are tested.
        .option("client_socket_timeout", 0)
        .option("client_min_rate", 0)
        .start()
}

fn request(ask: Ask, id: &str) -> Request {
    let (image, members) = (image_path(id), format!("/v1/images/{id}/members"));
    let member = format!("{members}/member");
    match ask {
        Ask::Head => Request::head(&image),
        Ask::Get => Request::get(&image),
        Ask::Rename => Request::put(&image).header("x-image-meta-name", "new"),
        Ask::Upload => Request::put(&image).headers(&[OCTETS]).body("data"),
        Ask::SetStatus => Request::put(&image).header("x-image-meta-status", "active"),
        Ask::Delete => Request::delete(&image),
        Ask::ListMembers => Request::get(&members),
        Ask::AddMember => Request::put(&member),
        Ask::RemoveMember => Request::delete(&member),
        Ask::ReplaceMembers => Request::put(&members).body(r#"[{"member_id": "new"}]"#),
        Ask::Marker => Request::get(&format!("/v1/images?is_public=None&marker={id}")),
    }
}

/// The differences found, reported together.
#[derive(Default)]
struct Findings {
    cells: usize,
    wrong: Vec<String>,
}

impl Findings {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, cell: String, found: T, expected: T) {
        self.cells += 1;
        if found != expected {
            self.wrong
                .push(format!("{cell}: {found:?}, expected {expected:?}"));
        }
    }

    #[track_caller]
    fn end(self, at_least: usize) {
        let first = &self.wrong[..self.wrong.len().min(30)];
        assert!(
            self.wrong.is_empty(),
            "{} of {} cells are wrong: {first:#?}",
            self.wrong.len(),
            self.cells
        );
        println!("{} cells", self.cells);
        assert!(self.cells >= at_least, "only {} cells", self.cells);
    }
}

fn rows(answer: &Response) -> Vec<String> {
    let members = answer.json()["members"].as_array().cloned();
    let members = members.expect("a list of members");
    let id = |row: &serde_json::Value| row["member_id"].as_str().expect("an id").to_owned();
    let mut rows: Vec<String> = members.iter().map(id).collect();
    rows.sort();
    rows
}

fn ask_about_all(server: &Server, states: &[State]) -> Findings {
    let mut findings = Findings::default();
    for state in states {
        ask_about(server, *state, &mut findings);
    }
    findings
}

/// Tries every operation on one image. A refused one must change nothing.
fn ask_about(server: &Server, state: State, findings: &mut Findings) {
    let mut made = make(server, state);
    let mut before = portrait(server, &made.id);
    for caller in Caller::ALL {
        for ask in Ask::ALL {
            let expected = oracle::status(ask, caller, state);
            let answer = caller.asks(server, request(ask, &made.id));
            let cell = format!("{ask:?} by {caller:?} of {state:?}");
            findings.compare(cell.clone(), answer.status, expected);
            if ask == Ask::ListMembers && answer.status == 200 {
                let shown = oracle::members_shown(caller, state);
                findings.compare(format!("{cell}, rows"), rows(&answer), own(&shown));
            }
            if is_change(ask) && (answer.status < 300 || expected < 300) {
                made = make(server, state);
                before = portrait(server, &made.id);
            }
        }
        let after = portrait(server, &made.id);
        findings.compare(
            format!("what {caller:?} leaves of {state:?}"),
            &after,
            &before,
        );
    }
}

fn is_change(ask: Ask) -> bool {
    !matches!(ask, Ask::Head | Ask::Get | Ask::ListMembers | Ask::Marker)
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn every_caller_operation_and_state_matches_glance() {
    let server = start();
    let states = State::all();
    let parts: Vec<&[State]> = states.chunks(states.len().div_ceil(4)).collect();
    let found: Vec<Findings> = std::thread::scope(|scope| {
        let server = &server;
        let ask = |states| scope.spawn(move || ask_about_all(server, states));
        let threads: Vec<_> = parts.into_iter().map(ask).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut all = Findings::default();
    for part in found {
        all.cells += part.cells;
        all.wrong.extend(part.wrong);
    }
    for caller in Caller::ALL {
        for ask in Ask::ALL {
            let id = Uuid::new_v4().to_string();
            let answer = caller.asks(&server, request(ask, &id));
            let expected = oracle::status_of_unknown(ask, caller);
            let cell = format!("{ask:?} by {caller:?} of nothing");
            all.compare(cell, answer.status, expected);
        }
    }
    all.end(1500);
}

#[test]
fn lists_of_every_caller_match_glance() {
    let server = start();
    let made: BTreeMap<String, (State, Made)> = State::all()
        .into_iter()
        .map(|state| (state, make(&server, state)))
        .map(|(state, made)| (made.id.clone(), (state, made)))
        .collect();
    let mut findings = Findings::default();
    for caller in Caller::ALL {
        for route in ["images", "images/detail"] {
            for is_public in [None, Some("True"), Some("False"), Some("None")] {
                let query = is_public.map_or(String::new(), |word| format!("&is_public={word}"));
                let list = Request::get(&format!("/v1/{route}?limit=1000{query}"));
                let shown = ids_of(&caller.asks(&server, list).expect(200));
                let shown: BTreeSet<String> = shown.into_iter().collect();
                for (id, (state, _)) in &made {
                    let expected = oracle::is_listed(caller, *state, is_public);
                    let cell = format!("{route}, {is_public:?} by {caller:?}: {state:?}");
                    findings.compare(cell, shown.contains(id), expected);
                }
                assert!(shown.iter().all(|id| made.contains_key(id)), "nothing else");
            }
        }
        for member in ["member", "sharer", "stranger"] {
            let list = Request::get(&format!("/v1/shared-images/{member}"));
            let answer = caller.asks(&server, list).expect(200);
            let rows = answer.json()["shared_images"].as_array().cloned().unwrap();
            let ids = rows.iter().filter_map(|row| row["image_id"].as_str());
            let shown: BTreeSet<&str> = ids.collect();
            for (id, (state, _)) in &made {
                let expected =
                    member != "stranger" && oracle::is_shown_as_shared(caller, *state, member);
                let cell = format!("shared with {member}, by {caller:?}: {state:?}");
                findings.compare(cell, shown.contains(id.as_str()), expected);
            }
        }
    }
    findings.end(1500);
}
