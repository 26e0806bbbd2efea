//! Clients behind nginx with its defaults, which drops request headers with underscores in their
//! names.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::http::{Connection, Request};
use crate::support::ports::free_port;
use crate::support::server::{Server, Setup};
use crate::support::{eventually, skip};

/// nginx in front of a server. Stopped when dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    fn start(program: &str, folder: &Path, server: &Server) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = format!(
            "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/error.log;\n\
             events {{}}\n\
             http {{\n  access_log off; client_max_body_size 0; client_body_temp_path {0}/body;\n  \
             proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi;\n  \
             scgi_temp_path {0}/scgi;\n  server {{ listen {address};\n    location / {{ \
             proxy_pass http://{1}; proxy_request_buffering off; proxy_http_version 1.1; }} }}\n}}\n",
            folder.display(),
            server.address(),
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).expect("written");
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(folder)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx");
        let nginx = Self { child, address };
        eventually("nginx serves", || {
            let mut connection = Connection::open(address).ok()?;
            connection.exchange(&Request::get("/healthcheck")).ok()
        });
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // nginx has no state to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the project's own `glance` behind nginx, with data on its standard input.
#[test]
fn own_client_works_behind_nginx() {
    let programs = ["nginx", "/usr/sbin/nginx"];
    let is_there = |program: &&str| Command::new(program).arg("-v").output().is_ok();
    let Some(program) = programs.into_iter().find(is_there) else {
        return skip("own-client-behind-nginx", "nginx is not installed");
    };
    let server = Setup::new().start();
    let folder = tempfile::tempdir().expect("a folder");
    let nginx = Nginx::start(program, folder.path(), &server);
    let mut child = Command::new(env!("CARGO_BIN_EXE_glance"))
        .args(["--url", &format!("http://{}", nginx.address), "--json"])
        .args(["image-create", "--name", "behind", "--disk-format", "raw"])
        .args(["--container-format", "bare", "--is-public", "True"])
        .args(["--min-ram", "64", "--min-disk", "2"])
        .args(["--property", "os_version=12", "--property", "arch=x86"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("glance");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"data").expect("read");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success());
    let image: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let detail = server.detail_of(image["id"].as_str().expect("an id"));
    for (field, value) in [
        ("status", json!("active")),
        ("size", json!(4)),
        ("disk_format", json!("raw")),
        ("container_format", json!("bare")),
        ("is_public", json!(true)),
        ("min_ram", json!(64)),
        ("min_disk", json!(2)),
        ("properties", json!({"os_version": "12", "arch": "x86"})),
    ] {
        assert_eq!(detail[field], value, "{field}: {detail}");
    }
}
