//! Runs the commands that README.md, deploy/README.md and docs/ show, checks the configurations in
//! them, and compares lists in them with the code.
//!
//! Blocks marked `sh` are commands, `ini` configurations, `yaml` policies; `text` and `rust` are
//! not checked. The commands of each document run in a private root, after those of README.md,
//! which build and start a server and upload the first image.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{metrics_in, metrics_of_the_node, paste, read, root, succeeds};

/// Command blocks that are not run: document, first line of the block, reason.
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "docs/migrating.md",
        "glance-manage load-legacy sqlite:",
        "needs a database of Glance; tests/manage/legacy loads databases of several releases",
    ),
    (
        "docs/contributing.md",
        "tests/run",
        "runs all tests, this one included",
    ),
    (
        "docs/contributing.md",
        "GLANCE_CRASH_ROUNDS=100",
        "takes hours, and cargo is a stub in the private root",
    ),
    (
        "docs/benchmarks.md",
        "benches/run",
        "takes hours and needs nginx and HAProxy",
    ),
];

/// A fenced block of a document.
struct Block {
    language: String,
    text: String,
}

/// Returns README.md and the documents in docs/.
fn documents() -> Vec<String> {
    let folder = fs::read_dir(root().join("docs")).unwrap().flatten();
    let mut names: Vec<String> = folder
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|suffix| suffix == "md")
        })
        .map(|entry| format!("docs/{}", entry.file_name().to_str().unwrap()))
        .collect();
    names.sort();
    names.insert(0, "README.md".to_owned());
    names
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in read(document).lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block has no end");
    blocks
}

fn is_run(document: &str, block: &Block) -> bool {
    !NOT_RUN
        .iter()
        .any(|(name, start, _)| *name == document && block.text.starts_with(start))
}

/// Returns the commands of a document as one script.
fn commands(document: &str) -> String {
    let blocks = blocks(document).into_iter();
    let run = blocks.filter(|block| block.language == "sh" && is_run(document, block));
    run.map(|block| block.text).collect()
}

/// Runs the commands of README.md, then those of another document, in a private root.
fn run_after_readme(test: &str, document: &str) {
    let (first, second) = (commands("README.md"), commands(document));
    assert!(!second.is_empty(), "{document} shows no commands");
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n{first}\n{second}");
    if let Some(output) = paste(test, &script) {
        succeeds(&output);
    }
}

#[test]
fn commands_of_readme_work() {
    let script = commands("README.md");
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n{script}");
    if let Some(output) = paste("commands_of_readme_work", &script) {
        succeeds(&output);
    }
}

macro_rules! commands_work {
    ($($test:ident: $document:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                run_after_readme(stringify!($test), $document);
            }
        )*

        /// Documents whose commands run.
        const WITH_COMMANDS: &[&str] = &[$($document),*];
    };
}

commands_work! {
    commands_of_backup_and_check_work: "docs/backup-and-check.md",
    commands_of_cache_work: "docs/cache.md",
    commands_of_client_work: "docs/client.md",
    commands_of_configuration_work: "docs/configuration.md",
    commands_of_contributing_work: "docs/contributing.md",
    commands_of_identity_work: "docs/identity.md",
    commands_of_migrating_work: "docs/migrating.md",
    commands_of_operations_work: "docs/operations.md",
    commands_of_quotas_and_deletion_work: "docs/quotas-and-deletion.md",
    commands_of_registries_work: "docs/registries.md",
    commands_of_stores_work: "docs/stores.md",
}

/// A document with commands has a test, and an exception names a block that exists.
#[test]
fn every_command_is_run_or_listed_as_exception() {
    for document in documents() {
        let blocks = blocks(&document);
        for block in &blocks {
            let language = block.language.as_str();
            assert!(
                ["sh", "ini", "yaml", "text", "rust"].contains(&language),
                "{document}: a block has the language {language:?}"
            );
        }
        let has_commands = !commands(&document).is_empty();
        let has_test = document == "README.md" || WITH_COMMANDS.contains(&document.as_str());
        assert_eq!(has_commands, has_test, "{document}");
    }
    for (document, start, _) in NOT_RUN {
        let mut blocks = blocks(document).into_iter();
        assert!(
            blocks.any(|block| block.language == "sh" && block.text.starts_with(start)),
            "{document} has no block that starts with {start:?}"
        );
    }
}

