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
//! `/v1.0` and `/v1.1` are `/v1`. The paths of the first documents, without a version, are
//! served too; so is `/v1` itself, whose images they are. Everything else that begins with
//! no known version gets the list of versions.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// How the answers of a path look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `/v1/...`: as the last Glance that had v1.
    Versioned,
    /// `/images...`: with `uri`, and with dashed headers beside the others.
    Unversioned,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The list of versions, as an answer (`/versions`) or as a choice (300).
    Versions {
        choice: bool,
    },
    /// `/v1`, which is `/v1/`.
    RedirectToV1,
    Healthcheck,
    /// OPTIONS of anything.
    Options,
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
    /// Management of the image cache; not found on nodes that do not show it.
    Cache(CacheEndpoint),
    NotFound,
    NotImplemented,
    /// With the methods that are served.
    MethodNotAllowed(&'static str),
}

/// What is asked of the image cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheEndpoint {
    pub(super) verb: CacheVerb,
    /// Of its queue, else of what is kept.
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
    /// Whether nobody needs to say who is asking.
    pub(super) fn is_for_everybody(&self) -> bool {
        matches!(
            self,
            Endpoint::Versions { .. }
                | Endpoint::RedirectToV1
                | Endpoint::Healthcheck
                | Endpoint::Options
        )
    }

    /// Whether it changes something other than one image.
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

    /// The route's name in metrics.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Endpoint::Versions { .. } | Endpoint::RedirectToV1 => "versions",
            Endpoint::Healthcheck => "healthcheck",
            Endpoint::Options => "options",
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

/// What the Accept header says about the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Nothing: the path decides.
    Any,
    /// `application/vnd.openstack.images-v1`: the path has no version.
    V1,
    /// A version that is not served.
    Unknown,
}

impl Accepted {
    pub(super) fn parse(accept: Option<&str>) -> Self {
        const PREFIX: &str = "application/vnd.openstack.images-";
        let ranges = accept.unwrap_or_default().split(',');
        let mut types = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
        match types.find_map(|media_type| media_type.strip_prefix(PREFIX)) {
            None => Accepted::Any,
            Some("v1" | "v1.0" | "v1.1") => Accepted::V1,
            Some(_) => Accepted::Unknown,
        }
    }
}

/// Routes a request. The path is taken apart first and decoded then, so that an escaped
/// slash stays part of its segment.
pub(super) fn route(method: &Method, path: &str, accepted: Accepted) -> (Endpoint, Style) {
    if *method == Method::OPTIONS {
        return (Endpoint::Options, Style::Versioned);
    }
    let Some(path) = path.strip_prefix('/') else {
        return (
            Endpoint::MethodNotAllowed("GET, HEAD, POST, PUT, DELETE"),
            Style::Versioned,
        );
    };
    let mut segments: Vec<&str> = path.split('/').collect();
    if segments == ["healthcheck"] {
        return (Endpoint::Healthcheck, Style::Versioned);
    }
    if segments[0] == "versions" {
        return (Endpoint::Versions { choice: false }, Style::Versioned);
    }
    let style = match (accepted, segments[0]) {
        (Accepted::Unknown, _) => return choice(),
        (Accepted::V1, _) => Style::Versioned,
        (Accepted::Any, "v1" | "v1.0" | "v1.1") => {
            segments.remove(0);
            if segments.is_empty() {
                return (Endpoint::RedirectToV1, Style::Versioned);
            }
            Style::Versioned
        }
        (Accepted::Any, "images") => {
            // The first documents write their paths with and without a slash at the end.
            if segments.len() > 2 && segments.last() == Some(&"") {
                segments.pop();
            }
            Style::Unversioned
        }
        (Accepted::Any, _) => return choice(),
    };
    (resource(method, &segments), style)
}

fn choice() -> (Endpoint, Style) {
    (Endpoint::Versions { choice: true }, Style::Versioned)
}

/// A segment without its escapes; what is no text then is the name of nothing.
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
        // The collection of the first documents, or an image whose identifier is empty.
        ["images", ""] => match method.as_str() {
            "GET" => Endpoint::Index,
            "POST" => Endpoint::Create,
            _ => nowhere(method),
        },
        // No identifier is empty.
        ["images" | "cached_images" | "queued_images", "", ..] => nowhere(method),
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
        _ => nowhere(method),
    }
}

fn image_cache(method: &Method, is_queue: bool, rest: &[&str]) -> Endpoint {
    let verb = match (method.as_str(), rest) {
        ("GET", []) => CacheVerb::List,
        ("DELETE", []) => CacheVerb::DeleteAll,
        ("DELETE", [id]) => CacheVerb::Delete(decoded(id)),
        ("PUT", [id]) if is_queue => CacheVerb::Queue(decoded(id)),
        _ => return nowhere(method),
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

fn nowhere(method: &Method) -> Endpoint {
    match method.as_str() {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" => Endpoint::NotFound,
        _ => Endpoint::NotImplemented,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(method: &str, path: &str) -> Endpoint {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        route(&method, path, Accepted::Any).0
    }

    fn id(id: &str) -> String {
        id.to_owned()
    }

    #[test]
    fn images() {
        for path in [
            "/v1/images",
            "/v1.0/images",
            "/v1.1/images/",
            "/v1/",
            "/images",
            "/images/",
        ] {
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
    fn members() {
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
    fn versions_and_nowhere() {
        for path in ["/", "/foo", "/v9/images", "//v1//images", "/v2/images"] {
            assert_eq!(
                at("PUT", path),
                Endpoint::Versions { choice: true },
                "{path}"
            );
        }
        assert_eq!(
            at("GET", "/versions/x"),
            Endpoint::Versions { choice: false }
        );
        assert_eq!(at("GET", "/v1"), Endpoint::RedirectToV1);
        for path in [
            "/v1/foo",
            "/v1//images",
            "/v1/images/7/x",
            "/v1/cached_images/7",
        ] {
            assert_eq!(at("GET", path), Endpoint::NotFound, "{path}");
            assert_eq!(at("BREW", path), Endpoint::NotImplemented, "{path}");
        }
        assert_eq!(at("OPTIONS", "/v1/foo"), Endpoint::Options);
        assert_eq!(at("GET", "/healthcheck"), Endpoint::Healthcheck);
        assert_eq!(
            at("CONNECT", "example.org:80").route(),
            "method_not_allowed"
        );
    }

    #[test]
    fn the_image_cache() {
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

    #[test]
    fn the_media_type_wins_over_the_path() {
        let accept = |accept| route(&Method::GET, "/images", Accepted::parse(Some(accept)));
        let v1 = accept("text/html, application/vnd.openstack.images-v1.1;q=1");
        assert_eq!(v1, (Endpoint::Index, Style::Versioned));
        let v7 = accept("application/vnd.openstack.images-v7");
        assert_eq!(v7.0, Endpoint::Versions { choice: true });
        assert_eq!(accept("*/*"), (Endpoint::Index, Style::Unversioned));
    }
}
