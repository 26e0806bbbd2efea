//! Client library of the Image service (v1 API) and, in [`cli`], the `glance` command line on top of
//! it. Connections, TLS and proxies are those of [`crate::http_client`], logins those of
//! [`crate::keystone`]; nothing here depends on the servers.
//!
//! ```no_run
//! use glance::client::{Client, ListOptions};
//!
//! # async fn example() -> Result<(), glance::client::ClientError> {
//! let client = Client::new(("glance.openstack.org", 9292))?;
//! for image in client.get_images(&ListOptions::default()).await? {
//!     println!("{} {:?}", image.id, image.name);
//! }
//! let (meta, mut data) = client.get_image("http://glance.openstack.org/images/1").await?;
//! println!("{meta:?}");
//! while let Some(chunk) = data.chunk().await? {
//!     println!("{} bytes", chunk.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] has one function per verb of the API (`images`, `members`, `cached`).
//! [`Client::log_in`] finds the service through Keystone; [`Client::pages`] reads long lists.
//! [`Client::download_to_file`] resumes interrupted downloads, verifies the checksum and publishes
//! the file by rename. Images are named by ID or URI.

pub mod cli;

mod api_client;
mod cached;
mod download;
mod download_writer;
mod endpoint;
mod error;
mod identity;
mod images;
mod list;
mod login;
mod members;
mod options;
mod progress;
mod response;
mod resumable_file;
mod upload;

pub use api_client::Client;
pub use download::{DownloadOptions, DownloadSummary};
pub use endpoint::{DEFAULT_PORT, GlanceEndpoint};
pub use error::{ClientError, Result};
pub use identity::Cloud;
pub use images::ImageData;
pub use list::{DEFAULT_PAGE_SIZE, ListOptions, Pages};
pub use options::{ConnectOptions, DEFAULT_CONNECT_TIMEOUT, DEFAULT_PROGRESS_TIMEOUT};
pub use progress::{ProgressObserver, ProgressReporter};
pub use upload::Upload;
