//! Value types of addresses and URLs.

use std::net::IpAddr;

use super::ValueType;

/// An IP address; an IPv6 address may have brackets.
pub(crate) struct Address;

impl ValueType for Address {
    type Value = IpAddr;

    fn expected(&self) -> String {
        "an IP address such as 127.0.0.1 or ::1".into()
    }

    fn parse(&self, text: &str) -> Option<IpAddr> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        bare.unwrap_or(text).parse().ok()
    }
}

/// The base of a URL, stored without a slash at its end.
pub(crate) struct Endpoint;

impl ValueType for Endpoint {
    type Value = String;

    fn expected(&self) -> String {
        "a URL such as https://images.example.org:9292, without user, query or fragment".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        let uri: http::Uri = text.parse().ok()?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let bare = !text.contains(['@', '?', '#']);
        (web && host && bare).then(|| text.trim_end_matches('/').to_owned())
    }
}

/// A host, optionally preceded by a scheme; stored as a URL without a slash at its end.
pub(crate) struct HostUrl;

impl ValueType for HostUrl {
    type Value = String;

    fn expected(&self) -> String {
        "a host such as s3.example.org:9000, preceded by https:// for TLS".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        match text.contains("://") {
            true => Endpoint.parse(text),
            false => Endpoint.parse(&format!("http://{text}")),
        }
    }
}

/// The URL of an authentication service. Without a scheme it is https, as in Glance.
pub(crate) struct AuthAddress;

impl ValueType for AuthAddress {
    type Value = String;

    fn expected(&self) -> String {
        "a URL such as https://keystone.example.org:5000/v3, without user, query or fragment".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        if text.contains("://") {
            return Endpoint.parse(text);
        }
        Endpoint.parse(&format!("https://{text}"))
    }
}
