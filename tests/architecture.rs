//! Checks the architecture that `src/lib.rs` describes: folders import only lower layers, no two
//! files import each other, no file is too long, every folder is listed, and comments and error
//! texts avoid the words of `language.rs`.
//!
//! [`LAYERS`] is authoritative. Two rules need an explanation:
//!
//! * `client` and `control` stand beside the server. They speak to it over the wire, so they
//!   may import the messages and nothing of the server.
//! * Folders of one layer do not import each other.

#[path = "architecture/language.rs"]
mod language;
#[path = "architecture/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sources::{Crate, Module};

/// The layers, from the lowest to the highest.
const LAYERS: &[&[&str]] = &[
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

/// Folders beside the layers, each with the highest layer that it may import.
const BESIDE: &[(&str, &str)] = &[("client", "wire"), ("control", "wire")];

/// Most lines of a file.
const MAX_FILE_LINES: usize = 500;

fn layer(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|folders| folders.contains(&folder))
}

fn may_import(folder: &str, other: &str) -> bool {
    let Some(below) = layer(other) else {
        return folder == other;
    };
    match BESIDE.iter().find(|(own, _)| *own == folder) {
        Some((_, highest)) => below <= layer(highest).expect("a layer"),
        None => folder == other || layer(folder).is_some_and(|own| below < own),
    }
}

#[test]
fn folders_import_lower_layers_only() {
    let mut wrong = BTreeSet::new();
    for module in Crate::read().modules() {
        for import in module.imports_with_tests() {
            let (Some(folder), Some(other)) = (module.folder(), import.first()) else {
                continue;
            };
            if !may_import(folder, other) {
                wrong.insert(format!("{} imports {}", module.file(), import.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_folder_has_a_layer() {
    for folder in Crate::read().folders() {
        let beside = BESIDE.iter().any(|(own, _)| *own == folder);
        assert!(
            beside || layer(&folder).is_some(),
            "{folder} is in no layer"
        );
    }
}

#[test]
fn no_import_cycles_between_files() {
    let sources = Crate::read();
    let mut edges: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for module in sources.modules() {
        let targets = sources.targets(module);
        edges.insert(
            &module.path,
            targets.map(|target| &target.path[..]).collect(),
        );
    }
    let cycles: Vec<String> = cycles(&edges)
        .into_iter()
        .map(|cycle| {
            let names = cycle.iter().map(|path| path.join("::"));
            names.collect::<Vec<_>>().join(" <-> ")
        })
        .collect();
    assert!(cycles.is_empty(), "{cycles:#?}");
}

/// The sets of modules each of which reaches every other of its set.
fn cycles<'a>(edges: &BTreeMap<&'a [String], BTreeSet<&'a [String]>>) -> Vec<Vec<&'a [String]>> {
    let reach: BTreeMap<_, _> = edges
        .keys()
        .map(|from| (*from, reached(edges, from)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut cycles = Vec::new();
    for (from, targets) in &reach {
        let back = targets
            .iter()
            .filter(|target| reach[*target].contains(from));
        let cycle: Vec<_> = back.copied().collect();
        if !cycle.is_empty() && seen.insert(cycle.clone()) {
            cycles.push(cycle);
        }
    }
    cycles
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
fn files_have_at_most_500_lines() {
    let sources = Crate::read();
    let long = sources
        .modules()
        .filter(|module| module.lines > MAX_FILE_LINES);
    let long: Vec<_> = long.map(|module| (module.file(), module.lines)).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn library_documentation_lists_every_folder() {
    let sources = Crate::read();
    let map = sources.docs_of_lib();
    let layout = map.split("# Layout").nth(1).expect("a section `# Layout`");
    for folder in sources.folders() {
        let entries = layout.matches(&format!("[`{folder}`]")).count();
        assert_eq!(
            entries, 1,
            "{folder} has one line in the layout in src/lib.rs"
        );
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

#[test]
fn comments_and_errors_are_plain_english() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let findings = language::violations(&src).expect("readable sources");
    let findings: Vec<String> = findings
        .into_iter()
        .map(|finding| format!("{}:{}: {}", finding.file, finding.line, finding.why))
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Each check fails for an input that violates it.
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
    assert_eq!(cycles(&edges), [[&a[..], &b[..]]]);
    let violations = |text| language::violations_in(text).len();
    assert_eq!(violations("/// What comes is kept.\n"), 1);
    assert_eq!(violations("//! Reads. Whoever asks waits.\n"), 2);
    assert_eq!(violations("#[error(\"nobody listens\")]\n"), 1);
    assert_eq!(
        violations("// wraps\n// What is wrapped.\nlet parcels = 1;\n"),
        0
    );
    let sources = Crate::read();
    let imports = |folder: &str, other: &str| {
        let modules = sources
            .modules()
            .filter(|module| module.folder() == Some(folder));
        let mut imports = modules.flat_map(Module::imports_with_tests);
        imports.any(|import| import.first().is_some_and(|first| first == other))
    };
    assert!(imports("api", "service") && imports("service", "registry"));
}
