//! A client of the Image service, for other programs and for the `glance` command line.
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
//! [`Client`] has one function a verb of the API, in `images` and `members`; [`Client::pages`]
//! reads long lists. [`Client::download_to_file`] adds to `get_image` what a download over a
//! bad line needs: it resumes, checks and publishes by rename. Images are named by their ids
//! or by their URIs.

pub mod cli;

mod api_client;
mod cached;
mod connection;
mod download;
mod download_writer;
mod endpoint;
mod error;
mod gate;
mod images;
mod io;
mod list;
mod members;
mod progress;
mod response;
mod resumable_file;
mod upload;

pub use api_client::{Client, DEFAULT_CONNECT_LIMIT, DEFAULT_PROGRESS_LIMIT};
pub use download::{DownloadOptions, DownloadSummary};
pub use endpoint::{DEFAULT_PORT, GlanceEndpoint};
pub use error::{ClientError, Result};
pub use images::ImageData;
pub use list::{DEFAULT_PAGE_SIZE, ListOptions, Pages};
pub use progress::{ProgressObserver, ProgressReporter};
pub use upload::Upload;
