//! The route table of the v1 API.
//!
//! | path | GET | HEAD | POST | PUT | DELETE |
//! |---|---|---|---|---|---|
//! | `/v1/images` | index | | create | | |
//! | `/v1/images/detail` | detail | | | | |
//! | `/v1/images/{id}` | download | show | | update | delete |
//! | `/v1/images/{id}/members` | list | | | replace | |
//! | `/v1/images/{id}/members/{member}` | | | | add | remove |
//! | `/v1/shared-images/{member}` | list | | | | |
//! | `/v1/cached_images` | list | | | | delete all |
//! | `/v1/cached_images/{id}` | | | | | delete |
//! | `/v1/queued_images` | list | | | | delete all |
//! | `/v1/queued_images/{id}` | | | | queue | delete |
//!
//! `/v1/images/` is `/v1/images` to GET and POST, and not found otherwise: a client that deletes
//! an image with an empty identifier gets 404, as from Glance.
//!
//! `/v1.0`, `/v1.1` and the paths without a version are the same; `super::super::root` removes the
//! version.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::style::Style;

/// The operation that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Index,
    Detail,
    Create,
    Download {
        id: String,
    },
    Show {
        id: String,
    },
    Update {
        id: String,
    },
    Delete {
        id: String,
    },
    Members {
        id: String,
    },
    ReplaceMembers {
        id: String,
    },
    AddMember {
        id: String,
        member: String,
    },
    RemoveMember {
        id: String,
        member: String,
    },
    SharedImages {
        member: String,
    },
    /// Management of the image cache; 404 unless the operator has enabled it.
    Cache(CacheEndpoint),
    NotFound,
    NotImplemented,
    /// With the methods that are allowed.
    MethodNotAllowed(&'static str),
}

/// An operation on the image cache or on its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheEndpoint {
    pub(super) verb: CacheVerb,
    /// True for the queue of images to fetch, false for the cached images.
    pub(super) is_queue: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CacheVerb {
    List,
    DeleteAll,
    Delete(String),
    Queue(String),
}

impl Endpoint {
    /// Returns true if the request changes a resource that has no validators, which is any but
    /// an image.
    pub(super) fn changes_unvalidated(&self) -> bool {
        match self {
            Endpoint::Create
            | Endpoint::ReplaceMembers { .. }
            | Endpoint::AddMember { .. }
            | Endpoint::RemoveMember { .. } => true,
            Endpoint::Cache(endpoint) => endpoint.verb != CacheVerb::List,
            _ => false,
        }
    }

    /// Returns the route's name in metrics.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Endpoint::Index => "images",
            Endpoint::Detail => "images_detail",
            Endpoint::Create => "create",
            Endpoint::Download { .. } => "download",
            Endpoint::Show { .. } => "show",
            Endpoint::Update { .. } => "update",
            Endpoint::Delete { .. } => "delete",
            Endpoint::Members { .. }
            | Endpoint::ReplaceMembers { .. }
            | Endpoint::AddMember { .. }
            | Endpoint::RemoveMember { .. } => "members",
            Endpoint::SharedImages { .. } => "shared_images",
            Endpoint::Cache(_) => "image_cache",
            Endpoint::NotFound => "not_found",
            Endpoint::NotImplemented | Endpoint::MethodNotAllowed(_) => "method_not_allowed",
        }
    }
}

/// Finds the endpoint of the segments behind the version, which are still percent-encoded.
pub(super) fn route(method: &Method, segments: &[&str], style: Style) -> Endpoint {
    match (style, segments) {
        // The first documents write paths of images with and without a slash at the end.
        (Style::Unversioned, [segments @ .., ""]) if segments.len() > 1 => {
            resource(method, segments)
        }
        (Style::Unversioned | Style::Versioned, segments) => resource(method, segments),
    }
}

/// Decodes a segment. One that is not UTF-8 becomes empty, which names no resource.
fn decoded(segment: &str) -> String {
    let decoded = percent_decode_str(segment).decode_utf8();
    decoded.map(Cow::into_owned).unwrap_or_default()
}

fn resource(method: &Method, segments: &[&str]) -> Endpoint {
    match segments {
        [""] | ["images"] => match method.as_str() {
            "GET" => Endpoint::Index,
            "POST" => Endpoint::Create,
            _ => Endpoint::MethodNotAllowed("GET, POST"),
        },
        // GET and POST: the collection, as the first documents write it. Other methods: an image
        // with an empty identifier.
        ["images", ""] => match method.as_str() {
            "GET" => Endpoint::Index,
            "POST" => Endpoint::Create,
            _ => not_found(method),
        },
        // An identifier is never empty.
        ["images" | "cached_images" | "queued_images", "", ..] => not_found(method),
        ["images", "detail"] => match method.as_str() {
            "GET" => Endpoint::Detail,
            _ => Endpoint::MethodNotAllowed("GET"),
        },
        ["images", id] => one_image(method, decoded(id)),
        ["images", id, "members"] => match method.as_str() {
            "GET" => Endpoint::Members { id: decoded(id) },
            "PUT" => Endpoint::ReplaceMembers { id: decoded(id) },
            _ => Endpoint::MethodNotAllowed("GET, PUT"),
        },
        ["images", id, "members", member] if !member.is_empty() => {
            let (id, member) = (decoded(id), decoded(member));
            match method.as_str() {
                "PUT" => Endpoint::AddMember { id, member },
                "DELETE" => Endpoint::RemoveMember { id, member },
                _ => Endpoint::MethodNotAllowed("PUT, DELETE"),
            }
        }
        ["shared-images", member] if !member.is_empty() => match method.as_str() {
            "GET" => Endpoint::SharedImages {
                member: decoded(member),
            },
            _ => Endpoint::MethodNotAllowed("GET"),
        },
        ["cached_images", rest @ ..] => image_cache(method, false, rest),
        ["queued_images", rest @ ..] => image_cache(method, true, rest),
        _ => not_found(method),
    }
}

