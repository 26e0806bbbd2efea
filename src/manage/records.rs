//! Access to the records of a server, whether it runs or not.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::error::ManageError;
use crate::config::{Config, RegistryBackend};
use crate::error::Kind;
use crate::image::{Image, ImageId, Query};
use crate::registry::{Document, DocumentQuery, JournalReader, OpenError, Record, Registry};
use crate::server::{StartError, open_registry};

/// Number of records that are listed at a time.
const PAGE: usize = 1000;

/// The source of the records.
pub(super) enum Records {
    Registry(Arc<dyn Registry>),
    /// The journal in the folder of an embedded registry that a server has open.
    Journal(PathBuf),
}

impl Records {
    /// Opens the registry, or its journal if a server has an embedded registry open. Does not create
    /// a registry.
    ///
    /// # Errors
    /// When there is no registry or it cannot be opened.
    pub(super) fn of_existing(runtime: &Runtime, config: &Config) -> Result<Self, ManageError> {
        let folder = &config.registry.registry_dir;
        let is_embedded = config.registry.backend() == RegistryBackend::Embedded;
        if is_embedded && !folder.is_dir() {
            return Err(ManageError::NoRegistry(folder.clone()));
        }
        match open(runtime, config) {
            Err(ManageError::Start(StartError::Registry(OpenError::InUse { .. }))) => {
                Ok(Self::Journal(folder.clone()))
            }
            registry => registry.map(Self::Registry),
        }
    }

    /// Calls `show` for every image, deleted ones included, sorted by identifier. This is not a
    /// snapshot: each image is as it was at some time during the call.
    ///
    /// # Errors
    /// Those of the registry and of `show`.
    pub(super) async fn each(
        &self,
        mut show: impl FnMut(&Image) -> Result<(), ManageError>,
    ) -> Result<(), ManageError> {
        let registry = match self {
            Self::Registry(registry) => registry,
            Self::Journal(folder) => {
                let journal = JournalReader::read(folder).map_err(ManageError::Journal)?;
                for image in journal.images() {
                    show(&image.map_err(ManageError::Journal)?)?;
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

    /// Returns all images.
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn all(&self) -> Result<Vec<Arc<Image>>, ManageError> {
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
    pub(super) async fn documents(&self) -> Result<Vec<Document>, ManageError> {
        let registry = match self {
            Self::Registry(registry) => registry,
            Self::Journal(folder) => {
                let journal = JournalReader::read(folder).map_err(ManageError::Journal)?;
                let documents: std::io::Result<_> = journal.documents().collect();
                return documents.map_err(ManageError::Journal);
            }
        };
        let everything = DocumentQuery::everything(usize::MAX);
        match registry.list_documents(&everything).await {
            Ok(documents) => Ok(documents.into_iter().map(Arc::unwrap_or_clone).collect()),
            Err(error) if error.kind() == Kind::Conflict => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the images whose records cannot be read.
    pub(super) fn unreadable(&self) -> Vec<ImageId> {
        match self {
            Self::Registry(registry) => registry.unreadable(),
            // An error in the journal fails the whole command instead.
            Self::Journal(_) => Vec::new(),
        }
    }
}

/// Opens the registry for writing.
///
/// # Errors
/// When it cannot be opened, for example because a server has it open.
pub(super) fn open(runtime: &Runtime, config: &Config) -> Result<Arc<dyn Registry>, ManageError> {
    let _context = runtime.enter();
    Ok(open_registry(config)?)
}
