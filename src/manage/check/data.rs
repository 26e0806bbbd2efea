//! Checks that the stores have the data of images, with the right size and content.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::{JoinSet, spawn_blocking};

use super::super::error::{ManageError, with_cause};
use super::finding::{Finding, Flaw};
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Image, ImageData, Md5Digest, Status};
use crate::md5::Md5;
use crate::store::{ObjectRange, Store, Stores};
use crate::transfer::{Payload, digest_of_file};

/// Number of images that are probed concurrently.
const CONCURRENT_PROBES: usize = 16;

/// Number of consecutive failed requests after which a store is not asked again.
const MAX_SILENCES: u32 = 5;

/// The results of the probes of a store.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Images whose data have the expected size.
    well: u64,
    missing: u64,
    /// Consecutive requests without a response.
    silences: u32,
}

/// Probes the data of images in their stores.
#[derive(Clone)]
pub(super) struct DataProber {
    stores: Stores,
    /// True if data are read and their checksums verified.
    reads_data: bool,
    tallies: Rc<RefCell<BTreeMap<&'static str, Tally>>>,
}

impl DataProber {
    pub(super) fn new(stores: &Stores, reads_data: bool) -> Self {
        Self {
            stores: stores.clone(),
            reads_data,
            tallies: Rc::default(),
        }
    }

    /// Returns the findings about the data of these images. Must be called in a
    /// [`tokio::task::LocalSet`].
    pub(super) async fn probe_all(
        &self,
        images: &[Arc<Image>],
    ) -> std::result::Result<Vec<Finding>, ManageError> {
        let mut findings = Vec::new();
        let mut running = JoinSet::new();
        for image in images {
            if running.len() == CONCURRENT_PROBES
                && let Some(found) = running.join_next().await
            {
                findings.extend(found?);
            }
            let (prober, image) = (self.clone(), Arc::clone(image));
            running.spawn_local(async move { prober.probe(&image).await });
        }
        while let Some(found) = running.join_next().await {
            findings.extend(found?);
        }
        findings.sort_by_key(|finding: &Finding| finding.image);
        Ok(findings)
    }

    /// Returns true if a store lacks the data of every image. It is then more likely that the store
    /// is not mounted or the wrong one than that it has lost everything.
    pub(super) fn lacks_all(&self, store: &str) -> bool {
        let tallies = self.tallies.borrow();
        tallies
            .get(store)
            .is_some_and(|tally| tally.well == 0 && tally.missing > 1)
    }

    async fn probe(&self, image: &Image) -> Option<Finding> {
        let data = data_of(image)?;
        let store = match self.stores.for_location(data.location()) {
            Ok(store) => store,
            Err(error) => {
                return Some(Finding {
                    reason: Some(with_cause(&error)),
                    ..Finding::of_image(Flaw::Unasked, image)
                });
            }
        };
        let finding = self.probe_store(&*store, image, data).await?;
        Some(Finding {
            store: Some(store.name().to_owned()),
            expected_bytes: Some(data.size_bytes),
            ..finding
        })
    }

    async fn probe_store(
        &self,
        store: &dyn Store,
        image: &Image,
        data: &ImageData,
    ) -> Option<Finding> {
        let tally = |change: fn(&mut Tally)| {
            change(self.tallies.borrow_mut().entry(store.name()).or_default());
        };
        let silences = self.tallies.borrow().get(store.name()).copied();
        if silences.unwrap_or_default().silences >= MAX_SILENCES {
            return Some(Finding {
                reason: Some("the store does not respond".to_owned()),
                ..Finding::of_image(Flaw::Unasked, image)
            });
        }
        let asked = store.size(data.location()).await;
        if !asked.as_ref().is_err_and(|error| is_silence(error.kind())) {
            tally(|tally| tally.silences = 0);
        }
        match asked {
            Ok(found_bytes) if found_bytes == data.size_bytes => {
                tally(|tally| tally.well += 1);
                self.compare(store, image, data).await
            }
            Ok(found_bytes) => Some(Finding {
                found_bytes: Some(found_bytes),
                ..Finding::of_image(Flaw::WrongSize, image)
            }),
            Err(error) if error.kind() == Kind::NotFound => {
                tally(|tally| tally.missing += 1);
                Some(Finding::of_image(Flaw::Missing, image))
            }
            Err(error) => {
                if is_silence(error.kind()) {
                    tally(|tally| tally.silences += 1);
                }
                Some(Finding {
                    reason: Some(with_cause(&error)),
                    ..Finding::of_image(Flaw::Unasked, image)
                })
            }
        }
    }
}

impl DataProber {
    /// Verifies the checksum, or reports the damage that a server has found before.
    async fn compare(&self, store: &dyn Store, image: &Image, data: &ImageData) -> Option<Finding> {
        let damaged = |reason| Finding {
            reason,
            ..Finding::of_image(Flaw::Damaged, image)
        };
        let digest = data.checksum.as_ref().and_then(Checksum::digest);
        match digest.filter(|_| self.reads_data) {
            Some(digest) => match digest_of(store, data).await {
                Ok(read) if read == digest => None,
                Ok(_) => Some(damaged(None)),
                Err(error) => Some(Finding {
                    reason: Some(with_cause(&error)),
                    ..Finding::of_image(Flaw::Unasked, image)
                }),
            },
            None => {
                let since = image.damaged_since?;
                let reason =
                    format!("a server has found this on {since} and does not serve the data");
                Some(damaged(Some(reason)))
            }
        }
    }
}

/// Reads all data and returns their MD5.
async fn digest_of(store: &dyn Store, data: &ImageData) -> Result<Md5Digest> {
    let wanted = ObjectRange {
        offset: 0,
        len: data.size_bytes,
        object_bytes: data.size_bytes,
    };
    let mut md5 = Md5::new();
    match store.open(data.location(), wanted).await? {
        Payload::Empty => {}
        Payload::Bytes(bytes) => md5.update(&bytes),
        Payload::File(slice) => {
            let read = move || digest_of_file(&slice.file, |_| Ok(()));
            let read = spawn_blocking(read).await.map_err(Error::internal)?;
            return read.map_err(Error::internal);
        }
        Payload::Partial(_) | Payload::Text(_) => {
            return Err(Error::internal("no store has such data"));
        }
        Payload::Remote(mut remote) => {
            while let Some(bytes) = remote.next().await? {
                md5.update(&bytes);
            }
        }
    }
    Ok(md5.finalize())
}

/// Returns the data of an image that clients can download, now or after it is restored.
fn data_of(image: &Image) -> Option<&ImageData> {
    let is_kept = matches!(
        image.status,
        Status::Active | Status::Deactivated | Status::PendingDelete
    );
    image.data.as_ref().filter(|_| is_kept)
}

fn is_silence(kind: Kind) -> bool {
    matches!(kind, Kind::Unavailable { .. } | Kind::Timeout)
}