/// Each configuration, policy and property protection in a document is accepted by itself.
#[test]
fn configurations_of_documents_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("glance-api.conf");
    let rules = folder.path().join("rules");
    let mut count = 0;
    for document in documents() {
        for block in blocks(&document) {
            let text = match block.language.as_str() {
                "ini" if block.text.contains("create = ") => {
                    fs::write(&rules, &block.text).unwrap();
                    let option = "[DEFAULT]\nproperty_protection_file";
                    format!("{option} = {}\n", rules.display())
                }
                "ini" => block.text.clone(),
                "yaml" => {
                    fs::write(&rules, &block.text).unwrap();
                    format!("[DEFAULT]\npolicy_file = {}\n", rules.display())
                }
                _ => continue,
            };
            count += 1;
            check_configuration(&file, &document, &text);
        }
    }
    assert!(count > 8, "{count} configurations");
}

fn check_configuration(file: &Path, document: &str, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glance-api"));
    let output = command.arg("--check-config").arg(file).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let lacks_etcd = stderr.contains("built without etcd");
    assert!(
        output.status.success() || lacks_etcd,
        "{document}:\n{text}\n{stderr}"
    );
}

/// Every link between documents leads to a file that exists.
#[test]
fn links_between_documents_lead_to_files() {
    let mut names = documents();
    names.push("deploy/README.md".to_owned());
    names.push("docs/reference/options.md".to_owned());
    for document in names {
        let text = read(&document);
        let folder = root().join(&document).parent().unwrap().to_owned();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            let path = target.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(folder.join(path).exists(), "{document}: {target}");
        }
    }
}

/// docs/operations.md describes every metric of the server and has a runbook for every alert.
#[test]
fn operations_describes_every_metric_and_alert() {
    let text = read("docs/operations.md");
    let described: BTreeSet<&str> = metrics_in(&text);
    let own = metrics_of_the_node();
    let unknown: Vec<_> = described
        .iter()
        .filter(|name| name.starts_with("glance_") && !own.contains(**name))
        .collect();
    assert!(unknown.is_empty(), "unknown metrics: {unknown:?}");
    let is_part = |name: &str| {
        ["_bucket", "_count", "_sum"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let missing: Vec<_> = own
        .iter()
        .filter(|name| name.starts_with("glance_") && !is_part(name))
        .filter(|name| !described.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "metrics without description: {missing:?}"
    );
    let alerts = read("deploy/prometheus/alerts.yml");
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        let heading = format!("\n### {name}\n");
        assert!(text.contains(&heading), "no runbook for {name}");
    }
}

/// README.md fits into 150 lines, and its table names every document.
#[test]
fn readme_is_short_and_names_every_document() {
    let text = read("README.md");
    assert!(text.lines().count() <= 150);
    for document in documents().iter().skip(1) {
        assert!(text.contains(&format!("]({document})")), "{document}");
    }
}

/// Every file and folder of the project that a document names exists.
#[test]
fn documents_name_existing_files() {
    for document in documents() {
        for span in read(&document).split('`').skip(1).step_by(2) {
            let folders = ["src/", "tests/", "benches/", "deploy/", "etc/"];
            let is_path = folders.iter().any(|folder| span.starts_with(folder))
                && !span.contains([' ', '*', '<']);
            if is_path {
                assert!(root().join(span).exists(), "{document} names {span}");
            }
        }
    }
}

/// The tables of layers in docs/architecture.md equal the map in src/lib.rs.
#[test]
fn architecture_has_the_map_of_the_library() {
    let library = read("src/lib.rs");
    let doc: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .collect();
    let map = doc.join(" ");
    let entries = map.split("* [`").skip(1).map(|entry| {
        let (name, text) = entry.split_once("`] - ").expect("a description");
        let text = text.split(" Beside the server").next().unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        format!("| `{name}` | {} |", words.join(" "))
    });
    let architecture = read("docs/architecture.md");
    let rows: Vec<&str> = architecture
        .lines()
        .take_while(|line| *line != "## Threads")
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(entries.collect::<Vec<_>>(), rows);
}
