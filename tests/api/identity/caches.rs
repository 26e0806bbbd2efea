//! Caches between clients and the server: no response for one caller may reach another.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use crate::support::guarded::Guarded;
use crate::support::http::{Connection, Request, Response};
use crate::support::md5_hex;
use crate::support::ports::free_port;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{OCTETS, RAW, id_of, image_path};
use crate::support::{eventually, skip};

fn server() -> Server {
    let flavor = |setup: Setup, flavor| setup.option_in("paste_deploy", "flavor", flavor);
    flavor(Setup::new(), "trusted-auth").start()
}

fn by(tenant: &str, request: Request) -> Request {
    request.headers(&[
        ("X-Identity-Status", "Confirmed"),
        ("X-User-Id", tenant),
        ("X-Tenant-Id", tenant),
        ("X-Roles", "member"),
    ])
}

fn upload(server: &Server, tenant: &str, data: &[u8]) -> String {
    let request = Request::post("/v1/images").headers(RAW).headers(&[OCTETS]);
    id_of(&server.request(&by(tenant, request).body(data)).expect(201))
}

#[track_caller]
fn assert_private(response: &Response) {
    let control = response.header("cache-control").unwrap_or_default();
    assert!(control.contains("private"), "{response:?}");
    let vary = response.header("vary").unwrap_or_default();
    for header in [
        "X-Identity-Status",
        "X-User-Id",
        "X-Tenant-Id",
        "X-Project-Id",
        "X-Roles",
    ] {
        let mut names = vary.split(", ");
        assert!(names.any(|name| name == header), "{response:?}");
    }
}

#[test]
fn responses_are_private_to_their_caller() {
    let server = server();
    let id = upload(&server, "a", b"data");
    let image = image_path(&id);
    let unversioned = format!("/images/{id}");
    let tag = md5_hex(b"data");
    for (request, status) in [
        (Request::get(&image), 200),
        // Answered from memory, and by hyper.
        (Request::head(&image), 200),
        (Request::head(&unversioned), 200),
        (Request::get(&image).header("Range", "bytes=1-2"), 206),
        (Request::get(&image).header("If-None-Match", &tag), 304),
        (Request::head(&image).header("If-None-Match", &tag), 304),
        (Request::get(&image).header("Range", "bytes=9-"), 416),
        (Request::get(&image).header("If-Match", "x"), 412),
        (Request::get("/v1/images"), 200),
        (Request::get("/images"), 200),
        (Request::get("/v1/images/detail"), 200),
        (Request::get("/v1/images?limit=x"), 400),
        (Request::get(&format!("{image}/members")), 200),
        (Request::get("/v1/shared-images/a"), 200),
        (Request::get("/v1/nowhere"), 404),
        (Request::post("/v1/images").headers(RAW), 201),
        (Request::put(&image), 200),
        (Request::delete(&image), 200),
        (Request::get(&image), 404),
        (Request::head(&image), 404),
    ] {
        let response = server.request(&by("a", request)).expect(status);
        assert_private(&response);
    }
    assert_private(&server.request(&Request::get("/v1/images")).expect(401));
}

#[test]
fn shared_responses_require_validation() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    for path in ["/v1/images", &image_path(&id), &format!("/images/{id}")] {
        for request in [Request::get(path), Request::head(path)] {
            let response = server.request(&request);
            assert_eq!(response.header("cache-control"), Some("no-cache"));
            assert_eq!(response.header("vary"), None);
        }
    }
}

/// Varnish as its package leaves it, in front of a server.
struct Varnish {
    address: SocketAddr,
    process: Guarded,
    _folder: tempfile::TempDir,
}

impl Varnish {
    /// Starts it; `None` when this machine has none.
    fn start(backend: SocketAddr) -> Option<Self> {
        let program = ["/usr/sbin/varnishd", "varnishd"];
        let is_here = |program: &&str| Command::new(program).arg("-V").output().is_ok();
        let program = program.into_iter().find(is_here)?;
        let folder = temp_folder();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let process = Command::new(program)
            .arg("-F")
            .args(["-j", "none", "-s", "malloc,64m"])
            .args(["-a", &address.to_string(), "-b", &backend.to_string()])
            .arg("-n")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("varnishd starts");
        let varnish = Self {
            process: Guarded::child(process, Some(folder.path())),
            _folder: folder,
            address,
        };
        eventually("Varnish passes requests on", || {
            let mut connection = Connection::open(address).ok()?;
            let response = connection.exchange(&Request::get("/versions")).ok()?;
            (response.status == 200).then_some(())
        });
        Some(varnish)
    }

    #[track_caller]
    fn request(&self, request: &Request) -> Response {
        let mut connection = Connection::open(self.address).expect("Varnish listens");
        connection.request(request)
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        self.process.kill();
    }
}

#[test]
fn varnish_serves_no_image_to_another_tenant() {
    let server = server();
    let Some(varnish) = Varnish::start(server.address()) else {
        return skip("a shared cache", "varnish is not installed");
    };
    let id = upload(&server, "a", b"secret of a");
    let image = image_path(&id);
    for path in [&image, &format!("/images/{id}")] {
        for _ in 0..2 {
            let response = varnish.request(&by("a", Request::get(path)));
            assert_eq!(response.expect(200).body, b"secret of a");
        }
        varnish.request(&by("a", Request::head(path))).expect(200);
        for request in [Request::get(path), Request::head(path)] {
            varnish.request(&by("b", request.clone())).expect(404);
            varnish.request(&request).expect(401);
        }
    }
    for path in ["/v1/images", "/v1/images/detail"] {
        let listed = |request| varnish.request(&request).text().contains(&id);
        assert!(listed(by("a", Request::get(path))), "{path}");
        assert!(!listed(by("b", Request::get(path))), "{path}");
        varnish.request(&Request::get(path)).expect(401);
    }
    // Nor is an image kept that is gone.
    server
        .request(&by("a", Request::delete(&image)))
        .expect(200);
    varnish.request(&by("a", Request::get(&image))).expect(404);
}
