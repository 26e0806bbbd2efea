//! Why something was not done.

use std::io;
use std::path::PathBuf;

use tokio::task::JoinError;

use super::dump::DumpError;
use super::legacy::LegacyError;
use crate::config::{ConfigError, EXIT_FAILURE};
use crate::error::Error;
use crate::image::ImageId;
use crate::registry::DocumentKey;
use crate::server::StartError;

/// Something is wrong, and it was found out as it should be.
const EXIT_FINDINGS: u8 = 2;

/// Images that are named when there are many.
const MOST_NAMED: usize = 10;

/// Why something was not done, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("the registry folder {} is not there: is this the node's configuration?", .0.display())]
    NoRegistry(PathBuf),
    #[error("threads cannot be started: {0}")]
    Threads(#[source] io::Error),
    #[error("{} cannot be written: {cause}", file.display())]
    Write { file: PathBuf, cause: io::Error },
    #[error("{} is there already; see --force", .0.display())]
    IsThere(PathBuf),
    #[error("the dump {}: {cause}", file.display())]
    Dump { file: PathBuf, cause: DumpError },
    #[error(
        "the registry's journal cannot be read: {0}; stop the node to read the registry itself"
    )]
    Journal(io::Error),
    #[error("the registry: {}", with_cause(.0))]
    Registry(#[from] Error),
    #[error("the registry folder {} is in use by a node: stop it to change anything", .0.display())]
    InUse(PathBuf),
    #[error("the image folder {} is not there: is it mounted?", .0.display())]
    NoImages(PathBuf),
    #[error("the store {name}: {}", with_cause(cause))]
    Store { name: String, cause: Error },
    #[error("{0}")]
    Legacy(#[from] LegacyError),
    #[error("images that are not taken over whole: {0}; see --allow-losses")]
    Losses(usize),
    #[error("findings that are left: {0}")]
    Findings(usize),
    #[error("records that cannot be read, and are not in the dump: {}", named(.0))]
    Unreadable(Vec<ImageId>),
    #[error("nothing was loaded: the registry has images of its own ({}); see --merge", named(.0))]
    NotEmpty(Vec<ImageId>),
    #[error("nothing was loaded: the registry has images otherwise ({}); see --merge", named(.0))]
    Conflicts(Vec<ImageId>),
    #[error("nothing was loaded: the registry has other states of documents ({}); see --merge", named(.0))]
    DocumentConflicts(Vec<DocumentKey>),
    #[error("documents that were not loaded: {0}; the others are, and it can be run again")]
    DocumentsNotLoaded(usize),
    #[error("images that were not loaded: {0}; the others are, and it can be run again")]
    NotLoaded(usize),
    #[error("{cause}; {loaded} images are loaded, and it can be run again")]
    CutOff { loaded: u64, cause: Box<Failure> },
    #[error("a task broke down: {0}")]
    Task(#[from] JoinError),
}

impl Failure {
    /// What the program ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Start(error) => error.exit_code(),
            Self::Findings(_) | Self::Losses(_) => EXIT_FINDINGS,
            _ => EXIT_FAILURE,
        }
    }
}

/// An error's words and its cause, for the operator.
pub(super) fn with_cause(error: &Error) -> String {
    match error.cause() {
        Some(cause) => format!("{error} ({cause})"),
        None => error.to_string(),
    }
}

/// How many there are, and the first of them.
fn named(ids: &[impl ToString]) -> String {
    let first: Vec<String> = ids
        .iter()
        .take(MOST_NAMED)
        .map(ToString::to_string)
        .collect();
    let more = if ids.len() > MOST_NAMED { ", …" } else { "" };
    format!("{}: {}{more}", ids.len(), first.join(", "))
}
