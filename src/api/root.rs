//! The tenants' port of `glance-api`: chooses the API version of each request, and answers the
//! paths that belong to no version.
//!
//! | path | response |
//! |---|---|
//! | `/`, any unknown first segment | 300 with the versions, for every method |
//! | `/versions`, `/versions/...` | 200 with the versions |
//! | `/v1` | 302 to `/v1/` |
//! | `/healthcheck` | 200, or 503 with the reason |
//! | `/v1/...`, `/v1.0/...`, `/v1.1/...`, `/images...` | the v1 API |
//!
//! The Accept header can name a version (`application/vnd.openstack.images-v1`); then the path
//! has none. OPTIONS of any path is 200. None of these responses depends on the caller, so none
//! requires an identity.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{ACCEPT, LOCATION};
use http::{Method, StatusCode};

use super::body::refuse_partial;
use super::errors::{method_not_allowed, status_response};
use super::request::ApiRequest;
use super::response::ApiResponse;
use super::server::Api;
use super::state::ApiState;
use super::v1::{Style, V1Api};
use crate::error::Result;
use crate::net::FastRequest;
use crate::service::Service;

/// Dispatches between the API versions over one service.
pub struct RootApi {
    state: Rc<ApiState>,
    v1: V1Api,
}

/// The destination of a request.
#[derive(Debug, PartialEq, Eq)]
enum Destination<'a> {
    /// The list of versions: as a choice that the client must make (300), or as asked for.
    Versions {
        is_choice: bool,
    },
    /// `/v1` without a slash.
    RedirectToV1,
    Healthcheck,
    Options,
    /// The target is no path, as that of CONNECT.
    NoPath,
    /// A resource of v1, by the segments behind the version, still percent-encoded.
    V1 {
        segments: Vec<&'a str>,
        style: Style,
    },
}

/// The version that the Accept header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptedVersion {
    /// None: the path decides.
    Unnamed,
    V1,
    /// A version that this server does not have.
    Unknown,
}

impl RootApi {
    /// Creates the APIs over a service.
    pub fn new(state: ApiState, service: Arc<Service>) -> Self {
        let state = Rc::new(state);
        Self {
            v1: V1Api::new(Rc::clone(&state), service),
            state,
        }
    }

    async fn respond(
        &self,
        destination: Destination<'_>,
        request: ApiRequest,
    ) -> (&'static str, Result<ApiResponse>) {
        let route = match destination {
            Destination::V1 { segments, style } => {
                return self.v1.handle(request, &segments, style).await;
            }
            Destination::Versions { .. } | Destination::RedirectToV1 => "versions",
            Destination::Healthcheck => "healthcheck",
            Destination::Options => "options",
            Destination::NoPath => "method_not_allowed",
        };
        if let Err(error) = refuse_partial(&request) {
            return (route, Err(error));
        }
        let response = match destination {
            Destination::Versions { is_choice } => self.versions(is_choice, &request),
            Destination::RedirectToV1 => {
                let page = status_response(StatusCode::FOUND, "", request.error_format);
                let base = self.state.base_url(&request);
                page.with(LOCATION, &format!("{base}/v1/"))
            }
            Destination::Healthcheck => self.state.healthcheck().await,
            Destination::Options => ApiResponse::empty(StatusCode::OK),
            Destination::NoPath | Destination::V1 { .. } => {
                method_not_allowed("GET, HEAD, POST, PUT, DELETE", request.error_format)
            }
        };
        (route, Ok(response))
    }

    /// Returns the list of versions, newest first.
    fn versions(&self, is_choice: bool, request: &ApiRequest) -> ApiResponse {
        let status = match is_choice {
            true => StatusCode::MULTIPLE_CHOICES,
            false => StatusCode::OK,
        };
        let base = self.state.base_url(request);
        let version = |id: &str| {
            serde_json::json!({
                "id": id,
                "status": "DEPRECATED",
                "links": [{"rel": "self", "href": format!("{base}/v1/")}],
            })
        };
        let body = serde_json::json!({"versions": [version("v1.1"), version("v1.0")]});
        ApiResponse::json_text(status, body.to_string())
    }
}

impl Api for RootApi {
    fn handle_fast(
        &self,
        request: &FastRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Option<(&'static str, u16)> {
        self.v1.handle_fast(request, out)
    }

    fn challenge(&self) -> Option<&str> {
        self.state.authenticator.challenge()
    }

    fn identity_headers(&self) -> &'static str {
        self.state.authenticator.identity_headers()
    }

