//! One server: its folder, its configuration, its process.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::launch::Launch;
use super::ports::free_port;
use super::wire::{Answer, Wire};

/// How long a server may take to listen: a registry to recover, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A server to be started.
#[derive(Debug, Default)]
pub struct Setup {
    default: Vec<String>,
    store: Vec<String>,
    data_dir: Option<PathBuf>,
    images_dir: Option<PathBuf>,
    launch: Launch,
}

impl Setup {
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of `[DEFAULT]`.
    pub fn option(mut self, line: &str) -> Self {
        self.default.push(line.to_owned());
        self
    }

    /// A line of `[glance_store]`.
    pub fn store_option(mut self, line: &str) -> Self {
        self.store.push(line.to_owned());
        self
    }

    /// Another place for the data than the server's own folder.
    pub fn data_dir(mut self, folder: &Path) -> Self {
        self.data_dir = Some(folder.to_owned());
        self
    }

    /// Another place for the images than below the data.
    pub fn images_dir(mut self, folder: &Path) -> Self {
        self.images_dir = Some(folder.to_owned());
        self
    }

    pub fn most_fds(mut self, most: u64) -> Self {
        self.launch.most_fds = Some(most);
        self
    }

    pub fn refuse_uring(mut self) -> Self {
        self.launch.refuse_uring = true;
        self
    }

    /// Starts it, and returns when it listens.
    pub fn start(self) -> Node {
        let mut node = self.prepare();
        node.start();
        node
    }

    /// A folder and a configuration, and no process yet.
    pub fn prepare(self) -> Node {
        let folder = temp_folder();
        let data_dir = self.data_dir.unwrap_or_else(|| folder.path().join("data"));
        let images_dir = self.images_dir.unwrap_or_else(|| data_dir.join("images"));
        let node = Node {
            port: free_port(),
            admin_port: free_port(),
            launch: self.launch,
            data_dir,
            images_dir,
            folder,
            child: None,
        };
        node.configure(&self.default, &self.store);
        node
    }
}

/// A folder of our own on a real disk: below cargo's target folder, not in a memory that
/// `/tmp` may be.
pub fn temp_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("node-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder for the test")
}

/// A server, started or not. Dropping it kills it.
pub struct Node {
    pub port: u16,
    pub admin_port: u16,
    launch: Launch,
    data_dir: PathBuf,
    images_dir: PathBuf,
    folder: TempDir,
    child: Option<Child>,
}

impl Node {
    /// Writes the configuration: the harness' own lines and those given.
    pub fn configure(&self, default: &[String], store: &[String]) {
        let config = format!(
            "[DEFAULT]\nbind_host = 127.0.0.1\nbind_port = {}\nadmin_bind_port = {}\n\
             data_dir = {}\nlog_file = {}\nverbose = true\n{}\n[glance_store]\n\
             filesystem_store_datadir = {}\n{}\n",
            self.port,
            self.admin_port,
            self.data_dir.display(),
            self.folder.path().join("glance.log").display(),
            default.join("\n"),
            self.images_dir.display(),
            store.join("\n"),
        );
        fs::write(self.folder.path().join("glance-api.conf"), config).expect("a configuration");
    }

    /// Starts the process and waits until it listens.
    pub fn start(&mut self) {
        self.spawn();
        let began = Instant::now();
        while Wire::connect(self.port).is_err() {
            if let Some(status) = self.has_ended() {
                panic!("the server ended with {status}: {}", self.said());
            }
            assert!(began.elapsed() < START, "no server: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the process and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "started already");
        let output = File::create(self.folder.path().join("output")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_glance-api"));
        command
            .arg(self.folder.path().join("glance-api.conf"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("a file"))
            .stdout(output);
        self.launch.prepare(&mut command);
        self.child = Some(command.spawn().expect("glance-api starts"));
    }

    /// The folder the server runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn images_dir(&self) -> &Path {
        &self.images_dir
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("started").id()
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        child.try_wait().expect("a child of ours")
    }

    /// Waits until the process ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("started");
        child.wait().expect("a child of ours")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
        }
    }

    /// SIGTERM, and the wait for the end.
    pub fn stop(&mut self) -> ExitStatus {
        // SAFETY: the process is a child that was not waited for, so the id is its own.
        unsafe { libc::kill(self.pid() as i32, libc::SIGTERM) };
        self.wait()
    }

    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("glance.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// What the server printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    fn said(&self) -> String {
        format!("{}\n{}", self.output(), self.log())
    }

    pub fn connect(&self) -> Wire {
        self.try_connect().expect("the server takes connections")
    }

    pub fn try_connect(&self) -> io::Result<Wire> {
        Wire::connect(self.port)
    }

    /// A request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let answer = self.connect().request(method, path, headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn metadata(&self, id: &str) -> Answer {
        self.request("HEAD", &format!("/v1/images/{id}"), "", b"")
    }

    pub fn download(&self, id: &str) -> Answer {
        self.request("GET", &format!("/v1/images/{id}"), "", b"")
    }

    /// Uploads an image and returns its identifier.
    pub fn upload(&self, bytes: &[u8]) -> String {
        let answer = self.request("POST", "/v1/images", UPLOAD, bytes);
        assert_eq!(answer.status, 201, "{}", answer.text());
        id_of(&answer)
    }

    /// The metrics as the operator's listener shows them.
    pub fn metrics(&self) -> String {
        let answer = Wire::connect(self.admin_port)
            .and_then(|mut wire| wire.request("GET", "/metrics", "", b""))
            .expect("metrics");
        assert_eq!(answer.status, 200);
        answer.text()
    }

    /// The files of images: name and size, in order.
    pub fn store_files(&self) -> Vec<(String, u64)> {
        files_in(&self.images_dir)
    }

    /// The files of uploads that have not ended.
    pub fn staged_files(&self) -> Vec<(String, u64)> {
        files_in(&self.images_dir.join(".staging"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last = log.len().saturating_sub(4000);
            eprintln!(
                "the server's last words: {}",
                &log[log.ceil_char_boundary(last)..]
            );
        }
        self.kill();
    }
}

/// Headers of an upload.
pub const UPLOAD: &str = "Content-Type: application/octet-stream\r\n\
     x-image-meta-disk_format: raw\r\n\
     x-image-meta-container_format: bare\r\n\
     x-image-meta-is_public: True";

/// The identifier in the answer to POST or PUT.
pub fn id_of(answer: &Answer) -> String {
    let id = answer.json()["image"]["id"].as_str().map(str::to_owned);
    id.unwrap_or_else(|| panic!("no image in {}", answer.text()))
}

/// The plain files of a folder; that of an upload may go while we look.
pub fn files_in(folder: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<(String, u64)> = entries
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            (!metadata.is_dir()).then_some((name, metadata.len()))
        })
        .collect();
    files.sort();
    files
}
