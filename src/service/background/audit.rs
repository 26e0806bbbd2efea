//! One round of comparing stored data with their MD5.
//!
//! An image whose data are wrong is marked in its record, so that every server of the registry
//! knows it and the next start too; it is not served until its data are right again. A cached
//! image that is wrong is dropped and fetched again.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::read_rate::ReadRate;
use crate::cache::{Cache, CachedFile};
use crate::error::{Error, Result};
use crate::image::{Checksum, Image, ImageData, ImageId, Md5Digest, Query, Status};
use crate::md5::Md5;
use crate::metrics::{self, VerifiedCopy};
use crate::service::modify::modify;
use crate::service::{Service, now};
use crate::store::ObjectRange;
use crate::transfer::{Payload, digest_of_file};

/// The state kept from one round to the next.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Images whose data are wrong, with the state of their files when that was found.
    damaged: HashMap<ImageId, Option<Stamp>>,
    /// Whether records that an earlier process has marked were looked for.
    has_looked: bool,
}

/// Values that change when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// The result of a comparison.
enum Finding {
    Right,
    Wrong(Option<Stamp>),
    /// The image is gone, has no data here, or no MD5.
    Nothing,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            inode: file.ino(),
            len_bytes: file.len(),
            modified_ns: ns(file.mtime(), file.mtime_nsec()),
            changed_ns: ns(file.ctime(), file.ctime_nsec()),
        }
    }
}

impl Audit {
    /// Compares everything that is stored here.
    pub(super) async fn round(&mut self, service: &Service, read_rate: &mut ReadRate) {
        let images = match service.auditable_images().await {
            Ok(images) => images,
            Err(error) => {
                tracing::warn!(?error, "stored data are not compared: the registry is away");
                return;
            }
        };
        self.take_in_marked(&images);
        for (id, _) in &images {
            if read_rate.is_ended() || !service.registry.is_current() {
                return;
            }
            self.compare(service, id, read_rate).await;
        }
        if let Some(cache) = service.cache() {
            compare_cache(cache, read_rate).await;
        }
        if !read_rate.is_ended() {
            metrics::verification_finished();
        }
    }

    /// Compares the damaged images again whose files were changed.
    pub(super) async fn recheck(&mut self, service: &Service, read_rate: &mut ReadRate) {
        let damaged: Vec<_> = self
            .damaged
            .iter()
            .map(|(id, stamp)| (*id, *stamp))
            .collect();
        for (id, known) in damaged {
            let stamp = service.stamp_of(&id).await;
            if known.is_none() || stamp != known {
                self.compare(service, &id, read_rate).await;
            }
        }
    }

    /// Images that an earlier process or another server has found damaged.
    fn take_in_marked(&mut self, images: &[(ImageId, bool)]) {
        if !std::mem::replace(&mut self.has_looked, true) {
            let marked = images.iter().filter(|(_, is_marked)| *is_marked);
            self.damaged.extend(marked.map(|(id, _)| (*id, None)));
            metrics::set_damaged_images(self.damaged.len());
        }
    }

    async fn compare(&mut self, service: &Service, id: &ImageId, read_rate: &mut ReadRate) {
        let ended = match service.read_and_compare(id, read_rate).await {
            Ok(Finding::Wrong(stamp)) => {
                if self.damaged.insert(*id, stamp).is_none() {
                    metrics::count_verification(VerifiedCopy::Image, "wrong");
                }
                service.mark_damaged(id, true).await
            }
            Ok(Finding::Right) => {
                metrics::count_verification(VerifiedCopy::Image, "right");
                self.damaged.remove(id);
                service.mark_damaged(id, false).await
            }
            Ok(Finding::Nothing) => {
                self.damaged.remove(id);
                Ok(())
            }
            Err(error) => Err(error),
        };
        metrics::set_damaged_images(self.damaged.len());
        if let Err(error) = ended
            && !read_rate.is_ended()
        {
            metrics::count_verification(VerifiedCopy::Image, "failed");
            tracing::error!(image_id = %id, ?error, "the data of an image could not be compared");
        }
    }
}

impl Service {
    /// Images whose data are in this node's own hands and have an MD5, in the order of their
    /// identifiers, each with whether it is marked as damaged.
    async fn auditable_images(&self) -> Result<Vec<(ImageId, bool)>> {
        let records = self.registry.list(&Query::everything(usize::MAX)).await?;
        let images = records.iter().map(|record| &record.image);
        let images = images.filter(|image| self.local_data(image).is_some());
        Ok(images
            .map(|image| (image.id, image.damaged_since.is_some()))
            .collect())
    }

