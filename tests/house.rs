//! The house stays as its map says: rooms import downwards only, no circles inside a room,
//! no file too long to read, and the map in `src/lib.rs` names every room.
//!
//! The order here is the true one. Where it says more than "everything below":
//!
//! * `client` and `control` stand beside the server. They speak to it over the wire, so they
//!   may know what messages look like and nothing of how the server answers them.
//! * Rooms on one floor do not know each other.

#[path = "house/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{Crate, Module};

/// The floors, from the ground up.
const FLOORS: &[&[&str]] = &[
    &[
        "clock", "console", "display", "image", "md5", "process", "runtime", "sys", "testing",
    ],
    &["error"],
    &["config"],
    &["metrics", "log"],
    &["transfer"],
    &["net", "http_client"],
    &["wire", "keystone"],
    &["registry"],
    &["store"],
    &["auth", "cache", "policy"],
    &["service"],
    &["api"],
    &["server"],
    &["manage"],
];

/// Rooms beside the tower, each with the highest floor they may know.
const BESIDE: &[(&str, &str)] = &[("client", "wire"), ("control", "wire")];

/// Most lines of a file.
const MAX_FILE_LINES: usize = 500;

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn may_import(room: &str, other: &str) -> bool {
    let Some(below) = floor(other) else {
        return room == other;
    };
    match BESIDE.iter().find(|(own, _)| *own == room) {
        Some((_, highest)) => below <= floor(highest).expect("a floor"),
        None => room == other || floor(room).is_some_and(|own| below < own),
    }
}

#[test]
fn rooms_import_downwards_only() {
    let mut wrong = BTreeSet::new();
    for module in Crate::read().modules() {
        for import in module.imports_with_tests() {
            let (Some(room), Some(other)) = (module.room(), import.first()) else {
                continue;
            };
            if !may_import(room, other) {
                wrong.insert(format!("{} imports {}", module.file(), import.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_its_place() {
    for room in Crate::read().rooms() {
        let beside = BESIDE.iter().any(|(own, _)| *own == room);
        assert!(beside || floor(&room).is_some(), "{room} is on no floor");
    }
}

#[test]
fn no_circles_between_files() {
    let sources = Crate::read();
    let mut edges: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for module in sources.modules() {
        let targets = sources.targets(module);
        edges.insert(
            &module.path,
            targets.map(|target| &target.path[..]).collect(),
        );
    }
    let circles: Vec<String> = circles(&edges)
        .into_iter()
        .map(|circle| {
            let names = circle.iter().map(|path| path.join("::"));
            names.collect::<Vec<_>>().join(" <-> ")
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The sets of modules each of which reaches every other of its set.
fn circles<'a>(edges: &BTreeMap<&'a [String], BTreeSet<&'a [String]>>) -> Vec<Vec<&'a [String]>> {
    let reach: BTreeMap<_, _> = edges
        .keys()
        .map(|from| (*from, reached(edges, from)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (from, targets) in &reach {
        let back = targets
            .iter()
            .filter(|target| reach[*target].contains(from));
        let circle: Vec<_> = back.copied().collect();
        if !circle.is_empty() && seen.insert(circle.clone()) {
            circles.push(circle);
        }
    }
    circles
}

fn reached<'a>(
    edges: &BTreeMap<&'a [String], BTreeSet<&'a [String]>>,
    from: &[String],
) -> BTreeSet<&'a [String]> {
    let mut reached = BTreeSet::new();
    let mut todo: Vec<&[String]> = edges[from].iter().copied().collect();
    while let Some(next) = todo.pop() {
        if reached.insert(edges.get_key_value(next).expect("a module").0.to_owned()) {
            todo.extend(&edges[next]);
        }
    }
    reached
}

#[test]
fn no_globs_but_in_tests() {
    let sources = Crate::read();
    let globs: Vec<_> = sources.modules().flat_map(Module::globs).collect();
    assert!(globs.is_empty(), "{globs:#?}");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let sources = Crate::read();
    let long = sources
        .modules()
        .filter(|module| module.lines > MAX_FILE_LINES);
    let long: Vec<_> = long.map(|module| (module.file(), module.lines)).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn the_map_names_every_room() {
    let sources = Crate::read();
    let map = sources.docs_of_lib();
    let layout = map.split("# Layout").nth(1).expect("a section `# Layout`");
    for room in sources.rooms() {
        let entries = layout.matches(&format!("[`{room}`]")).count();
        assert_eq!(entries, 1, "{room} has one line in the map in src/lib.rs");
    }
}

#[test]
fn programs_are_thin() {
    let bins = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin"));
    for bin in bins.expect("src/bin").flatten() {
        let text = std::fs::read_to_string(bin.path()).expect("a program");
        assert!(text.lines().count() <= 60, "{}", bin.path().display());
    }
}

/// The checks above see what they should see.
#[test]
fn the_checks_can_fail() {
    assert!(!may_import("image", "error"));
    assert!(!may_import("metrics", "log"));
    assert!(!may_import("client", "service"));
    assert!(!may_import("service", "api"));
    assert!(may_import("client", "wire") && may_import("api", "image"));
    let (a, b, c) = (["a".to_owned()], ["b".to_owned()], ["c".to_owned()]);
    let edges = BTreeMap::from([
        (&a[..], BTreeSet::from([&b[..]])),
        (&b[..], BTreeSet::from([&a[..]])),
        (&c[..], BTreeSet::from([&a[..]])),
    ]);
    assert_eq!(circles(&edges), [[&a[..], &b[..]]]);
    let sources = Crate::read();
    let imports = |room: &str, other: &str| {
        let modules = sources
            .modules()
            .filter(|module| module.room() == Some(room));
        let mut imports = modules.flat_map(Module::imports_with_tests);
        imports.any(|import| import.first().is_some_and(|first| first == other))
    };
    assert!(imports("api", "service") && imports("service", "registry"));
}
