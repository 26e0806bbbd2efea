//! Addresses that clients may not name, in any spelling (OSSA-2026-004, CVE-2017-7200).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use super::{COPY_FROM, LOCATION, from, open_node, open_setup};
use crate::support::http::Response;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::ports::free_port;
use crate::support::server::{Server, Setup};
use crate::support::v1::put;

/// A listener that must never receive a connection.
struct Tripwire(TcpListener);

impl Tripwire {
    fn set() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        listener.set_nonblocking(true).expect("an option");
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("a port").port()
    }

    #[track_caller]
    fn assert_untouched(&self, by: &str) {
        // The kernel completes a handshake before the connection is accepted.
        let knocked = self.0.accept();
        assert!(knocked.is_err(), "{by}: {knocked:?}");
    }
}

/// Asserts that POST and PUT with both headers are refused and leave nothing.
#[track_caller]
fn assert_refused(node: &Server, source: &str) {
    let reserved = node.reserve();
    for header in [LOCATION, COPY_FROM] {
        node.request(&from(header, source)).expect(400);
        let id = "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c21";
        let named = from(header, source).header("x-image-meta-id", id);
        node.request(&named).expect(400);
        node.head(id).expect(404);
        node.request(&put(&reserved, &[(header, source)]))
            .expect(400);
        assert_eq!(node.status_of(&reserved), "queued");
    }
    node.remove(&reserved).expect(200);
}

#[test]
fn local_addresses_are_refused_in_every_spelling() {
    let tripwire = Tripwire::set();
    let port = tripwire.port();
    // Every port is allowed, so that only the address decides.
    let node = Setup::new()
        .option_in("import_filtering_opts", "allowed_ports", "")
        .start();
    for host in [
        "127.0.0.1",
        "127.8.8.8",
        "localhost",
        "LOCALHOST",
        "x.localhost",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "0x7f.0x0.0x0.0x1",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.01",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "localhost.",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "１２７.0.0.1",
        "%31%32%37.0.0.1",
        "127.0.0.1%00.example.org",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::]",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00::1]",
        "0",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "user@127.0.0.1",
        "example.org@127.0.0.1",
        "example.org:80@127.0.0.1",
        "example.org%40127.0.0.1",
        "example.org\\@127.0.0.1",
        "[127.0.0.1]",
        "",
    ] {
        let url = format!("http://{host}:{port}/x");
        assert_refused(&node, &url);
        tripwire.assert_untouched(&url);
    }
    // A fragment and a second @ do not change the host.
    for rest in [
        format!("127.0.0.1:{port}#@example.org/"),
        format!("a@b@127.0.0.1:{port}/"),
        format!("127.0.0.1:{port}?@example.org/"),
    ] {
        let url = format!("http://{rest}");
        assert_refused(&node, &url);
        tripwire.assert_untouched(&url);
    }
}

#[test]
fn schemes_of_other_stores_are_refused() {
    let node = open_node();
    for source in [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "filesystem:///etc/passwd",
        "file:%2f%2f%2fetc%2fpasswd",
        "file%3a///etc/passwd",
        "/etc/passwd",
        "swift+config://ref/container/object",
        "swift://account:user:key@example.org/c/o",
        "s3://key:secret@example.org/b/o",
        "sheepdog://127.0.0.1:7000:x",
        "rbd://x",
        "cinder://x",
        "gopher://127.0.0.1:25/",
        "ftp://127.0.0.1/",
        "data:,x",
        "unix:/run/x",
        "http:127.0.0.1/",
        "http:/127.0.0.1/",
        "http:///x",
        "http://",
        "http:\\\\127.0.0.1/",
        "http",
        "",
    ] {
        assert_refused(node, source);
    }
}

#[test]
fn listeners_of_the_node_are_refused() {
    let node = open_setup().start();
    let (port, admin) = (node.address().port(), node.admin_address().port());
    for (host, port) in [
        ("127.0.0.1", port),
        ("localhost", port),
        ("[::ffff:127.0.0.1]", port),
        ("127.0.0.1", admin),
    ] {
        assert_looks_closed(&node, &format!("http://{host}:{port}/v1/images"));
    }
    // And where it listens on every address, by each of them.
    let node = open_setup().option("bind_host", "0.0.0.0").start();
    let port = node.address().port();
    for host in ["127.0.0.1", "127.0.0.2", "localhost"] {
        assert_looks_closed(&node, &format!("http://{host}:{port}/v1/images"));
    }
}

/// A listener of the node looks like a port without a listener.
#[track_caller]
fn assert_looks_closed(node: &Server, source: &str) {
    let closed = format!("http://127.0.0.1:{}/", free_port());
    for header in [LOCATION, COPY_FROM] {
        let faces = [source, &closed].map(|source| face(&node.request(&from(header, source))));
        assert_eq!(faces[0].0, 404, "{source}");
        assert_eq!(faces[0], faces[1], "{source}");
    }
}

