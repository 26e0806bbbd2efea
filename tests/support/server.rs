//! Starts the real `glance-api` or `glance-registry` as an operator does.
//!
//! ```text
//! let mut server = Setup::new().option("image_size_cap", 1000).start();
//! server.request(&Request::get("/v1/images")).expect(200);
//! server.kill();      // kill -9
//! server.restart();   // on the same data
//! ```
//!
//! Dropping the [`Server`] stops it. If the test process ends without dropping it (a crash, kill
//! -9, or a server in a static), a guard process kills the server and removes its folder.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::files::files_below;
use super::guarded::Guarded;
use super::http::{Connection, Request, Response};
use super::{PATIENCE, eventually};

pub use super::setup::Setup;

/// Time between SIGTERM and SIGKILL at the end of a test.
const TERM_LIMIT: Duration = Duration::from_secs(5);

/// Number of log lines that are shown when a test fails.
const LOG_TAIL_LINES: usize = 40;

/// Folder of incomplete uploads inside the store's folder.
pub const STAGING: &str = ".staging";

/// The program under test.
pub const GLANCE_API: &str = env!("CARGO_BIN_EXE_glance-api");

/// A server, which may be running or stopped, and can be started again.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    folder: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    process: Option<Guarded>,
    /// Processes that were replaced by a reload and may have running transfers.
    retired: Vec<Guarded>,
}

impl Server {
    /// Returns a server that is not started yet.
    pub(super) fn new(
        setup: Setup,
        folder: TempDir,
        address: SocketAddr,
        admin: SocketAddr,
    ) -> Self {
        Self {
            setup,
            folder,
            address,
            admin,
            process: None,
            retired: Vec::new(),
        }
    }

