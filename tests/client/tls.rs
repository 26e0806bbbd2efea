//! TLS and proxies: the program against a real `glance-api` behind a TLS front.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Output;
use std::thread;

use crate::peer::{Peer, Step, Then, json, step};
use crate::program::{glance, stderr, stdout};
use crate::support::server::Server;
use crate::tls_front::TlsFront;

const MIB: usize = 1 << 20;

/// Runs the program against the front, trusting its authority.
#[track_caller]
fn run_trusting(front: &TlsFront, arguments: &[&str]) -> Output {
    let mut command = glance(arguments);
    command.env("OS_IMAGE_URL", front.url());
    command.env("OS_CACERT", front.authority.ca_file());
    let output = command.output().expect("the program");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    output
}

#[test]
fn image_is_uploaded_and_downloaded_over_tls() {
    let front = TlsFront::start(Server::shared().address());
    let folder = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..8 * MIB).map(|n| (n % 251) as u8).collect();
    let (up, down) = (folder.path().join("up"), folder.path().join("down"));
    fs::write(&up, &data).unwrap();
    let formats = ["--disk-format", "raw", "--container-format", "bare"];
    let create = ["--json", "image-create", "--name", "over-tls", "--file"];
    let create = [&create[..], &[up.to_str().unwrap()], &formats].concat();
    let created = run_trusting(&front, &create);
    let created: serde_json::Value = serde_json::from_slice(&created.stdout).unwrap();
    let id = created["id"].as_str().expect("an ID");
    run_trusting(
        &front,
        &["image-download", id, "--file", down.to_str().unwrap()],
    );
    assert!(fs::read(&down).unwrap() == data);
    run_trusting(&front, &["image-delete", id]);
}

#[test]
fn unknown_authority_is_refused_unless_insecure() {
    let peer = Peer::start(vec![json("200 OK", r#"{"images":[]}"#)]);
    let front = TlsFront::start(([127, 0, 0, 1], peer.port).into());
    let refused = glance(&["-U", &front.url(), "index"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let text = stderr(&refused);
    assert!(
        text.starts_with("Cannot establish a TLS connection to 127.0.0.1:"),
        "{text}"
    );
    assert!(text.contains("--os-cacert"), "{text}");
    assert!(peer.seen().is_empty());
    let accepted = glance(&["-k", "-U", &front.url(), "index"])
        .output()
        .unwrap();
    assert_eq!(stdout(&accepted), "No public images found.\n");
}

#[test]
fn client_certificate_is_presented_to_a_server_that_requires_one() {
    let peer = Peer::start(vec![json("200 OK", r#"{"images":[]}"#)]);
    let front = TlsFront::requiring_certificates(([127, 0, 0, 1], peer.port).into());
    let identity = front.authority.issue("client");
    let mut without = glance(&["-U", &front.url(), "index"]);
    without.env("OS_CACERT", front.authority.ca_file());
    assert_eq!(without.output().unwrap().status.code(), Some(3));
    let (cert, key) = (identity.cert_file.display(), identity.key_file.display());
    let (cert, key) = (cert.to_string(), key.to_string());
    run_trusting(&front, &["--os-cert", &cert, "--os-key", &key, "index"]);
}

#[test]
fn unreadable_authority_is_a_usage_error() {
    let arguments = [
        "-U",
        "https://127.0.0.1:1",
        "--os-cacert",
        "/nonexistent/ca",
        "index",
    ];
    let output = glance(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("/nonexistent/ca"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn http_request_is_sent_to_the_proxy_with_its_absolute_uri() {
    let proxy = Peer::start(vec![json("200 OK", r#"{"images":[]}"#)]);
    let mut command = glance(&["-v", "-U", "http://glance.test:9292", "index"]);
    command.env(
        "http_proxy",
        format!("http://u:CANARY@127.0.0.1:{}", proxy.port),
    );
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("CANARY"));
    let seen = &proxy.seen()[0];
    assert_eq!(seen.path, "http://glance.test:9292/v1/images?limit=10");
    assert_eq!(seen.header("host"), Some("glance.test:9292"));
    assert_eq!(
        seen.header("proxy-authorization"),
        Some("Basic dTpDQU5BUlk=")
    );
}

/// Answers CONNECT and relays the connection to `server`.
fn tunnel_to(server: SocketAddr) -> Step {
    step(move |exchange| {
        assert_eq!(exchange.seen.method, "CONNECT");
        exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n");
        let mut client = exchange.stream.get_ref().try_clone().unwrap();
        let mut upstream = TcpStream::connect(server).unwrap();
        let mut back = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
        let returning = thread::spawn(move || io::copy(&mut back.0, &mut back.1));
        let _ = io::copy(&mut client, &mut upstream);
        let _ = upstream.shutdown(Shutdown::Both);
        let _ = returning.join();
        Then::Close
    })
}

#[test]
fn https_request_is_tunnelled_through_the_proxy() {
    let server = Peer::start(vec![json("200 OK", r#"{"images":[]}"#)]);
    let front = TlsFront::start(([127, 0, 0, 1], server.port).into());
    let refusing = step(|exchange| {
        exchange.answer("403 Forbidden", &[], b"");
        Then::Close
    });
    let proxy = Peer::start(vec![tunnel_to(front.address), refusing]);
    let run = || {
        // The certificate is not for this name; the test is about the tunnel.
        let mut command = glance(&["-k", "-U", "https://glance.test", "index"]);
        command.env("https_proxy", format!("http://127.0.0.1:{}", proxy.port));
        command.output().unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(proxy.lines(), ["CONNECT glance.test:443"]);
    assert_eq!(server.lines(), ["GET /v1/images?limit=10"]);
    let output = run();
    assert_eq!(output.status.code(), Some(3));
    let wanted = "The proxy refused to connect to glance.test:443 (status 403).";
    assert!(stderr(&output).starts_with(wanted), "{}", stderr(&output));
}
