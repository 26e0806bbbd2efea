//! The catalogue of a cloud's services.

use std::fmt;

use serde::Deserialize;

use super::error::KeystoneError;

/// The interface of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// For users of the cloud.
    Public,
    /// For services of the cloud.
    Internal,
    /// For administrators.
    Admin,
}

impl Interface {
    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// The services that a token can be used with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Catalogue(Vec<Service>);

#[derive(Debug, Clone, Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}

/// Selects an endpoint of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct EndpointQuery<'a> {
    /// Service type, such as `object-store`.
    pub service_type: &'a str,
    /// Interface of the endpoint.
    pub interface: Interface,
    /// Region of the endpoint; `None` for any.
    pub region: Option<&'a str>,
}

impl Catalogue {
    /// Returns the URL of the first matching endpoint, without a trailing slash.
    ///
    /// # Errors
    /// [`KeystoneError::NoEndpoint`], which names the query.
    pub fn find(&self, query: EndpointQuery<'_>) -> Result<&str, KeystoneError> {
        let services = self.0.iter();
        let mut endpoints = services
            .filter(|service| service.kind == query.service_type)
            .flat_map(|service| &service.endpoints);
        let matches = |endpoint: &&Endpoint| {
            endpoint.interface == query.interface.as_str()
                && query.region.is_none_or(|region| endpoint.is_in(region))
        };
        let found = endpoints.find(matches);
        let found = found.ok_or_else(|| KeystoneError::NoEndpoint(query.to_string()))?;
        Ok(found.url.trim_end_matches('/'))
    }
}

impl Endpoint {
    fn is_in(&self, region: &str) -> bool {
        let own = self.region_id.as_deref().or(self.region.as_deref());
        own == Some(region)
    }
}

impl fmt::Display for EndpointQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = self.interface.as_str();
        write!(f, "{interface} endpoint of {}", self.service_type)?;
        match self.region {
            Some(region) => write!(f, " in {region}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: &str = r#"[
        {"type": "image", "name": "glance", "id": "1", "endpoints": [
            {"interface": "public", "region": "north", "region_id": "north", "url": "http://i:9292/"}]},
        {"type": "object-store", "endpoints": [
            {"interface": "admin", "region": "north", "url": "http://s:8080/v1"},
            {"interface": "public", "region": "north", "url": "http://n:8080/v1/AUTH_x"},
            {"interface": "public", "region": "south", "url": "http://s:8080/v1/AUTH_x/"}]}]"#;

    fn find(service_type: &str, interface: Interface, region: Option<&str>) -> Option<String> {
        let catalogue: Catalogue = serde_json::from_str(CATALOGUE).unwrap();
        let query = EndpointQuery {
            service_type,
            interface,
            region,
        };
        catalogue.find(query).ok().map(str::to_owned)
    }

    #[test]
    fn finds_by_type_interface_and_region() {
        use Interface::{Admin, Internal, Public};
        let found = |url: &str| Some(url.to_owned());
        assert_eq!(find("image", Public, None), found("http://i:9292"));
        assert_eq!(
            find("object-store", Public, None),
            found("http://n:8080/v1/AUTH_x")
        );
        let south = find("object-store", Public, Some("south"));
        assert_eq!(south, found("http://s:8080/v1/AUTH_x"));
        assert_eq!(
            find("object-store", Admin, Some("north")),
            found("http://s:8080/v1")
        );
        assert_eq!(find("object-store", Internal, None), None);
        assert_eq!(find("object-store", Public, Some("west")), None);
        assert_eq!(find("volume", Public, None), None);
    }
}
