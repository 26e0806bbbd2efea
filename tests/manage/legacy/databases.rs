//! Starts PostgreSQL and MariaDB servers for a test, on loopback and as an ordinary user.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::guarded::Guarded;
use crate::support::ports::free_port;
use crate::support::process::is_root;
use crate::support::{PATIENCE, within};

/// The user of both is `glance`.
pub const PASSWORD: &str = "CANARY@word";

/// A database's name, and the statements that fill it.
pub type Tables = (&'static str, String);

/// A running database server. It ends when this is dropped and when the test process ends.
pub struct Database {
    // In the order in which they end.
    process: Guarded,
    folder: TempDir,
    port: u16,
}

impl Database {
    /// Returns its address, `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it accepts connections. Panics if it ends first.
    #[track_caller]
    fn await_answer(&mut self, mut answers: impl FnMut() -> bool) {
        within(PATIENCE, "the database answers", || {
            let ended = self.process.try_wait();
            let log = || fs::read_to_string(self.folder.path().join("server.log"));
            assert!(ended.is_none(), "it has ended: {:?}", log());
            answers()
        });
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Killed, PostgreSQL would leave shared memory behind.
        if self.process.try_wait().is_none() {
            self.process.signal("QUIT");
        }
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process.kill();
    }
}

/// Returns the path of `initdb`, if PostgreSQL is installed.
pub fn postgresql() -> Option<PathBuf> {
    find("initdb")
}

/// Starts PostgreSQL with these databases, each given by its name and its tables.
pub fn start_postgresql(initdb: &Path, databases: &[Tables]) -> Database {
    let folder = folder();
    let data = folder.path().join("data");
    let password = write(folder.path(), "password", PASSWORD);
    run(as_nobody(initdb)
        .current_dir(folder.path())
        .args(["--no-sync", "--username=glance", "--auth=scram-sha-256"])
        .args(["--encoding=UTF8", "--locale=C"])
        .arg(format!("--pwfile={}", password.display()))
        .arg(&data));
    let port = free_port();
    let mut server = as_nobody(&initdb.with_file_name("postgres"));
    server
        .arg("-D")
        .arg(&data)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-c", "fsync=off", "-c", "shared_buffers=1MB"])
        .args(["-c", "unix_socket_directories="]);
    let mut database = start(folder, port, &mut server);
    let psql = |name: &str| {
        let mut psql = Command::new(initdb.with_file_name("psql"));
        psql.env("PGPASSWORD", PASSWORD)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "glance"])
            .args(["-q", "-d", name, "-v", "ON_ERROR_STOP=1"]);
        psql
    };
    database.await_answer(|| {
        let asked = psql("postgres").args(["-c", "SELECT 1"]).output();
        asked.is_ok_and(|output| output.status.success())
    });
    for (name, sql) in databases {
        let sql = sql.replace("DATETIME", "TIMESTAMP");
        let file = write(database.folder.path(), name, &sql);
        run(psql("postgres").args(["-c", &format!("CREATE DATABASE {name}")]));
        run(psql(name).arg("-f").arg(file));
    }
    database
}

/// The files with MariaDB's system tables, at their paths in Debian's releases.
const SYSTEM_TABLES: [&str; 2] = [
    "/usr/share/mysql/mysql_system_tables.sql",
    "/usr/share/mariadb/mariadb_system_tables.sql",
];

/// Time limit for the start of MariaDB. It syncs about 400 times before it listens, which takes a
/// minute on a busy disk.
const WITHOUT_SYNC: [&str; 2] = ["--debug-no-sync", "--innodb-flush-method=nosync"];

/// Returns the paths of the server and of its system tables, if MariaDB is installed.
pub fn mariadb() -> Option<(PathBuf, PathBuf)> {
    let tables = SYSTEM_TABLES.iter().map(PathBuf::from);
    let tables = tables.into_iter().find(|file| file.is_file());
    find("mariadbd").zip(tables)
}

