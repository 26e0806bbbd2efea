//! The route table of the registry API.
//!
//! | path | GET | POST | PUT | DELETE |
//! |---|---|---|---|---|
//! | `/`, `/images` | index | create | | |
//! | `/images/detail` | detail, or records | | | |
//! | `/images/{id}` | show | | update | delete |
//! | `/images/{id}/members` | list | | replace | |
//! | `/images/{id}/members/{member}` | | | add | remove |
//! | `/shared-images/{member}` | list | | | |
//! | `/usage`, `/census` | figures | | | |
//! | `/documents` | list | | | |
//! | `/documents/{kind}/{id}` | show | | write | delete |
//! | `/healthcheck` | | | | |
//!
//! The routes from `/usage` on exist only in this project; the others are those of Glance's
//! registry.

use http::Method;
use percent_encoding::percent_decode_str;

/// The endpoint of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Healthcheck,
    NotFound,
    /// With the methods that are allowed.
    MethodNotAllowed(&'static str),
    /// An operation that requires authentication.
    Resource(Resource),
}

/// An operation on a resource of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Index,
    Detail,
    Create,
    Show { id: String },
    Update { id: String },
    Delete { id: String },
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
}

impl Endpoint {
    /// Returns the route's name in metrics.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Endpoint::Healthcheck => "healthcheck",
            Endpoint::NotFound => "not_found",
            Endpoint::MethodNotAllowed(_) => "method_not_allowed",
            Endpoint::Resource(resource) => resource.route(),
        }
    }
}

impl Resource {
    fn route(&self) -> &'static str {
        match self {
            Resource::Index => "images",
            Resource::Detail => "images_detail",
            Resource::Create => "create",
            Resource::Show { .. } => "show",
            Resource::Update { .. } => "update",
            Resource::Delete { .. } => "delete",
            Resource::Members { .. }
            | Resource::ReplaceMembers { .. }
            | Resource::AddMember { .. }
            | Resource::RemoveMember { .. } => "members",
            Resource::SharedImages { .. } => "shared_images",
            Resource::Usage | Resource::Census => "figures",
            Resource::Documents
            | Resource::ShowDocument { .. }
            | Resource::PutDocument { .. }
            | Resource::DeleteDocument { .. } => "documents",
        }
    }
}

/// Finds the endpoint. The path is split before its segments are decoded, so that an escaped slash
/// stays part of its segment.
pub(super) fn route(method: &Method, path: &str) -> Endpoint {
    let path = path.trim_matches('/');
    let segments: Option<Vec<String>> = path.split('/').map(decoded).collect();
    let Some(segments) = segments else {
        return Endpoint::NotFound;
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = method.as_str();
    let found = match segments[..] {
        ["" | "images"] => match method {
            "GET" => Ok(Resource::Index),
            "POST" => Ok(Resource::Create),
            _ => Err("GET, POST"),
        },
        ["images", "detail"] => only_get(method, Resource::Detail),
        ["images", id] => image(method, id.to_owned()),
        ["images", id, "members"] => match method {
            "GET" => Ok(Resource::Members { id: id.to_owned() }),
            "PUT" => Ok(Resource::ReplaceMembers { id: id.to_owned() }),
            _ => Err("GET, PUT"),
        },
        ["images", id, "members", member] => {
            let (id, member) = (id.to_owned(), member.to_owned());
            match method {
                "PUT" => Ok(Resource::AddMember { id, member }),
                "DELETE" => Ok(Resource::RemoveMember { id, member }),
                _ => Err("PUT, DELETE"),
            }
        }
        ["shared-images", member] => {
            let member = member.to_owned();
            only_get(method, Resource::SharedImages { member })
        }
        ["usage"] => only_get(method, Resource::Usage),
        ["census"] => only_get(method, Resource::Census),
        ["documents"] => only_get(method, Resource::Documents),
        ["documents", kind, id] => document(method, kind.to_owned(), id.to_owned()),
        ["healthcheck"] => return Endpoint::Healthcheck,
        _ => return Endpoint::NotFound,
    };
    match found {
        Ok(resource) => Endpoint::Resource(resource),
        Err(allowed) => Endpoint::MethodNotAllowed(allowed),
    }
}

/// A resource, or the methods that its path allows.
type Found = Result<Resource, &'static str>;

fn image(method: &str, id: String) -> Found {
    match method {
        "GET" => Ok(Resource::Show { id }),
        "PUT" => Ok(Resource::Update { id }),
        "DELETE" => Ok(Resource::Delete { id }),
        _ => Err("GET, PUT, DELETE"),
    }
}

fn document(method: &str, kind: String, id: String) -> Found {
    match method {
        "GET" => Ok(Resource::ShowDocument { kind, id }),
        "PUT" => Ok(Resource::PutDocument { kind, id }),
        "DELETE" => Ok(Resource::DeleteDocument { kind, id }),
        _ => Err("GET, PUT, DELETE"),
    }
}

fn only_get(method: &str, resource: Resource) -> Found {
    match method {
        "GET" => Ok(resource),
        _ => Err("GET"),
    }
}

fn decoded(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_select_endpoints() {
        let at =
            |method: &str, path: &str| route(&Method::from_bytes(method.as_bytes()).unwrap(), path);
        let id = || "7".to_owned();
        for path in ["/", "/images", "/images/"] {
            assert_eq!(
                at("GET", path),
                Endpoint::Resource(Resource::Index),
                "{path}"
            );
            assert_eq!(
                at("POST", path),
                Endpoint::Resource(Resource::Create),
                "{path}"
            );
        }
        let detail = Endpoint::Resource(Resource::Detail);
        assert_eq!(at("GET", "/images/detail"), detail);
        let update = Endpoint::Resource(Resource::Update { id: id() });
        assert_eq!(at("PUT", "/images/7"), update);
        let member = "a/b".to_owned();
        let add = Endpoint::Resource(Resource::AddMember { id: id(), member });
        assert_eq!(at("PUT", "/images/7/members/a%2Fb"), add);
        assert_eq!(at("POST", "/usage"), Endpoint::MethodNotAllowed("GET"));
        assert_eq!(at("PUT", "/healthcheck"), Endpoint::Healthcheck);
        for path in ["/images/7/x", "/v1/images", "/images/%ff", "/documents/k"] {
            assert_eq!(at("GET", path), Endpoint::NotFound, "{path}");
        }
    }
}
