//! [`Client::log_in`]: makes a client of the Image service that Keystone's catalogue names.

use std::sync::Arc;

use super::api_client::Client;
use super::endpoint::GlanceEndpoint;
use super::error::{ClientError, Result};
use super::identity::{Cloud, Identity, KeystoneSession};
use super::options::ConnectOptions;
use crate::keystone::{EndpointQuery, Token};

/// Type of the Image service in the catalogue.
const SERVICE_TYPE: &str = "image";

impl Client {
    /// Logs in at Keystone and returns a client of the Image service that its catalogue names, or
    /// of `endpoint` if one is given.
    ///
    /// # Errors
    /// [`ClientError::Login`] if Keystone refuses the login or cannot be reached,
    /// [`ClientError::Invalid`] if the catalogue has no usable endpoint of the Image service.
    pub async fn log_in(
        cloud: &Cloud,
        endpoint: Option<GlanceEndpoint>,
        options: &ConnectOptions,
    ) -> Result<Self> {
        let session = KeystoneSession::new(cloud, options)?;
        let token = session.token().await?;
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => endpoint_of(cloud, &token)?,
        };
        let client = Self::with_options(endpoint, options)?;
        Ok(client.with_identity(Identity::Keystone(Arc::new(session))))
    }
}

fn endpoint_of(cloud: &Cloud, token: &Token) -> Result<GlanceEndpoint> {
    let url = token.catalogue().find(EndpointQuery {
        service_type: SERVICE_TYPE,
        interface: cloud.interface,
        region: cloud.region.as_deref(),
    });
    let url = url.map_err(|error| {
        ClientError::Invalid(format!(
            "Cannot find the Image service: {error}. Give its URL with --os-image-url, or check \
             --os-region-name and --os-interface."
        ))
    })?;
    GlanceEndpoint::from_catalogue(url)
}
