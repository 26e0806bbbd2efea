//! Starts a cluster of real etcd members, each of which can be killed and restarted.
//!
//! ```text
//! let etcd = Etcd::start(3);
//! let node = Setup::new().etcd(&etcd).start();
//! etcd.kill(1);       // kill -9
//! etcd.restart(1);    // on the same data
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::authority::{Authority, Identity};
use super::guarded::Guarded;
use super::http::{Connection, Request};
use super::ports::free_port;
use super::setup::{Setup, temp_folder};
use super::within;

/// Longest time until a cluster has a leader.
const ELECTION: Duration = Duration::from_secs(30);

/// The user that may read and write records, in a cluster with authentication.
pub const USER: (&str, &str) = ("glance", "a secret of glance");
/// The user with all rights.
const ROOT: &str = "root:a secret of root";

/// A cluster on loopback.
#[derive(Debug)]
pub struct Etcd {
    folder: TempDir,
    members: Vec<Member>,
    security: Option<Security>,
    /// Space quota of the database; `None` for etcd's default.
    quota_bytes: Option<u64>,
}

/// Certificates on both sides, and users.
#[derive(Debug)]
pub struct Security {
    authority: Authority,
    member: Identity,
    /// Certificate of clients.
    pub client: Identity,
    asks_for_users: AtomicBool,
}

#[derive(Debug)]
struct Member {
    client: SocketAddr,
    peer: SocketAddr,
    process: Mutex<Option<Guarded>>,
}

