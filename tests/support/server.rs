//! The real `glance-api`, started as an operator starts it.
//!
//! ```text
//! let mut server = Setup::new().option("image_size_cap", 1000).start();
//! server.request(&Request::get("/v1/images")).expect(200);
//! server.kill();      // kill -9
//! server.restart();   // on the same data
//! ```
//!
//! A server ends with its [`Server`]. Should the test process end without dropping it (a
//! crash, kill -9, or a server that lives in a static), a guard process, which waits for the
//! end of the test process, kills the server and removes its folder.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http::{Connection, Request, Response};
use super::ports::free_port;
use super::{PATIENCE, eventually};

/// Time that SIGTERM leaves before SIGKILL follows, when a test is over.
const TERM_LIMIT: Duration = Duration::from_secs(5);

/// Lines of the log that are shown when a test fails.
const LOG_TAIL_LINES: usize = 40;

/// Where, in the store's folder, uploads are until they are complete.
const STAGING: &str = ".staging";

/// The program under test.
pub const GLANCE_API: &str = env!("CARGO_BIN_EXE_glance-api");

/// A server that is still to be started.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Section to key to value.
    options: BTreeMap<String, BTreeMap<String, String>>,
    arguments: Vec<String>,
}

impl Setup {
    /// Ports, data folder and two workers; everything else has its default.
    pub fn new() -> Self {
        Self::default().option("workers", 2)
    }

    /// Sets an option of `[DEFAULT]`.
    pub fn option(self, key: &str, value: impl ToString) -> Self {
        self.option_in("DEFAULT", key, value)
    }

    /// Sets an option of another section.
    pub fn option_in(mut self, section: &str, key: &str, value: impl ToString) -> Self {
        let section = self.options.entry(section.to_owned()).or_default();
        section.insert(key.to_owned(), value.to_string());
        self
    }

    /// Adds a word to the command line.
    pub fn argument(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    /// Starts it, and returns when it takes connections.
    ///
    /// # Panics
    /// With its log when it does not start.
    #[track_caller]
    pub fn start(self) -> Server {
        let folder = tempfile::Builder::new().prefix("glance-test-").tempdir();
        let mut server = Server {
            setup: self,
            folder: folder.expect("a temporary folder"),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            process: None,
        };
        server.launch();
        server
    }
}

/// A running server, or one that was ended and can be started again.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    folder: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    guard: Child,
}