    /// Returns a server that tests share which do not disturb one another: each uses only images
    /// that it created. It ends with the test process.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Setup::new().start())
    }

    /// Returns the address of the API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Returns the folder that contains all files of this server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder of the data (`data_dir`).
    pub fn data_dir(&self) -> PathBuf {
        self.setup.data_dir_in(self.folder())
    }

    /// Returns the folder of image data (`filesystem_store_datadir`).
    pub fn store_dir(&self) -> PathBuf {
        self.setup.store_dir_in(self.folder())
    }

    /// Returns the configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder().join(self.setup.program.config_file())
    }

    /// Returns the output and the log of all starts of the server.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log contains a text. A separate thread writes the log, possibly after the
    /// response to the client.
    ///
    /// # Panics
    /// Panics if the text does not appear in time.
    #[track_caller]
    pub fn expect_log(&self, text: &str) {
        eventually(&format!("the log says: {text}"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Returns the process id.
    ///
    /// # Panics
    /// Panics if the server is not running.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Opens a connection to the API.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("a connection to the API")
    }

    /// Opens a connection to the admin listener.
    #[track_caller]
    pub fn connect_admin(&self) -> Connection {
        Connection::open(self.admin).expect("a connection to the operator's listener")
    }

    /// Sends a request on a new connection.
    #[track_caller]
    pub fn request(&self, request: &Request) -> Response {
        self.connect().request(request)
    }

    /// Sends a request given by its parts, as for [`Connection::ask`], on a new connection.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, lines: &str, body: &[u8]) -> Response {
        let answer = self.connect().ask(method, target, lines, body);
        answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Returns the metrics of the admin listener.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let answer = self.connect_admin().request(&Request::get("/metrics"));
        answer.expect(200).text().to_owned()
    }

    /// Returns the files of the store with their sizes, including hidden and incomplete ones,
    /// relative to [`Server::store_dir`] and sorted.
    pub fn stored_files(&self) -> Vec<(PathBuf, u64)> {
        let files = files_below(&self.store_dir());
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

    /// Returns true if the store has complete data of an image.
    pub fn has_stored(&self, id: &str) -> bool {
        self.stored_files()
            .iter()
            .any(|(path, _)| path == Path::new(id))
    }

    /// Waits until the store has no data of an image that was refused or deleted: neither its file
    /// nor any file that is incomplete now, because the names of those do not show their image.
    /// Call it after the response, while no test keeps an upload open.
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

    /// Changes the setup for the next start.
    pub fn set_up(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(std::mem::take(&mut self.setup));
    }

    /// Returns true if the process runs.
    pub fn is_running(&mut self) -> bool {
        self.wait_for_end(Duration::ZERO);
        self.process.is_some()
    }

    /// Sends SIGTERM and does not wait.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name, such as `HUP`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// Panics if it has not ended after `limit`.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = self.wait_for_end(limit);
        status.unwrap_or_else(|| panic!("the server has not ended after {limit:?}"))
    }

    /// Stops the server by SIGTERM, followed by SIGKILL if it takes too long, as a service manager
    /// does. Returns its status; `None` if it was not running.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_ref()?;
        process.signal("TERM");
        if let Some(status) = self.wait_for_end(TERM_LIMIT) {
            return Some(status);
        }
        self.kill();
        Some(ExitStatus::from_raw(libc::SIGKILL))
    }

    /// Kills the server (SIGKILL) and waits until it has ended.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Reloads the server (SIGUSR2) and returns when the new process serves. The old process
    /// continues its running transfers.
    #[track_caller]
    pub fn reload(&mut self) {
        self.signal("USR2");
        self.follow();
    }

    /// Waits until the pid file names another process, and uses that one from then on.
    #[track_caller]
    pub fn follow(&mut self) {
        let before = self.process.take();
        let before_id = before.as_ref().map(|before| before.id());
        self.retired.extend(before);
        let pid = eventually("another process serves", || {
            self.pid_in_file().filter(|pid| Some(*pid) != before_id)
        });
        self.process = Some(Guarded::other(pid, Some(self.folder())));
    }

    /// Returns the process id in the pid file.
    pub fn pid_in_file(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file())
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Returns the pid file, which the server writes if [`Setup::with_pid_file`] is used.
    pub fn pid_file(&self) -> PathBuf {
        self.folder().join("glance-api.pid")
    }

    /// Kills every process that was replaced (SIGKILL).
    pub fn kill_retired(&mut self) {
        for mut process in self.retired.drain(..) {
            process.kill();
        }
    }

    /// Waits until every process that was replaced has ended, and panics if one failed.
    #[track_caller]
    pub fn await_retired(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while let Some(mut process) = self.retired.pop() {
            let status = loop {
                if let Some(status) = process.try_wait() {
                    break status;
                }
                assert!(Instant::now() < deadline, "{} goes on", process.id());
                std::thread::sleep(Duration::from_millis(5));
            };
            assert_eq!(status.code(), Some(0), "{}", self.log());
        }
    }

    /// Restarts the server on the same data and ports.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    fn log_file(&self) -> PathBuf {
        let own = self.folder().join("server.log");
        self.setup.output.clone().unwrap_or(own)
    }

    /// Starts the server, on the same data if it ran before, and returns when it accepts
    /// connections.
    ///
    /// # Panics
    /// Panics with its log if it does not start.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        self.await_ready();
    }

    /// Writes the configuration file.
    pub fn write_config(&self) {
        let config = self.setup.config(self.folder(), self.address, self.admin);
        fs::write(self.config_file(), config).expect("the configuration is written");
        // It may contain a password, which must not be readable by other users.
        let own = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.config_file(), own).expect("permissions");
    }

    /// Starts the process without waiting.
    #[track_caller]
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        self.write_config();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log file");
        let mut command = Command::new(self.setup.program.path());
        command
            .arg(self.config_file())
            .args(&self.setup.arguments)
            .envs(self.setup.environment.clone())
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        if self.setup.with_pid_file {
            command.arg("--pid-file").arg(self.pid_file());
        }
        let owned = self.setup.launch.own(self.folder());
        owned.expect("the folder is given to the server's user");
        self.setup.launch.prepare(&mut command);
        let child = command.spawn().expect("the server's program");
        self.process = Some(Guarded::child(child, Some(self.folder())));
    }

    /// A server is ready when it answers on all of its ports; the kernel accepts connections
    /// earlier.
    #[track_caller]
    fn await_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut missing = vec![self.address];
        if !self.setup.is_without_admin() {
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
            if let Some(status) = process.try_wait() {
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
        self.kill();
        self.kill_retired();
    }
}

/// Returns true if a server answers at the address, with any response.
fn answers(address: SocketAddr) -> bool {
    let probe = Request::get("/healthcheck").header("Connection", "close");
    let connection = Connection::open(address);
    connection.is_ok_and(|mut connection| connection.exchange(&probe).is_ok())
}
