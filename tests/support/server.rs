//! The real `glance-api`, or `glance-registry`, started as an operator starts it.
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

/// Time that SIGTERM leaves before SIGKILL follows, when a test is over.
const TERM_LIMIT: Duration = Duration::from_secs(5);

/// Lines of the log that are shown when a test fails.
const LOG_TAIL_LINES: usize = 40;

/// Where, in the store's folder, uploads are until they are complete.
pub const STAGING: &str = ".staging";

/// The program under test.
pub const GLANCE_API: &str = env!("CARGO_BIN_EXE_glance-api");

/// A running server, or one that was ended and can be started again.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    folder: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    process: Option<Guarded>,
    /// Processes that were replaced by a reload and may have something in flight.
    retired: Vec<Guarded>,
}

impl Server {
    /// One that is not started yet.
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
        self.setup.data_dir_in(self.folder())
    }

    /// The folder of image data (`filesystem_store_datadir`).
    pub fn store_dir(&self) -> PathBuf {
        self.setup.store_dir_in(self.folder())
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder().join(self.setup.program.config_file())
    }

    /// What the server has printed and logged, over all its starts.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log says so: it is written by a thread of its own, perhaps after the
    /// answer to the client.
    ///
    /// # Panics
    /// When it does not come to say so.
    #[track_caller]
    pub fn expect_log(&self, text: &str) {
        eventually(&format!("the log says: {text}"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// The process id.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
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

    /// One request by its parts, as [`Connection::ask`] has them, on a connection of its own.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, lines: &str, body: &[u8]) -> Response {
        let answer = self.connect().ask(method, target, lines, body);
        answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// The metrics as the operator's listener shows them.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let answer = self.connect_admin().request(&Request::get("/metrics"));
        answer.expect(200).text().to_owned()
    }

    /// Files of the store with their sizes, hidden and staged ones too, relative to
    /// [`Server::store_dir`], in order.
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

    /// Changes the setup, for the next start.
    pub fn set_up(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(std::mem::take(&mut self.setup));
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.wait_for_end(Duration::ZERO);
        self.process.is_some()
    }

    /// Asks the server to end (SIGTERM) and does not wait.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by name, such as `HUP`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
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
        process.signal("TERM");
        if let Some(status) = self.wait_for_end(TERM_LIMIT) {
            return Some(status);
        }
        self.kill();
        Some(ExitStatus::from_raw(libc::SIGKILL))
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Has it start a successor (SIGUSR2), and returns when that serves. The process before
    /// goes on with what it has in flight.
    #[track_caller]
    pub fn reload(&mut self) {
        self.signal("USR2");
        self.follow();
    }

    /// From now on this is the process that the pid file names, once that is another one.
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

    /// The process id in the pid file.
    pub fn pid_in_file(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file())
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// The pid file, which is written when [`Setup::with_pid_file`] says so.
    pub fn pid_file(&self) -> PathBuf {
        self.folder().join("glance-api.pid")
    }

    /// kill -9 of every process that was replaced.
    pub fn kill_retired(&mut self) {
        for mut process in self.retired.drain(..) {
            process.kill();
        }
    }

    /// Waits until every process that was replaced has ended, and fails when one did badly.
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

    /// Starts it on the same data and ports; ends it before if it runs.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    fn log_file(&self) -> PathBuf {
        let own = self.folder().join("server.log");
        self.setup.output.clone().unwrap_or(own)
    }

    /// Starts it and returns when it takes connections; on the same data if it ran before.
    ///
    /// # Panics
    /// With its log when it does not start.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        self.await_ready();
    }

    /// Writes the configuration as it is set up now.
    pub fn write_config(&self) {
        let config = self.setup.config(self.folder(), self.address, self.admin);
        fs::write(self.config_file(), config).expect("the configuration is written");
        // It may have a password in it.
        let own = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.config_file(), own).expect("permissions");
    }

    /// Starts it and waits for nothing.
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

    /// Ready is who answers on all its ports; the kernel takes connections earlier.
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

/// Whether somebody answers there, whatever it is.
fn answers(address: SocketAddr) -> bool {
    let probe = Request::get("/healthcheck").header("Connection", "close");
    let connection = Connection::open(address);
    connection.is_ok_and(|mut connection| connection.exchange(&probe).is_ok())
}
