//! `deploy/loopback/run`: three nodes with three members of etcd and their images in S3, as an
//! operator starts them to try the software.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::backends::swift::Swift;
use crate::support::http::{Connection, Request, Response};
use crate::support::ports::free_port;
use crate::support::setup::temp_folder;
use crate::support::v1::{id_of, image_path, post_data};
use crate::support::{PATIENCE, pattern, unique, within};

const PARTS: usize = 3;
/// Time for which images are created and deleted while processes are killed.
const TIME: Duration = Duration::from_secs(6);

struct Cluster {
    script: Child,
    folder: tempfile::TempDir,
    nodes: Vec<SocketAddr>,
}

impl Cluster {
    fn start() -> Self {
        let folder = temp_folder();
        let swift = &Swift::shared().handle;
        let ports = || -> Vec<u16> { (0..PARTS).map(|_| free_port()).collect() };
        let words = |ports: &[u16]| {
            let words: Vec<_> = ports.iter().map(u16::to_string).collect();
            words.join(" ")
        };
        let nodes = ports();
        let programs = Path::new(env!("CARGO_BIN_EXE_glance-api")).parent();
        let log = fs::File::create(folder.path().join("script.log")).expect("a log");
        let script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/loopback/run"))
            .arg(folder.path())
            .env("PROGRAMS", programs.expect("a folder"))
            .env("NODE_PORTS", words(&nodes))
            .env("ADMIN_PORTS", words(&ports()))
            .env("ETCD_PORTS", words(&ports()))
            .env("PEER_PORTS", words(&ports()))
            .env("S3_HOST", &swift.url)
            .env("S3_ACCESS_KEY", &swift.account.user)
            .env("S3_SECRET_KEY", &swift.account.key)
            .env("S3_REGION", &swift.s3_region)
            .env("S3_BUCKET", unique("loopback"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("the script");
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut cluster = Self {
            script,
            folder,
            nodes: nodes.into_iter().map(address).collect(),
        };
        within(Duration::from_secs(60), "it says that it is ready", || {
            let ended = cluster.script.try_wait().expect("a script");
            assert!(ended.is_none(), "{}", cluster.log());
            cluster.log().contains("ready: http://127.0.0.1:")
        });
        cluster
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("script.log")).unwrap_or_default()
    }

    fn pid_file(&self, part: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{part}.pid"))
    }

    /// Kills a process with SIGKILL; the script restarts it.
    fn kill(&self, part: &str) {
        let pid = fs::read_to_string(self.pid_file(part)).expect("a pid file");
        send("KILL", pid.trim());
        fs::remove_file(self.pid_file(part)).expect("a pid file");
    }

    fn ask(&self, node: usize, request: &Request) -> std::io::Result<Response> {
        Connection::open(self.nodes[node])?.exchange(request)
    }

    /// Returns true if a node shows an image with these data.
    fn shows(&self, node: usize, id: &str, data: &[u8]) -> bool {
        let answer = self.ask(node, &Request::get(&image_path(id)));
        answer.is_ok_and(|answer| match answer.status {
            200 => {
                assert_eq!(answer.body, data, "{id} at node {node}");
                true
            }
            _ => false,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        send("TERM", &self.script.id().to_string());
        // Also when the test fails.
        let _ = self.script.wait();
    }
}

fn send(signal: &str, pid: &str) {
    let script = format!("kill -{signal} {pid}");
    let sent = Command::new("sh").args(["-c", &script]).status();
    assert!(sent.expect("sh").success(), "{script}");
}

#[test]
fn loopback_cluster_loses_no_acknowledged_image() {
    let cluster = Cluster::start();
    let began = Instant::now();
    let mut kept = Vec::new();
    for round in 0.. {
        if began.elapsed() > TIME && round >= 6 {
            break;
        }
        let data = pattern(10_000 + round, round as u64);
        let request = post_data(&[("x-image-meta-is_public", "True")], &data);
        // A killed node is asked again later, or another node is asked.
        if let Ok(answer) = cluster.ask(round % PARTS, &request)
            && answer.status == 201
        {
            kept.push((id_of(&answer), data));
        }
        match round % 6 {
            2 => cluster.kill(&format!("node{}", round % PARTS)),
            5 => cluster.kill(&format!("etcd{}", round / 6 % PARTS)),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!("{} images in {:?}", kept.len(), began.elapsed());
    assert!(kept.len() >= 4, "{} images", kept.len());
    for node in 0..PARTS {
        for (id, data) in &kept {
            within(PATIENCE, "every node has it", || {
                cluster.shows(node, id, data)
            });
        }
    }
    let pids: Vec<String> = ["node", "etcd"]
        .iter()
        .flat_map(|part| (0..PARTS).map(move |number| format!("{part}{number}")))
        .map(|part| fs::read_to_string(cluster.pid_file(&part)).expect("a pid file"))
        .collect();
    drop(cluster);
    for pid in pids {
        let stat = format!("/proc/{}", pid.trim());
        assert!(!Path::new(&stat).exists(), "{pid} is still there");
    }
}