    async fn handle(self: Rc<Self>, request: ApiRequest) -> (&'static str, Result<ApiResponse>) {
        let accepted = AcceptedVersion::parse(request.header(ACCEPT));
        // The destination borrows the path, and the request moves into the handler.
        let uri = request.head.uri.clone();
        let destination = Destination::find(request.method(), uri.path(), accepted);
        self.respond(destination, request).await
    }
}

impl<'a> Destination<'a> {
    /// Finds the destination. The path is split before it is decoded, so that an escaped slash
    /// stays part of its segment.
    fn find(method: &Method, path: &'a str, accepted: AcceptedVersion) -> Self {
        if *method == Method::OPTIONS {
            return Destination::Options;
        }
        let Some(path) = path.strip_prefix('/') else {
            return Destination::NoPath;
        };
        let mut segments: Vec<&str> = path.split('/').collect();
        // These two come before the Accept header: probes and clients that look for versions send
        // any Accept header.
        if segments == ["healthcheck"] {
            return Destination::Healthcheck;
        }
        if segments[0] == "versions" {
            return Destination::Versions { is_choice: false };
        }
        let style = match (accepted, segments[0]) {
            (AcceptedVersion::V1, _) => Style::Versioned,
            (AcceptedVersion::Unnamed, "v1" | "v1.0" | "v1.1") => {
                segments.remove(0);
                if segments.is_empty() {
                    return Destination::RedirectToV1;
                }
                Style::Versioned
            }
            (AcceptedVersion::Unnamed, "images") => Style::Unversioned,
            (AcceptedVersion::Unnamed | AcceptedVersion::Unknown, _) => {
                return Destination::Versions { is_choice: true };
            }
        };
        Destination::V1 { segments, style }
    }
}

impl AcceptedVersion {
    fn parse(accept: Option<&str>) -> Self {
        const PREFIX: &str = "application/vnd.openstack.images-";
        let ranges = accept.unwrap_or_default().split(',');
        let mut types = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
        match types.find_map(|media_type| media_type.strip_prefix(PREFIX)) {
            None => AcceptedVersion::Unnamed,
            Some("v1" | "v1.0" | "v1.1") => AcceptedVersion::V1,
            Some(_) => AcceptedVersion::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICE: Destination<'_> = Destination::Versions { is_choice: true };

    fn at<'a>(method: &str, path: &'a str) -> Destination<'a> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Destination::find(&method, path, AcceptedVersion::Unnamed)
    }

    fn v1(segments: &[&'static str], style: Style) -> Destination<'static> {
        let segments = segments.to_vec();
        Destination::V1 { segments, style }
    }

    #[test]
    fn first_segment_names_the_version() {
        for path in ["/v1/images/7", "/v1.0/images/7", "/v1.1/images/7"] {
            assert_eq!(at("PUT", path), v1(&["images", "7"], Style::Versioned));
        }
        assert_eq!(at("GET", "/v1/"), v1(&[""], Style::Versioned));
        assert_eq!(
            at("GET", "/images/a%2Fb"),
            v1(&["images", "a%2Fb"], Style::Unversioned)
        );
        for path in ["/", "/foo", "/v9/images", "//v1//images", "/v2/images"] {
            assert_eq!(at("PUT", path), CHOICE, "{path}");
        }
    }

    #[test]
    fn paths_without_a_version_are_answered_here() {
        let document = Destination::Versions { is_choice: false };
        assert_eq!(at("GET", "/versions/x"), document);
        assert_eq!(at("GET", "/v1"), Destination::RedirectToV1);
        assert_eq!(at("OPTIONS", "/v1/foo"), Destination::Options);
        assert_eq!(at("GET", "/healthcheck"), Destination::Healthcheck);
        assert_eq!(at("CONNECT", "example.org:80"), Destination::NoPath);
    }

    #[test]
    fn accept_header_precedes_the_path() {
        let accept = |accept| {
            let accepted = AcceptedVersion::parse(Some(accept));
            Destination::find(&Method::GET, "/images", accepted)
        };
        let v1_type = accept("text/html, application/vnd.openstack.images-v1.1;q=1");
        assert_eq!(v1_type, v1(&["images"], Style::Versioned));
        assert_eq!(accept("application/vnd.openstack.images-v7"), CHOICE);
        assert_eq!(accept("*/*"), v1(&["images"], Style::Unversioned));
    }
}
