//! The callers, and images in every state, that the tests of access use.

use crate::support::http::{Connection, Request, Response};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, id_of, image_path};

/// A caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Role admin, in a tenant of its own.
    Admin,
    /// Role admin, in no tenant.
    AdminWithoutTenant,
    /// In the tenant that owns the image, if it has an owner.
    Owner,
    /// In a tenant that the image is shared with, with the right to share it on.
    Sharer,
    /// In a tenant that the image is shared with.
    Member,
    /// In a tenant without a relation to the image.
    Stranger,
    /// Authenticated without a tenant.
    WithoutTenant,
    /// Anonymous, if that is allowed.
    Anonymous,
}

impl Caller {
    pub const ALL: [Caller; 8] = [
        Caller::Admin,
        Caller::AdminWithoutTenant,
        Caller::Owner,
        Caller::Sharer,
        Caller::Member,
        Caller::Stranger,
        Caller::WithoutTenant,
        Caller::Anonymous,
    ];

    pub fn is_admin(self) -> bool {
        matches!(self, Caller::Admin | Caller::AdminWithoutTenant)
    }

    pub fn tenant(self) -> Option<&'static str> {
        match self {
            Caller::Admin => Some("operators"),
            Caller::Owner => Some("owner"),
            Caller::Sharer => Some("sharer"),
            Caller::Member => Some("member"),
            Caller::Stranger => Some("stranger"),
            Caller::AdminWithoutTenant | Caller::WithoutTenant | Caller::Anonymous => None,
        }
    }

    /// Adds the identity headers that the proxy sends for the caller.
    pub fn sign(self, request: Request) -> Request {
        if self == Caller::Anonymous {
            return request;
        }
        let roles = if self.is_admin() {
            "Member,Admin"
        } else {
            "Member"
        };
        let request = request
            .header("X-Identity-Status", "Confirmed")
            .header("X-User-Id", "somebody")
            .header("X-Roles", roles);
        match self.tenant() {
            Some(tenant) => request.header("X-Tenant-Id", tenant),
            None => request,
        }
    }

    /// Sends one request of this caller.
    #[track_caller]
    pub fn asks(self, server: &Server, request: Request) -> Response {
        server.request(&self.sign(request))
    }
}

/// The status of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Queued,
    Saving,
    Active,
    Killed,
    Deleted,
    PendingDelete,
}

impl Life {
    pub const ALL: [Life; 6] = [
        Life::Queued,
        Life::Saving,
        Life::Active,
        Life::Killed,
        Life::Deleted,
        Life::PendingDelete,
    ];

    pub fn is_gone(self) -> bool {
        matches!(self, Life::Deleted | Life::PendingDelete)
    }
}

/// The properties of an image that access rules depend on. Every image that is not deleted is
/// shared with `member` and, with the right to share, with `sharer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub life: Life,
    pub is_public: bool,
    /// True if the tenant `owner` owns it; otherwise it has no owner.
    pub is_owned: bool,
    pub protected: bool,
}

impl State {
    /// Every life with every publicity and owner, and those that can be protected as well.
    pub fn all() -> Vec<State> {
        let mut states = Vec::new();
        for life in Life::ALL {
            for (is_public, is_owned) in
                [(false, true), (false, false), (true, true), (true, false)]
            {
                for protected in [false, true] {
                    if !(protected && life.is_gone()) {
                        states.push(State {
                            life,
                            is_public,
                            is_owned,
                            protected,
                        });
                    }
                }
            }
        }
        states
    }
}

/// An image created for a test.
pub struct Made {
    pub id: String,
    /// Whoever uploads its data, which never end.
    _uploader: Option<Connection>,
}

/// An administrator without a tenant makes images for whomever.
const MAKER: Caller = Caller::AdminWithoutTenant;

/// Creates an image in a state. The server must have `delayed_delete` on.
#[track_caller]
pub fn make(server: &Server, state: State) -> Made {
    let mut request = Request::post("/v1/images").headers(RAW);
    request = request.header("x-image-meta-is_public", state.is_public.to_string());
    request = request.header("x-image-meta-protected", state.protected.to_string());
    if state.is_owned {
        request = request.header("x-image-meta-owner", "owner");
    }
    let id = id_of(&MAKER.asks(server, request).expect(201));
    let members = r#"[{"member_id": "member"}, {"member_id": "sharer", "can_share": true}]"#;
    let share = Request::put(&format!("/v1/images/{id}/members")).body(members);
    MAKER.asks(server, share).expect(204);
    let uploader = bring_to_life(server, &id, state.life);
    Made {
        id,
        _uploader: uploader,
    }
}

#[track_caller]
fn bring_to_life(server: &Server, id: &str, life: Life) -> Option<Connection> {
    let data = |body: &str| Request::put(&image_path(id)).headers(&[OCTETS]).body(body);
    let delete = Request::delete(&image_path(id));
    match life {
        Life::Queued => {}
        Life::Saving => return Some(begin_upload(server, id)),
        Life::Active => drop(MAKER.asks(server, data("data")).expect(200)),
        Life::Killed => {
            let wrong = Request::put(&image_path(id)).header("Content-Type", "text/plain");
            MAKER.asks(server, wrong.body("data")).expect(400);
        }
        // Without data nothing waits for the scrubber.
        Life::Deleted => drop(MAKER.asks(server, delete).expect(200)),
        Life::PendingDelete => {
            MAKER.asks(server, data("data")).expect(200);
            MAKER.asks(server, delete).expect(200);
        }
    }
    None
}

/// An upload of which the first bytes have come in.
#[track_caller]
fn begin_upload(server: &Server, id: &str) -> Connection {
    let upload = Request::put(&image_path(id)).headers(&[OCTETS]);
    let upload = MAKER.sign(upload).header("Content-Length", "1000000");
    let mut connection = server.connect();
    connection.send_head(&upload).expect("a head is sent");
    connection
        .send_bytes(b"the first of many")
        .expect("bytes are sent");
    crate::support::eventually("the upload has begun", || {
        let head = MAKER.asks(server, Request::head(&image_path(id)));
        (head.header("x-image-meta-status") == Some("saving")).then_some(())
    });
    connection
}

/// All that an administrator sees of an image.
#[track_caller]
pub fn portrait(server: &Server, id: &str) -> String {
    let head = MAKER.asks(server, Request::head(&image_path(id)));
    let mut lines: Vec<String> = head
        .head
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("X-Image-Meta") || name == "Etag")
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    lines.sort();
    let members = Request::get(&format!("/v1/images/{id}/members"));
    let members = MAKER.asks(server, members);
    format!(
        "{} {lines:#?} {}",
        head.status,
        String::from_utf8_lossy(&members.body)
    )
}