#[test]
fn link_local_addresses_stay_forbidden_with_private_networks() {
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]"] {
        assert_refused(open_node(), &format!("http://{host}/latest/meta-data/"));
    }
}

#[test]
fn ports_hosts_and_schemes_follow_the_lists() {
    let (one, other) = (super::honest(100), super::honest(100));
    let (port, barred) = (one.address().port(), other.address().port());
    let filtered = |key: &str, value: String| {
        let setup = open_setup().option_in("import_filtering_opts", key, value);
        setup.start()
    };
    let url = |host: &str, port: u16| format!("http://{host}:{port}/i");
    let accepted = |node: &Server, url: &str| {
        node.request(&from(LOCATION, url)).expect(201);
    };
    let node = filtered("allowed_ports", format!("[{port}]"));
    accepted(&node, &url("127.0.0.1", port));
    assert_refused(&node, &url("127.0.0.1", barred));
    let node = filtered("disallowed_ports", barred.to_string());
    accepted(&node, &url("127.0.0.1", port));
    assert_refused(&node, &url("127.0.0.1", barred));
    let node = filtered("allowed_hosts", "localhost".to_owned());
    accepted(&node, &url("LOCALHOST", port));
    assert_refused(&node, &url("127.0.0.1", port));
    let node = filtered("disallowed_hosts", "localhost".to_owned());
    accepted(&node, &url("127.0.0.1", port));
    assert_refused(&node, &url("LocalHost", port));
    let node = filtered("allowed_schemes", "https".to_owned());
    assert_refused(&node, &url("127.0.0.1", port));
    let before = other.seen().len();
    assert_eq!(before, 0);
}

#[test]
fn default_ports_are_few() {
    let node = open_setup().option_in("import_filtering_opts", "allowed_ports", "80,443,8080");
    let node = node.start();
    for port in [1, 22, 25, 6379, 8081, 9191, 9292, 65535] {
        assert_refused(&node, &format!("http://127.0.0.1:{port}/"));
    }
}

/// Returns a response without request id and date.
fn face(response: &Response) -> (u16, Vec<String>, String) {
    let mut names: Vec<_> = response
        .head
        .headers
        .iter()
        .filter(|(name, _)| name != "X-Openstack-Request-Id" && name != "Date")
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    names.sort();
    (response.status, names, response.text().to_owned())
}

/// A client that could distinguish them could scan networks through this node.
#[test]
fn unreachable_and_forbidden_hosts_look_alike() {
    let node = open_setup()
        .option_in("glance_store", "http_store_answer_timeout", 1)
        .option_in("glance_store", "http_store_connect_timeout", 1)
        .start();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closer = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port_of = |listener: &TcpListener| listener.local_addr().map(|a: SocketAddr| a.port());
    let (silent_port, closer_port) = (port_of(&silent).unwrap(), port_of(&closer).unwrap());
    thread::spawn(move || closer.incoming().for_each(drop));
    let origins: Vec<_> = [401, 403, 404, 410, 500, 503]
        .map(|status| Origin::start(Content::new(1, 1), move |_| Answer::status(status)))
        .into();
    let redirect = Origin::start(Content::new(1, 1), |_| {
        Answer::redirect("http://127.0.0.1/")
    });
    let mut sources: Vec<_> = origins.iter().map(|origin| origin.url("/i")).collect();
    sources.push(redirect.url("/i"));
    sources.push(format!("http://127.0.0.1:{}/", free_port()));
    sources.push(format!("http://127.0.0.1:{silent_port}/"));
    sources.push(format!("http://127.0.0.1:{closer_port}/"));
    sources.push("https://127.0.0.1:1/".to_owned());
    sources.push(redirect.url("/").replace("http:", "https:"));
    // Names that do not resolve (RFC 6761).
    sources.push("http://nowhere.invalid/".to_owned());
    for header in [LOCATION, COPY_FROM] {
        let mut faces: Vec<_> = sources
            .iter()
            .map(|source| face(&node.request(&from(header, source))))
            .collect();
        assert_eq!(faces[0].0, 404);
        faces.dedup();
        assert_eq!(faces.len(), 1, "{faces:#?}");
    }
}

/// A name of an internal address looks like one that does not resolve, so that clients cannot map
/// the operator's network.
#[test]
fn internal_and_unknown_names_look_alike() {
    let node = Setup::new().start();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let inside = format!("http://{}/", hostname.trim());
    for header in [LOCATION, COPY_FROM] {
        let faces = [inside.as_str(), "http://nowhere.invalid/"]
            .map(|source| face(&node.request(&from(header, source))));
        assert_eq!(faces[0].0, 404);
        assert_eq!(faces[0], faces[1]);
    }
}