fn image_cache(method: &Method, is_queue: bool, rest: &[&str]) -> Endpoint {
    let verb = match (method.as_str(), rest) {
        ("GET", []) => CacheVerb::List,
        ("DELETE", []) => CacheVerb::DeleteAll,
        ("DELETE", [id]) => CacheVerb::Delete(decoded(id)),
        ("PUT", [id]) if is_queue => CacheVerb::Queue(decoded(id)),
        _ => return not_found(method),
    };
    Endpoint::Cache(CacheEndpoint { verb, is_queue })
}

fn one_image(method: &Method, id: String) -> Endpoint {
    match method.as_str() {
        "GET" => Endpoint::Download { id },
        "HEAD" => Endpoint::Show { id },
        "PUT" => Endpoint::Update { id },
        "DELETE" => Endpoint::Delete { id },
        _ => Endpoint::MethodNotAllowed("GET, HEAD, PUT, DELETE"),
    }
}

fn not_found(method: &Method) -> Endpoint {
    match method.as_str() {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" => Endpoint::NotFound,
        _ => Endpoint::NotImplemented,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Routes a path as `root` does after it has removed the version.
    fn at(method: &str, path: &str) -> Endpoint {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (path, style) = match path.strip_prefix("/v1/") {
            Some(path) => (path, Style::Versioned),
            None => (&path[1..], Style::Unversioned),
        };
        let segments: Vec<&str> = path.split('/').collect();
        route(&method, &segments, style)
    }

    fn id(id: &str) -> String {
        id.to_owned()
    }

    #[test]
    fn image_paths() {
        for path in ["/v1/images", "/v1/images/", "/v1/", "/images", "/images/"] {
            assert_eq!(at("GET", path), Endpoint::Index, "{path}");
            assert_eq!(at("POST", path), Endpoint::Create, "{path}");
            let other = match path.ends_with("images/") {
                true => Endpoint::NotFound,
                false => Endpoint::MethodNotAllowed("GET, POST"),
            };
            assert_eq!(at("HEAD", path), other, "{path}");
            assert_eq!(at("DELETE", path), other, "{path}");
        }
        assert_eq!(at("PUT", "/v1/images//members"), Endpoint::NotFound);
        assert_eq!(at("POST", "/v1/images//members/t"), Endpoint::NotFound);
        assert_eq!(at("GET", "/v1/images/detail"), Endpoint::Detail);
        assert_eq!(
            at("HEAD", "/v1/images/detail"),
            Endpoint::MethodNotAllowed("GET")
        );
        assert_eq!(at("GET", "/images/7"), Endpoint::Download { id: id("7") });
        assert_eq!(at("GET", "/images/7/"), Endpoint::Download { id: id("7") });
        assert_eq!(at("GET", "/images/detail/"), Endpoint::Detail);
        assert_eq!(at("GET", "/v1/images/7/"), Endpoint::NotFound);
        assert_eq!(at("HEAD", "/v1/images/7"), Endpoint::Show { id: id("7") });
        assert_eq!(
            at("PATCH", "/v1/images/7"),
            Endpoint::MethodNotAllowed("GET, HEAD, PUT, DELETE")
        );
    }

    #[test]
    fn member_paths() {
        let member = |id: &str, member: &str| (id.to_owned(), member.to_owned());
        let (id, member) = member("7", "a/b");
        assert_eq!(
            at("PUT", "/v1/images/7/members/a%2Fb"),
            Endpoint::AddMember { id, member }
        );
        assert_eq!(
            at("GET", "/v1/images/7/members/a"),
            Endpoint::MethodNotAllowed("PUT, DELETE")
        );
        assert_eq!(
            at("GET", "/v1/shared-images/t"),
            Endpoint::SharedImages {
                member: "t".to_owned()
            }
        );
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for path in [
            "/v1/foo",
            "/v1//images",
            "/v1/images/7/x",
            "/v1/cached_images/7",
        ] {
            assert_eq!(at("GET", path), Endpoint::NotFound, "{path}");
            assert_eq!(at("BREW", path), Endpoint::NotImplemented, "{path}");
        }
    }

    #[test]
    fn image_cache_paths() {
        let cache = |verb, is_queue| Endpoint::Cache(CacheEndpoint { verb, is_queue });
        assert_eq!(
            at("GET", "/v1/cached_images"),
            cache(CacheVerb::List, false)
        );
        assert_eq!(
            at("DELETE", "/v1/queued_images"),
            cache(CacheVerb::DeleteAll, true)
        );
        let queue = cache(CacheVerb::Queue(id("7")), true);
        assert_eq!(at("PUT", "/v1/queued_images/7"), queue);
        let delete = cache(CacheVerb::Delete(id("7")), false);
        assert_eq!(at("DELETE", "/v1/cached_images/7"), delete);
        assert_eq!(at("PUT", "/v1/cached_images/7"), Endpoint::NotFound);
        assert_eq!(at("DELETE", "/v1/cached_images/"), Endpoint::NotFound);
        assert_eq!(at("PUT", "/v1/queued_images/"), Endpoint::NotFound);
        assert_eq!(at("GET", "/v1/queued_images/7/8"), Endpoint::NotFound);
    }
}