    /// The data of an image, if this node keeps them in files and knows their MD5.
    fn local_data<'a>(&self, image: &'a Image) -> Option<(&'a ImageData, Md5Digest)> {
        let is_kept = matches!(image.status, Status::Active | Status::Deactivated);
        let data = image.data.as_ref().filter(|_| is_kept)?;
        let digest = data.checksum.as_ref().and_then(Checksum::digest)?;
        let store = self.stores.for_location(data.location()).ok()?;
        store.is_local().then_some((data, digest))
    }

    /// Reads the data of an image and compares them; what is wrong is read twice, in case a
    /// fault on the way from the disk was to blame.
    async fn read_and_compare(&self, id: &ImageId, read_rate: &mut ReadRate) -> Result<Finding> {
        let mut found = Finding::Nothing;
        for _ in 0..2 {
            let Some(record) = self.registry.get(id).await? else {
                return Ok(Finding::Nothing);
            };
            let Some((data, digest)) = self.local_data(&record.image) else {
                return Ok(Finding::Nothing);
            };
            let payload = self.payload_of(data).await?;
            let stamp = stamp_of(&payload);
            let read = digest_of(&payload, read_rate).map_err(Error::internal)?;
            if read == digest {
                return Ok(Finding::Right);
            }
            found = Finding::Wrong(stamp);
        }
        Ok(found)
    }

    async fn payload_of(&self, data: &ImageData) -> Result<Payload> {
        let wanted = ObjectRange {
            offset: 0,
            len: data.size_bytes,
            object_bytes: data.size_bytes,
        };
        let store = self.stores.for_location(data.location())?;
        store.open(data.location(), wanted).await
    }

    /// The state of an image's file; `None` when it cannot be told.
    async fn stamp_of(&self, id: &ImageId) -> Option<Stamp> {
        let record = self.registry.get(id).await.ok()??;
        let (data, _) = self.local_data(&record.image)?;
        stamp_of(&self.payload_of(data).await.ok()?)
    }

    /// Says in the record of an image whether its data are damaged, if that is news.
    async fn mark_damaged(&self, id: &ImageId, is_damaged: bool) -> Result<()> {
        let marked = modify(id, async || {
            let record = self.registry.get(id).await?;
            let record = record.filter(|record| {
                let is_marked = record.image.damaged_since.is_some();
                is_marked != is_damaged && self.local_data(&record.image).is_some()
            });
            let Some(record) = record else {
                return Ok(false);
            };
            let mut image = record.image.clone();
            image.damaged_since = is_damaged.then(now);
            self.registry.replace(image, record.version).await?;
            Ok(true)
        });
        match (marked.await?, is_damaged) {
            (true, true) => tracing::error!(
                image_id = %id,
                "the data of an image do not match its checksum: it is not served until its \
                 file is repaired or the image deleted"
            ),
            (true, false) => tracing::info!(
                image_id = %id,
                "the data of an image match their checksum again: it is served"
            ),
            (false, _) => {}
        }
        Ok(())
    }
}

/// Compares all cached images. What is wrong is dropped, and fetched again.
async fn compare_cache(cache: &Cache, read_rate: &mut ReadRate) {
    for kept in cache.cached_files() {
        if read_rate.is_ended() || cache.is_retired() {
            return;
        }
        let image_id = kept.image();
        match is_wrong(cache, &kept, read_rate) {
            Ok(None) => {}
            Ok(Some(false)) => metrics::count_verification(VerifiedCopy::Cached, "right"),
            Ok(Some(true)) => {
                metrics::count_verification(VerifiedCopy::Cached, "wrong");
                tracing::error!(
                    %image_id,
                    "a cached image does not match its checksum: it is dropped and fetched again"
                );
                cache.drop_corrupt(&kept);
                if let Err(error) = cache.queue().add(image_id).await {
                    tracing::warn!(%image_id, ?error, "a dropped image cannot be queued");
                }
            }
            Err(_) if read_rate.is_ended() => return,
            Err(error) => {
                metrics::count_verification(VerifiedCopy::Cached, "failed");
                tracing::error!(%image_id, %error, "a cached image cannot be read");
            }
        }
    }
}

/// Whether a cached image is wrong, twice; `None` when it is kept no longer.
fn is_wrong(
    cache: &Cache,
    kept: &CachedFile,
    read_rate: &mut ReadRate,
) -> io::Result<Option<bool>> {
    for _ in 0..2 {
        let Some(file) = cache.open_cached_file(kept)? else {
            return Ok(None);
        };
        if paced_digest(&file, read_rate)? == kept.digest() {
            return Ok(Some(false));
        }
    }
    Ok(Some(true))
}

fn digest_of(payload: &Payload, read_rate: &mut ReadRate) -> io::Result<Md5Digest> {
    match payload {
        Payload::File(slice) => paced_digest(&slice.file, read_rate),
        Payload::Bytes(bytes) => {
            read_rate.after_bytes(bytes.len())?;
            metrics::count_verified_bytes(bytes.len());
            Ok(Md5::digest(bytes))
        }
        Payload::Empty => Ok(Md5::digest(&[])),
        Payload::Partial(_) | Payload::Remote(_) | Payload::Text(_) => {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

fn paced_digest(file: &File, read_rate: &mut ReadRate) -> io::Result<Md5Digest> {
    digest_of_file(file, |bytes| {
        metrics::count_verified_bytes(bytes);
        read_rate.after_bytes(bytes)
    })
}

fn stamp_of(payload: &Payload) -> Option<Stamp> {
    match payload {
        Payload::File(slice) => slice.file.metadata().ok().map(|file| Stamp::of(&file)),
        _ => None,
    }
}
