//! The error of every command of `glance-manage`.

use std::io;
use std::path::PathBuf;

use tokio::task::JoinError;

use super::dump::DumpError;
use super::legacy::LegacyError;
use crate::config::{ConfigError, EXIT_FAILURE};
use crate::console::OutputError;
use crate::error::Error;
use crate::image::ImageId;
use crate::registry::DocumentKey;
use crate::runtime::ThreadError;
use crate::server::StartError;

/// Exit code of a command that has done its work and found errors in the data.
const EXIT_FINDINGS: u8 = 2;

/// The most images that an error message lists.
const MAX_LISTED: usize = 10;

/// A command failed, completely or in part.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManageError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("no registry found in {}; is this the configuration of the server?", .0.display())]
    NoRegistry(PathBuf),
    #[error(transparent)]
    Thread(#[from] ThreadError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot write {}: {cause}", file.display())]
    Write { file: PathBuf, cause: io::Error },
    #[error("{} already exists; see --force", .0.display())]
    Exists(PathBuf),
    #[error("cannot read the dump {}: {cause}", file.display())]
    Dump { file: PathBuf, cause: DumpError },
    #[error(
        "cannot read the journal of the registry: {0}; stop the server to read the registry itself"
    )]
    Journal(io::Error),
    #[error("registry error: {}", with_cause(.0))]
    Registry(#[from] Error),
    #[error("the registry in {} is in use; stop the server first", .0.display())]
    InUse(PathBuf),
    #[error("the image folder {} does not exist; is it mounted?", .0.display())]
    NoImages(PathBuf),
    #[error("cannot list the store {name}: {}", with_cause(cause))]
    Store { name: String, cause: Error },
    #[error("{0}")]
    Legacy(#[from] LegacyError),
    #[error("{0} images were not imported completely; see --allow-losses")]
    Losses(usize),
    #[error("{0} findings remain")]
    Findings(usize),
    #[error("unreadable records are missing in the dump: {}", listed(.0))]
    Unreadable(Vec<ImageId>),
    #[error("nothing was imported: the registry has other images ({}); see --merge", listed(.0))]
    NotEmpty(Vec<ImageId>),
    #[error("nothing was imported: images differ from those in the registry ({}); see --merge", listed(.0))]
    Conflicts(Vec<ImageId>),
    #[error("nothing was imported: documents differ from those in the registry ({}); see --merge", listed(.0))]
    DocumentConflicts(Vec<DocumentKey>),
    #[error("{0} documents were not imported; the others were, and the command can be run again")]
    DocumentsNotLoaded(usize),
    #[error("{0} images were not imported; the others were, and the command can be run again")]
    NotLoaded(usize),
    #[error("{cause}; {loaded} images were imported, and the command can be run again")]
    CutOff {
        loaded: u64,
        cause: Box<ManageError>,
    },
    #[error("internal error, a task panicked: {0}")]
    Task(#[from] JoinError),
}

impl ManageError {
    /// Returns the exit code of the program.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Start(error) => error.exit_code(),
            Self::Findings(_) | Self::Losses(_) => EXIT_FINDINGS,
            _ => EXIT_FAILURE,
        }
    }
}

/// Returns the message of an error with its internal cause, which operators may see.
pub(super) fn with_cause(error: &Error) -> String {
    match error.cause() {
        Some(cause) => format!("{error} ({cause})"),
        None => error.to_string(),
    }
}

/// Returns the number of images and the first of them.
fn listed(ids: &[impl ToString]) -> String {
    let first = ids.iter().take(MAX_LISTED).map(ToString::to_string);
    let first: Vec<String> = first.collect();
    let more = if ids.len() > MAX_LISTED { ", …" } else { "" };
    format!("{}: {}{more}", ids.len(), first.join(", "))
}
