//! Where the records of a node are read, whether it runs or not.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::failure::Failure;
use crate::config::{Config, RegistryBackend};
use crate::error::Kind;
use crate::image::{Image, ImageId, Query};
use crate::registry::{Document, DocumentQuery, JournalReader, OpenError, Record, Registry};
use crate::server::{StartError, open_registry};

/// Images that are asked for at a time.
const PAGE: usize = 1000;

/// Where records are read.
pub(super) enum Records {
    Registry(Arc<dyn Registry>),
    /// The folder of an embedded registry that a node has open: its journal is read.
    Journal(PathBuf),
}

impl Records {
    /// The registry, or the journal of an embedded one that a node has open. One that is not
    /// there is not made.
    pub(super) fn of_existing(runtime: &Runtime, config: &Config) -> Result<Self, Failure> {
        let folder = &config.registry.registry_dir;
        let is_embedded = config.registry.backend() == RegistryBackend::Embedded;
        if is_embedded && !folder.is_dir() {
            return Err(Failure::NoRegistry(folder.clone()));
        }
        match open(runtime, config) {
            Err(Failure::Start(StartError::Registry(OpenError::InUse { .. }))) => {
                Ok(Self::Journal(folder.clone()))
            }
            registry => registry.map(Self::Registry),
        }
    }

    /// Shows every image there is, deleted ones too, in the order of their identifiers: each
    /// as it was at some moment while this goes on.
    pub(super) async fn each(
        &self,
        mut show: impl FnMut(&Image) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let registry = match self {
            Self::Registry(registry) => registry,
            Self::Journal(folder) => {
                let journal = JournalReader::read(folder).map_err(Failure::Journal)?;
                for image in journal.images() {
                    show(&image.map_err(Failure::Journal)?)?;
                }
                return Ok(());
            }
        };
        let mut query = Query::everything(PAGE);
        loop {
            let page = registry.list(&query).await?;
            let images = page.iter().map(|record: &Arc<Record>| &record.image);
            images.into_iter().try_for_each(&mut show)?;
            match page.last() {
                Some(last) => query.marker = Some(last.image.id),
                None => return Ok(()),
            }
        }
    }

    /// All of them.
    pub(super) async fn all(&self) -> Result<Vec<Arc<Image>>, Failure> {
        let mut images = Vec::new();
        let keep = |image: &Image| {
            images.push(Arc::new(image.clone()));
            Ok(())
        };
        self.each(keep).await?;
        Ok(images)
    }

    /// Returns all documents in the order of their keys. A registry that stores no documents has
    /// none.
    pub(super) async fn documents(&self) -> Result<Vec<Document>, Failure> {
        let registry = match self {
            Self::Registry(registry) => registry,
            Self::Journal(folder) => {
                let journal = JournalReader::read(folder).map_err(Failure::Journal)?;
                let documents: std::io::Result<_> = journal.documents().collect();
                return documents.map_err(Failure::Journal);
            }
        };
        let everything = DocumentQuery::everything(usize::MAX);
        match registry.list_documents(&everything).await {
            Ok(documents) => Ok(documents.into_iter().map(Arc::unwrap_or_clone).collect()),
            Err(error) if error.kind() == Kind::Conflict => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Images that are there and cannot be read.
    pub(super) fn unreadable(&self) -> Vec<ImageId> {
        match self {
            Self::Registry(registry) => registry.unreadable(),
            // Such a journal is not read at all.
            Self::Journal(_) => Vec::new(),
        }
    }
}

/// Opens the registry to be written to.
pub(super) fn open(runtime: &Runtime, config: &Config) -> Result<Arc<dyn Registry>, Failure> {
    let _context = runtime.enter();
    Ok(open_registry(config)?)
}