/// Returns true if this machine has etcd. `tests/run` installs it.
pub fn is_here() -> bool {
    let version = Command::new("etcd").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

impl Etcd {
    /// Starts a cluster of this number of members and waits for a leader.
    #[track_caller]
    pub fn start(members: usize) -> Self {
        Self::start_with(members, None, None)
    }

    /// Starts one member with this space quota in bytes.
    #[track_caller]
    pub fn start_small(quota_bytes: u64) -> Self {
        Self::start_with(1, None, Some(quota_bytes))
    }

    /// Starts a cluster with TLS, client certificates and authentication ([`USER`]).
    #[track_caller]
    pub fn start_secured(members: usize) -> Self {
        let authority = Authority::new();
        let security = Security {
            member: authority.issue("member"),
            client: authority.issue("client"),
            asks_for_users: AtomicBool::new(false),
            authority,
        };
        let etcd = Self::start_with(members, Some(security), None);
        let (user, password) = USER;
        for words in [
            &["user", "add", ROOT][..],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "records"],
            &[
                "role",
                "grant-permission",
                "records",
                "readwrite",
                "--prefix",
                "/glance/",
            ],
            &["user", "add", &format!("{user}:{password}")],
            &["user", "grant-role", user, "records"],
            &["auth", "enable"],
        ] {
            etcd.ctl(words);
        }
        let asks = &etcd.security().asks_for_users;
        asks.store(true, Ordering::Relaxed);
        etcd
    }

    #[track_caller]
    fn start_with(members: usize, security: Option<Security>, quota_bytes: Option<u64>) -> Self {
        assert!(
            is_here(),
            "no etcd here; tests/run installs it (etcd-server of Debian)"
        );
        let loopback = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let member = |_| Member {
            client: loopback(),
            peer: loopback(),
            process: Mutex::default(),
        };
        let etcd = Self {
            folder: temp_folder(),
            members: (0..members).map(member).collect(),
            security,
            quota_bytes,
        };
        (0..members).for_each(|number| etcd.spawn(number));
        etcd.await_leader();
        etcd
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the addresses in the form of `etcd_endpoints`.
    pub fn endpoints(&self) -> String {
        let urls: Vec<_> = self
            .members
            .iter()
            .map(|member| self.client_url(member))
            .collect();
        urls.join(",")
    }

    /// # Panics
    /// Panics if it has none.
    #[track_caller]
    pub fn security(&self) -> &Security {
        self.security.as_ref().expect("a secured cluster")
    }

    fn client_url(&self, member: &Member) -> String {
        let scheme = if self.security.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", member.client)
    }

    /// Kills a member (SIGKILL) and waits until it has ended.
    pub fn kill(&self, number: usize) {
        let mut process = self.members[number].process.lock().expect("no panic");
        if let Some(mut process) = process.take() {
            process.kill();
        }
    }

    /// Starts a member on its data and returns before it answers.
    pub fn restart(&self, number: usize) {
        self.kill(number);
        self.spawn(number);
    }

    /// Sends a signal to a member, such as STOP or CONT.
    #[track_caller]
    pub fn signal(&self, number: usize, name: &str) {
        let process = self.members[number].process.lock().expect("no panic");
        process.as_ref().expect("a member that runs").signal(name);
    }

    /// Copies the data of a member and restarts it.
    #[track_caller]
    pub fn back_up(&self, number: usize) -> TempDir {
        let backup = temp_folder();
        self.kill(number);
        copy_all(&self.path(&format!("member{number}")), backup.path());
        self.spawn(number);
        self.await_leader();
        backup
    }

    /// Replaces the data of a member by a copy and restarts it.
    #[track_caller]
    pub fn restore(&self, number: usize, backup: &TempDir) {
        self.kill(number);
        let folder = self.path(&format!("member{number}"));
        std::fs::remove_dir_all(&folder).expect("the data");
        std::fs::create_dir(&folder).expect("a folder");
        copy_all(backup.path(), &folder);
        self.spawn(number);
        self.await_leader();
    }

    /// Waits until the cluster accepts writes.
    #[track_caller]
    pub fn await_leader(&self) {
        within(ELECTION, "etcd has a leader", || self.is_well());
    }

    /// Returns true if every member answers and knows a leader.
    pub fn is_well(&self) -> bool {
        match self.security {
            None => self.members.iter().all(|member| is_well(member.client)),
            Some(_) => self.run_ctl(&["endpoint", "health"]).status.success(),
        }
    }

    /// Runs etcdctl and returns its output.
    #[track_caller]
    pub fn ctl(&self, words: &[&str]) -> String {
        let output = self.run_ctl(words);
        assert!(output.status.success(), "etcdctl {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs etcdctl, which may fail.
    pub fn run_ctl(&self, words: &[&str]) -> Output {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.endpoints()));
        if let Some(security) = &self.security {
            command
                .arg("--cacert")
                .arg(security.authority.ca_file())
                .arg("--cert")
                .arg(&security.client.cert_file)
                .arg("--key")
                .arg(&security.client.key_file);
            if security.asks_for_users.load(Ordering::Relaxed) {
                command.args(["--user", ROOT]);
            }
        }
        command.args(words).output().expect("etcdctl")
    }

    /// Returns the current revision.
    #[track_caller]
    pub fn revision(&self) -> u64 {
        let json = self.ctl(&["get", "--write-out=json", "/none"]);
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        value["header"]["revision"].as_u64().expect("a revision")
    }

    fn spawn(&self, number: usize) {
        let member = &self.members[number];
        let url = |address: SocketAddr| format!("http://{address}");
        let name = |number: usize| format!("member{number}");
        let all = self.members.iter().enumerate();
        let cluster: Vec<_> = all
            .map(|(number, member)| format!("{}={}", name(number), url(member.peer)))
            .collect();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path(&format!("{}.log", name(number))))
            .expect("a log file");
        let mut command = Command::new("etcd");
        if let Some(security) = &self.security {
            command
                .arg("--cert-file")
                .arg(&security.member.cert_file)
                .arg("--key-file")
                .arg(&security.member.key_file)
                .arg("--trusted-ca-file")
                .arg(security.authority.ca_file())
                .arg("--client-cert-auth");
        }
        if let Some(quota_bytes) = self.quota_bytes {
            command
                .arg("--quota-backend-bytes")
                .arg(quota_bytes.to_string());
        }
        let client_url = self.client_url(member);
        let child = command
            .args(["--name", &name(number)])
            .arg("--data-dir")
            .arg(self.path(&name(number)))
            .args(["--listen-client-urls", &client_url])
            .args(["--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &url(member.peer)])
            .args(["--initial-advertise-peer-urls", &url(member.peer)])
            .args(["--initial-cluster", &cluster.join(",")])
            .args(["--initial-cluster-state", "new"])
            .args(["--heartbeat-interval", "100", "--election-timeout", "1000"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("etcd");
        *member.process.lock().expect("no panic") = Some(Guarded::child(child, None));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|number| self.kill(number));
    }
}

#[track_caller]
fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    let mut from = from.as_os_str().to_owned();
    from.push("/.");
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp").success());
}

/// Returns true if a member can read, which needs a leader.
fn is_well(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address) else {
        return false;
    };
    let answer = connection.exchange(&Request::get("/health"));
    answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.body).contains("\"true\""))
}

impl Setup {
    /// Stores the records in etcd.
    pub fn etcd(self, etcd: &Etcd) -> Self {
        let setup = self
            .option("registry_backend", "etcd")
            .option("etcd_endpoints", etcd.endpoints());
        let Some(security) = &etcd.security else {
            return setup;
        };
        setup
            .option("etcd_ca_file", security.authority.ca_file().display())
            .option("etcd_cert_file", security.client.cert_file.display())
            .option("etcd_key_file", security.client.key_file.display())
            .option("etcd_user", USER.0)
            .option("etcd_password", USER.1)
    }
}
