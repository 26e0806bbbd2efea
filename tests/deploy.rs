//! Checks the files in `deploy/` against the programs (metrics, options, units) and with the tools
//! that read them, and the documents (`documents`). A test whose tool is not installed is skipped.

#[path = "support/skip.rs"]
mod skip;

#[path = "deploy/documents.rs"]
mod documents;

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

/// Runs a tool in the project's folder; returns `None` if it is not installed.
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

/// Returns the words of a text that have the form of our metrics.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| {
        let ours = word.starts_with("glance_") || word.starts_with("process_");
        ours && word.len() > "process_".len()
    };
    words.filter(is_metric).collect()
}

/// Returns the metrics of the server, with the three series of each histogram.
fn metrics_of_the_node() -> BTreeSet<String> {
    let files = fs::read_dir(root().join("src/metrics")).unwrap().flatten();
    let files = files
        .map(|entry| entry.path())
        .filter(|path| path.is_file());
    let own: Vec<_> = files
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
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
fn metrics_of_alerts_and_dashboard_exist() {
    let existing = metrics_of_the_node();
    assert!(existing.contains("glance_http_requests_total"));
    for file in [
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts_test.yml",
        "deploy/grafana/glance.json",
    ] {
        let text = read(file);
        let used = metrics_in(&text);
        assert!(!used.is_empty(), "{file}");
        let missing: Vec<_> = used
            .into_iter()
            .filter(|name| !existing.contains(*name))
            .collect();
        assert!(
            missing.is_empty(),
            "{file} uses unknown metrics: {missing:?}"
        );
    }
}

#[test]
fn dashboard_has_panels_with_queries() {
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
fn prometheus_accepts_the_rules() {
    let test = "prometheus_accepts_the_rules";
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
fn systemd_accepts_the_units() {
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
        // The units name installed programs; the test uses the built ones.
        let text = fs::read_to_string(&unit).unwrap();
        let text = text.replace("/usr/bin/glance", &format!("{built}glance"));
        let program = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let program = program.and_then(|line| line.split(' ').next()).unwrap();
        assert!(Path::new(program).is_file(), "{program} is not built");
        let copy = folder.path().join(unit.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        let copy = copy.to_str().unwrap();
        let arguments = ["verify", "--man=no", "--recursive-errors=no", copy];
        let Some(output) = run("systemd_accepts_the_units", "systemd-analyze", &arguments) else {
            return;
        };
        succeeds(&output);
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(messages, "", "{copy}");
    }
}

#[test]
fn seccomp_profile_is_current() {
    let Some(output) = run(
        "seccomp_profile_is_current",
        "deploy/container/seccomp.py",
        &[],
    ) else {
        return;
    };
    succeeds(&output);
    let written = String::from_utf8(output.stdout).unwrap();
    assert_eq!(written, read("deploy/container/seccomp.json"));
}

/// The schema of Compose comes from PyPI, so the test needs no container engine.
#[test]
fn compose_file_matches_the_schema() {
    let test = "compose_file_matches_the_schema";
    let venv = std::env::var_os("GLANCE_TEST_VENV_TOOLS").map(PathBuf::from);
    let venv = venv.unwrap_or_else(|| root().join("target/test-venv-tools"));
    let program = venv.join("bin/check-jsonschema");
    let arguments = [
        "--builtin-schema",
        "vendor.compose-spec",
        "deploy/compose/compose.yaml",
    ];
    if let Some(output) = run(test, program.to_str().unwrap(), &arguments) {
        succeeds(&output);
    }
}

/// Compose copies the content of an inline config into the container, which fails if the file
/// system of the container is read-only.
#[test]
fn services_with_inline_configs_are_not_read_only() {
    let compose = read("deploy/compose/compose.yaml");
    assert!(compose.contains("    content: |\n"));
    assert!(!compose.contains("read_only: true\n"));
}

/// The configuration in the compose file has no unknown option.
#[test]
fn configuration_in_the_compose_file_is_valid() {
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
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !stderr.contains("is not an option of this program"),
        "{stderr}"
    );
    if !stderr.contains("built without etcd") {
        succeeds(&output);
    }
}

/// The build in the container finds protoc and every file that it copies, within the files that
/// .dockerignore admits.
#[test]
fn container_file_can_build() {
    let file = read("deploy/container/Dockerfile");
    let (build, image) = file.split_once("\nFROM docker.io/library/debian").unwrap();
    assert!(build.contains("--all-features"));
    assert!(build.contains("protobuf-compiler libprotobuf-dev"));
    assert!(
        image.contains("\nUSER 981:981\n"),
        "a number, for Kubernetes"
    );
    let ignored = read(".dockerignore");
    let sent: Vec<_> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for path in &sent {
        assert!(root().join(path).exists(), "{path}");
    }
    for line in image
        .lines()
        .filter(|line| line.starts_with("COPY --chown"))
    {
        let source = line.split_whitespace().nth(3).unwrap();
        assert!(sent.contains(&source), "{source} is not sent to the engine");
    }
    // Cargo can read the package with these files alone.
    let folder = tempfile::tempdir().unwrap();
    for path in sent {
        let target = folder.path().join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(root().join(path), target).unwrap();
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    succeeds(&cargo.current_dir(folder.path()).output().unwrap());
}

/// The server of the container image listens on the address that its health check uses.
#[test]
fn configuration_of_the_container_image_is_valid() {
    let file = root().join("deploy/container/glance-api.conf");
    let mut command = Command::new(env!("CARGO_BIN_EXE_glance-api"));
    succeeds(&command.arg("--check-config").arg(file).output().unwrap());
    assert!(read("deploy/container/glance-api.conf").contains("\nbind_host = 0.0.0.0\n"));
}

/// Returns the `sh` blocks after a heading of a document as one script.
fn commands_after(document: &str, heading: &str) -> String {
    let text = read(document);
    let (_, after) = text.split_once(heading).expect(heading);
    let mut script = String::new();
    for block in after.split("```sh\n").skip(1) {
        script.push_str(block.split_once("```").expect("the end of the block").0);
    }
    script
}

/// Runs a script in a private root, in a folder with the files of the project and the programs.
fn paste(test: &str, script: &str) -> Option<Output> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        skip::skip(test, "a private root needs root");
        return None;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for part in ["deploy", "docs", "etc"] {
        std::os::unix::fs::symlink(root().join(part), folder.path().join(part)).unwrap();
    }
    let built = Path::new(env!("CARGO_BIN_EXE_glance-api"))
        .parent()
        .unwrap();
    for profile in ["dist", "release"] {
        let programs = folder.path().join("target").join(profile);
        fs::create_dir_all(&programs).unwrap();
        for entry in fs::read_dir(built).unwrap().flatten() {
            let name = entry.file_name();
            let is_program = name
                .to_str()
                .is_some_and(|name| name.starts_with("glance") && !name.contains('.'));
            if is_program {
                fs::hard_link(entry.path(), programs.join(&name)).unwrap();
            }
        }
    }
    let file = folder.path().join("script");
    fs::write(&file, script).unwrap();
    let program = root().join("tests/deploy/private_root");
    let output = Command::new(program)
        .arg(&file)
        .current_dir(folder.path())
        .output();
    Some(output.unwrap())
}

/// Runs the commands of deploy/README.md in a private root and uses the services that they start.
#[test]
fn services_start_as_described() {
    let mut script = commands_after("deploy/README.md", "\n**systemd.**");
    script.push_str(
        "curl -fsS http://127.0.0.1:9292/healthcheck\n\
         curl -fsS http://127.0.0.1:9191/healthcheck\n\
         head -c 100000 /dev/urandom >image\n\
         glance image-create --name i --disk-format raw --container-format bare --file image\n\
         test -d /var/lib/glance/images\n\
         test \"$(stat -c %U /var/lib/glance/images)\" = glance\n\
         systemctl stop glance-api glance-registry\n",
    );
    if let Some(output) = paste("services_start_as_described", &script) {
        succeeds(&output);
    }
}
