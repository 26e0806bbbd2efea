//! What is in `deploy/` fits the programs: the metrics are there, and the tools that read the
//! files understand them. A tool that is not installed skips its test.

#[path = "support/skip.rs"]
mod skip;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a tool in the project's folder; `None` when it is not installed.
fn run(test: &str, program: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new(program);
    match command.args(arguments).current_dir(root()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            skip::skip(test, &format!("{program}: {error}"));
            None
        }
    }
}

#[track_caller]
fn succeeds(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}

/// Words that look like metrics of ours.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| {
        let ours = word.starts_with("glance_") || word.starts_with("process_");
        ours && word.len() > "process_".len()
    };
    words.filter(is_metric).collect()
}

/// Those that the node has, with what a histogram becomes.
fn metrics_of_the_node() -> BTreeSet<String> {
    let own = ["names", "mod"].map(|file| read(&format!("src/metrics/{file}.rs")));
    let mut names = BTreeSet::new();
    for quoted in own
        .iter()
        .flat_map(|text| text.split('"').skip(1).step_by(2))
    {
        for name in metrics_in(quoted) {
            names.insert(name.to_owned());
            if name.ends_with("_seconds") {
                for part in ["bucket", "count", "sum"] {
                    names.insert(format!("{name}_{part}"));
                }
            }
        }
    }
    names
}

#[test]
fn every_metric_that_is_looked_at_is_there() {
    let there = metrics_of_the_node();
    assert!(there.contains("glance_http_requests_total"));
    for file in [
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts_test.yml",
        "deploy/grafana/glance.json",
    ] {
        let text = read(file);
        let looked_at = metrics_in(&text);
        assert!(!looked_at.is_empty(), "{file}");
        let missing: Vec<_> = looked_at
            .into_iter()
            .filter(|name| !there.contains(*name))
            .collect();
        assert!(missing.is_empty(), "{file} looks at {missing:?}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let board: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/glance.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
    }
}

#[test]
fn prometheus_understands_the_rules() {
    let test = "prometheus_understands_the_rules";
    for arguments in [
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["check", "rules", "deploy/prometheus/alerts.yml"],
        ["test", "rules", "deploy/prometheus/alerts_test.yml"],
    ] {
        let Some(output) = run(test, "promtool", &arguments) else {
            return;
        };
        succeeds(&output);
    }
}

#[test]
fn systemd_understands_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_glance-api"))
        .parent()
        .unwrap();
    let built = format!("{}/", built.display());
    let units = fs::read_dir(root().join("deploy/systemd"))
        .unwrap()
        .flatten();
    let units: Vec<PathBuf> = units
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "service")
        })
        .collect();
    assert!(units.len() >= 2);
    for unit in units {
        // The programs are where they were built, not where they will be.
        let text = fs::read_to_string(&unit).unwrap();
        let text = text.replace("/usr/bin/glance", &format!("{built}glance"));
        let program = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let program = program.and_then(|line| line.split(' ').next()).unwrap();
        if !Path::new(program).is_file() {
            eprintln!("SKIPPED: {program} is not built");
            continue;
        }
        let copy = folder.path().join(unit.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        let copy = copy.to_str().unwrap();
        let arguments = ["verify", "--man=no", "--recursive-errors=no", copy];
        let Some(output) = run(
            "systemd_understands_the_units",
            "systemd-analyze",
            &arguments,
        ) else {
            return;
        };
        succeeds(&output);
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(complaints, "", "{copy}");
    }
}

#[test]
fn the_seccomp_profile_is_what_its_source_says() {
    let Some(output) = run(
        "the_seccomp_profile_is_what_its_source_says",
        "deploy/container/seccomp.py",
        &[],
    ) else {
        return;
    };
    succeeds(&output);
    let written = String::from_utf8(output.stdout).unwrap();
    assert_eq!(written, read("deploy/container/seccomp.json"));
}

#[test]
fn docker_understands_the_compose_file() {
    let test = "docker_understands_the_compose_file";
    let Some(output) = run(test, "docker", &["compose", "version"]) else {
        return;
    };
    if !output.status.success() {
        return skip::skip(test, "docker has no compose here");
    }
    let mut command = Command::new("docker");
    command
        .args([
            "compose",
            "-f",
            "deploy/compose/compose.yaml",
            "config",
            "--quiet",
        ])
        .env("GLANCE_S3_SECRET", "secret")
        .current_dir(root());
    succeeds(&command.output().unwrap());
}

/// The configuration that the compose file gives its nodes: no option of it is unknown.
#[test]
fn the_nodes_of_the_compose_file_have_a_sound_configuration() {
    if !read("etc/glance.conf.sample").contains("etcd_endpoints") {
        eprintln!("SKIPPED: this version keeps no registry in etcd");
        return;
    }
    let compose = read("deploy/compose/compose.yaml");
    let (_, after) = compose
        .split_once("  glance-api:\n    content: |\n")
        .unwrap();
    let lines = after.lines().take_while(|line| line.starts_with("      "));
    let text: String = lines
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    let text = text.replace("${GLANCE_S3_SECRET}", "secret");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("glance-api.conf");
    fs::write(&file, text).unwrap();
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, own).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glance-api"));
    let output = command.arg("--check-config").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("is no option of this program"), "{said}");
    if !said.contains("feature etcd") {
        succeeds(&output);
    }
}
