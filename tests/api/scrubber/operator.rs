//! Commands on the admin listener: only for users that can read the registry's folder.

use std::os::unix::fs::PermissionsExt;

use super::{delaying, pending};
use crate::support::http::Request;
use crate::support::server::Server;

fn token(server: &Server) -> String {
    let path = server.data_dir().join("registry/operator.token");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn commands_require_the_current_token() {
    let mut server = delaying().start();
    let id = pending(&server);
    let old = token(&server);
    server.restart();
    let now = token(&server);
    assert_ne!(old, now);
    let restore = format!("/restore/{id}");
    for path in ["/scrub", &restore] {
        let status = |request: Request| server.connect_admin().request(&request).status;
        assert_eq!(status(Request::post(path)), 403);
        for wrong in ["", "x", &old, &now[1..], &format!("{now}0")] {
            assert_eq!(
                status(Request::post(path).header("X-Operator-Token", wrong)),
                403
            );
        }
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let request = Request::new(method, path).header("X-Operator-Token", &now);
            assert_eq!(status(request), 405, "{method}");
        }
        // The tenants' listener does not know the path.
        let tenant = Request::post(path).header("X-Operator-Token", &now);
        let answer = server.request(&tenant);
        assert!([300, 404].contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(server.status_of(&id), "pending_delete");
    assert_eq!(server.stored_files().len(), 1);
    assert!(!server.log().contains(&now) && !server.metrics().contains(&now));
    let command = Request::post(&restore).header("X-Operator-Token", &now);
    server.connect_admin().request(&command).expect(204);
    assert_eq!(server.status_of(&id), "active");
    server.connect_admin().request(&command).expect(409);
    let unknown = Request::post("/restore/no-id").header("X-Operator-Token", &now);
    server.connect_admin().request(&unknown).expect(404);
}
