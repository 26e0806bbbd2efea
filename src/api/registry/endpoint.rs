//! The route table of the registry API.
//!
//! | path | GET | POST | PUT | DELETE |
//! |---|---|---|---|---|
//! | `/`, `/images` | index | register | | |
//! | `/images/detail` | detail, or records | | | |
//! | `/images/{id}` | show | | amend | take off |
//! | `/images/{id}/members` | list | | replace | |
//! | `/images/{id}/members/{member}` | | | add | remove |
//! | `/shared-images/{member}` | list | | | |
//! | `/usage`, `/census` | figures | | | |
//! | `/documents` | list | | | |
//! | `/documents/{kind}/{id}` | show | | write | delete |
//! | `/healthcheck` | | | | |
//!
//! The routes from `/usage` on are ours; the others are those of Glance's registry.

use http::Method;
use percent_encoding::percent_decode_str;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Index,
    Detail,
    Register,
    Show { id: String },
    Amend { id: String },
    TakeOff { id: String },
    Members { id: String },
    ReplaceMembers { id: String },
    AddMember { id: String, member: String },
    RemoveMember { id: String, member: String },
    SharedImages { member: String },
    Usage,
    Census,
    Documents,
    ShowDocument { kind: String, id: String },
    PutDocument { kind: String, id: String },
    DeleteDocument { kind: String, id: String },
    Healthcheck,
    NotFound,
    MethodNotAllowed(&'static str),
}

impl Endpoint {
    /// The route's name in metrics.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Endpoint::Index => "images",
            Endpoint::Detail => "images_detail",
            Endpoint::Register => "create",
            Endpoint::Show { .. } => "show",
            Endpoint::Amend { .. } => "update",
            Endpoint::TakeOff { .. } => "delete",
            Endpoint::Members { .. }
            | Endpoint::ReplaceMembers { .. }
            | Endpoint::AddMember { .. }
            | Endpoint::RemoveMember { .. } => "members",
            Endpoint::SharedImages { .. } => "shared_images",
            Endpoint::Usage | Endpoint::Census => "figures",
            Endpoint::Documents
            | Endpoint::ShowDocument { .. }
            | Endpoint::PutDocument { .. }
            | Endpoint::DeleteDocument { .. } => "documents",
            Endpoint::Healthcheck => "healthcheck",
            Endpoint::NotFound => "not_found",
            Endpoint::MethodNotAllowed(_) => "method_not_allowed",
        }
    }
}

/// Finds the endpoint. The parts of a path are decoded one by one.
pub(super) fn route(method: &Method, path: &str) -> Endpoint {
    let path = path.trim_matches('/');
    let parts: Option<Vec<String>> = path.split('/').map(decoded).collect();
    let Some(parts) = parts else {
        return Endpoint::NotFound;
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let method = method.as_str();
    match parts[..] {
        ["" | "images"] => match method {
            "GET" => Endpoint::Index,
            "POST" => Endpoint::Register,
            _ => Endpoint::MethodNotAllowed("GET, POST"),
        },
        ["images", "detail"] => only_get(method, Endpoint::Detail),
        ["images", id] => image(method, id.to_owned()),
        ["images", id, "members"] => match method {
            "GET" => Endpoint::Members { id: id.to_owned() },
            "PUT" => Endpoint::ReplaceMembers { id: id.to_owned() },
            _ => Endpoint::MethodNotAllowed("GET, PUT"),
        },
        ["images", id, "members", member] => {
            let (id, member) = (id.to_owned(), member.to_owned());
            match method {
                "PUT" => Endpoint::AddMember { id, member },
                "DELETE" => Endpoint::RemoveMember { id, member },
                _ => Endpoint::MethodNotAllowed("PUT, DELETE"),
            }
        }
        ["shared-images", member] => only_get(
            method,
            Endpoint::SharedImages {
                member: member.to_owned(),
            },
        ),
        ["usage"] => only_get(method, Endpoint::Usage),
        ["census"] => only_get(method, Endpoint::Census),
        ["documents"] => only_get(method, Endpoint::Documents),
        ["documents", kind, id] => document(method, kind.to_owned(), id.to_owned()),
        ["healthcheck"] => Endpoint::Healthcheck,
        _ => Endpoint::NotFound,
    }
}

fn image(method: &str, id: String) -> Endpoint {
    match method {
        "GET" => Endpoint::Show { id },
        "PUT" => Endpoint::Amend { id },
        "DELETE" => Endpoint::TakeOff { id },
        _ => Endpoint::MethodNotAllowed("GET, PUT, DELETE"),
    }
}

fn document(method: &str, kind: String, id: String) -> Endpoint {
    match method {
        "GET" => Endpoint::ShowDocument { kind, id },
        "PUT" => Endpoint::PutDocument { kind, id },
        "DELETE" => Endpoint::DeleteDocument { kind, id },
        _ => Endpoint::MethodNotAllowed("GET, PUT, DELETE"),
    }
}

fn only_get(method: &str, endpoint: Endpoint) -> Endpoint {
    match method {
        "GET" => endpoint,
        _ => Endpoint::MethodNotAllowed("GET"),
    }
}

fn decoded(part: &str) -> Option<String> {
    let decoded = percent_decode_str(part).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route() {
        let at =
            |method: &str, path: &str| route(&Method::from_bytes(method.as_bytes()).unwrap(), path);
        let id = || "7".to_owned();
        for path in ["/", "/images", "/images/"] {
            assert_eq!(at("GET", path), Endpoint::Index, "{path}");
            assert_eq!(at("POST", path), Endpoint::Register, "{path}");
        }
        assert_eq!(at("GET", "/images/detail"), Endpoint::Detail);
        assert_eq!(at("PUT", "/images/7"), Endpoint::Amend { id: id() });
        let member = "a/b".to_owned();
        assert_eq!(
            at("PUT", "/images/7/members/a%2Fb"),
            Endpoint::AddMember { id: id(), member }
        );
        assert_eq!(at("POST", "/usage"), Endpoint::MethodNotAllowed("GET"));
        for path in ["/images/7/x", "/v1/images", "/images/%ff"] {
            assert_eq!(at("GET", path), Endpoint::NotFound, "{path}");
        }
    }
}