impl Server {
    /// A server for tests that do not disturb one another: each looks only at images it
    /// made itself. It ends with the test process.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Setup::new().start())
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the operator's listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The folder that everything of this server is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the data (`data_dir`).
    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The folder of image data (`filesystem_store_datadir`).
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir().join("images")
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder().join("glance-api.conf")
    }

    /// What the server has printed and logged, over all its starts.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The process id.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").child.id()
    }

    /// A new connection to the API.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("a connection to the API")
    }

    /// A new connection to the operator's listener.
    #[track_caller]
    pub fn connect_admin(&self) -> Connection {
        Connection::open(self.admin).expect("a connection to the operator's listener")
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn request(&self, request: &Request) -> Response {
        self.connect().request(request)
    }

    /// Files of the store with their sizes, hidden and staged ones too, relative to
    /// [`Server::store_dir`], in order.
    pub fn stored_files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        walk(&self.store_dir(), &mut files);
        let relative = |path: PathBuf| {
            let inside = path.strip_prefix(self.store_dir()).map(Path::to_owned);
            inside.expect("a file below the folder")
        };
        let mut files: Vec<_> = files
            .into_iter()
            .map(|(path, size)| (relative(path), size))
            .collect();
        files.sort();
        files
    }

    /// Whether the store has data of an image under its name. What is still being uploaded
    /// has none yet.
    pub fn has_stored(&self, id: &str) -> bool {
        self.stored_files()
            .iter()
            .any(|(path, _)| path == Path::new(id))
    }

    /// Waits until the store has nothing of an image that was refused or deleted: not its
    /// file, and nothing of what is staged now, which nobody can tell by its name. To be
    /// called after the answer, while no test holds an upload open for long.
    #[track_caller]
    pub fn await_nothing_stored(&self, id: &str) {
        let is_suspect = |path: &Path| path == Path::new(id) || path.starts_with(STAGING);
        let files = self.stored_files();
        let mut suspects: Vec<_> = files.into_iter().map(|(path, _)| path).collect();
        suspects.retain(|path| is_suspect(path));
        eventually("the data are removed", || {
            suspects.retain(|path| self.store_dir().join(path).exists());
            suspects.is_empty().then_some(())
        });
        assert!(!self.has_stored(id));
    }

    /// Changes an option of `[DEFAULT]`, for the next start.
    pub fn set_option(&mut self, key: &str, value: impl ToString) {
        self.setup = std::mem::take(&mut self.setup).option(key, value);
    }

    /// Asks the server to end (SIGTERM) and does not wait.
    #[track_caller]
    pub fn terminate(&self) {
        signal(self.pid(), "TERM");
    }

    /// Sends it a signal by name, such as `HUP`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// When it has not after `limit`.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = self.wait_for_end(limit);
        status.unwrap_or_else(|| panic!("the server has not ended after {limit:?}"))
    }

    /// Ends it by SIGTERM, as a service manager does: with SIGKILL when it takes too long.
    /// Its status; `None` when it did not run.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_ref()?;
        signal(process.child.id(), "TERM");
        if let Some(status) = self.wait_for_end(TERM_LIMIT) {
            return Some(status);
        }
        self.kill();
        Some(ExitStatus::from_raw(libc::SIGKILL))
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.guard_off();
            // Fails only when it has ended by itself.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }

    /// Starts it on the same data and ports; ends it before if it runs.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("server.log")
    }

    fn write_config(&self) {
        let mut text = String::new();
        let ports = [
            ("bind_port", self.address.port().to_string()),
            ("admin_bind_port", self.admin.port().to_string()),
            ("data_dir", self.data_dir().display().to_string()),
        ];
        let mut options = self.setup.options.clone();
        let defaults = options.entry("DEFAULT".to_owned()).or_default();
        for (key, value) in ports {
            defaults.entry(key.to_owned()).or_insert(value);
        }
        for (section, keys) in &options {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        fs::write(self.config_file(), text).expect("the configuration is written");
    }

    #[track_caller]
    fn launch(&mut self) {
        self.write_config();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log file");
        let child = Command::new(GLANCE_API)
            .arg(self.config_file())
            .args(&self.setup.arguments)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server's program");
        let guard = guard(child.id(), self.folder());
        self.process = Some(Process { child, guard });
        self.await_ready();
    }

    /// Whether the setup has the operator's listener off.
    fn is_without_admin(&self) -> bool {
        let defaults = self.setup.options.get("DEFAULT");
        let port = defaults.and_then(|defaults| defaults.get("admin_bind_port"));
        port.is_some_and(|port| port == "0")
    }

    /// Ready is who answers on all its ports; the kernel takes connections earlier.
    #[track_caller]
    fn await_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut missing = vec![self.address];
        if !self.is_without_admin() {
            missing.push(self.admin);
        }
        while !missing.is_empty() {
            missing.retain(|address| !answers(*address));
            if let Some(status) = self.wait_for_end(Duration::ZERO) {
                panic!("the server ended at once, {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "not ready:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn wait_for_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        let process = self.process.as_mut()?;
        loop {
            if let Some(status) = process.child.try_wait().expect("a child of ours") {
                process.guard_off();
                self.process = None;
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
            eprintln!("--- the end of the server's log:\n{}", tail.join("\n"));
        }
        self.stop();
    }
}

impl Process {
    /// The guard must be gone before its server's process id can be anybody else's.
    fn guard_off(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// Whether somebody answers there, whatever it is.
fn answers(address: SocketAddr) -> bool {
    let probe = Request::get("/healthcheck").header("Connection", "close");
    let connection = Connection::open(address);
    connection.is_ok_and(|mut connection| connection.exchange(&probe).is_ok())
}

/// Waits at a pipe that closes when the test process ends, however it ends.
fn guard(server: u32, folder: &Path) -> Child {
    const SCRIPT: &str =
        r#"trap '' INT TERM; read -r _; kill -KILL "$1"; sleep 0.2; rm -rf -- "$2""#;
    Command::new("sh")
        .args(["-c", SCRIPT, "guard", &server.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh")
}

/// Through the shell's own kill, so that no unsafe call is needed here.
#[track_caller]
fn signal(pid: u32, name: &str) {
    let script = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &script]).status();
    assert!(status.expect("sh").success(), "{script}");
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, u64)>) {
    // A folder or file may go away while we look.
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => walk(&entry.path(), files),
            Ok(metadata) => files.push((entry.path(), metadata.len())),
            Err(_) => {}
        }
    }
}