/// Starts MariaDB with these databases, each given by its name and its tables.
pub fn start_mariadb((server, system): &(PathBuf, PathBuf), databases: &[Tables]) -> Database {
    let folder = folder();
    let data = folder.path().join("data");
    let dir = format!("--datadir={}", data.display());
    run(as_nobody(Path::new("/bin/mkdir"))
        .arg("-p")
        .arg(data.join("mysql")));
    let system = fs::read_to_string(system).expect("the system's tables");
    let system = write(
        folder.path(),
        "system.sql",
        &format!("USE mysql;\n{system}\n"),
    );
    let booted = as_nobody(server)
        .args(["--no-defaults", "--bootstrap", &dir])
        .args(WITHOUT_SYNC)
        .stdin(fs::File::open(system).expect("a file"))
        .output()
        .expect("mariadbd");
    assert!(booted.status.success(), "{booted:?}");
    let file = write(folder.path(), "tables.sql", &first_statements(databases));
    let port = free_port();
    let mut command = as_nobody(server);
    command
        .args(["--no-defaults", &dir, "--bind-address=127.0.0.1"])
        .arg(format!("--port={port}"))
        .arg(format!("--socket={}/socket", folder.path().display()))
        .arg(format!("--pid-file={}/pid", folder.path().display()))
        .arg(format!("--init-file={}", file.display()))
        .arg("--character-set-server=utf8mb4")
        .args(WITHOUT_SYNC)
        .args(["--innodb-buffer-pool-size=8M", "--skip-name-resolve"]);
    let mut database = start(folder, port, &mut command);
    // It listens after it has executed that file.
    database.await_answer(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    database
}

/// Returns the statements that MariaDB executes when it starts, one per line.
fn first_statements(databases: &[Tables]) -> String {
    let mut text = format!(
        "SET NAMES utf8mb4;\n\
         CREATE USER 'glance'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON *.* TO 'glance'@'%';\n"
    );
    for (name, sql) in databases {
        text.push_str(&format!("CREATE DATABASE {name};\nUSE {name};\n"));
        let sql = sql.replace("DATETIME", "DATETIME(6)");
        for statement in sql.trim().split_inclusive(';') {
            text.push_str(&statement.trim().replace('\n', " "));
            text.push('\n');
        }
    }
    text
}

/// Creates a folder for a server's data in `/tmp`, which every user can enter.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("glance-test-").tempdir();
    let folder = folder.expect("a folder");
    if is_root() {
        let (user, group) = nobody();
        chown(folder.path(), Some(user), Some(group)).expect("chown");
    }
    folder
}

/// Neither server runs as root.
fn nobody() -> (u32, u32) {
    let id = |flag: &str| -> u32 {
        let output = Command::new("id").args([flag, "nobody"]).output();
        let output = output.expect("id");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.trim().parse().expect("a number")
    };
    (id("-u"), id("-g"))
}

fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let (user, group) = nobody();
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={group}"))
        .arg("--clear-groups")
        .arg(program);
    command
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("a program");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Finds a program in `PATH` and in the directories of Debian's PostgreSQL and administrators.
fn find(name: &str) -> Option<PathBuf> {
    let postgres = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = postgres.flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut candidates = versions.chain(others).map(|folder| folder.join(name));
    candidates.find(|path| path.is_file())
}

fn start(folder: TempDir, port: u16, server: &mut Command) -> Database {
    let log = fs::File::create(folder.path().join("server.log")).expect("a log");
    let child = server
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("a server");
    Database {
        process: Guarded::child(child, Some(folder.path())),
        folder,
        port,
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    let mut written = fs::File::create(&file).expect("a file");
    written.write_all(text.as_bytes()).expect("written");
    let owner = fs::metadata(folder).expect("a folder");
    chown(&file, Some(owner.uid()), Some(owner.gid())).expect("chown");
    file
}
