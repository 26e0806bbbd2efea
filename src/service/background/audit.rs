//! One pass of the auditor over the images of this node and its cache.
//!
//! An image whose data do not match their MD5 is marked as damaged in its record, and no server
//! serves it until its data match again. A cached image that does not match is removed and fetched
//! again.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::maintenance::Maintenance;
use super::read_rate::ReadRate;
use crate::cache::{Cache, CachedFile};
use crate::error::{Error, Result};
use crate::image::{Checksum, Image, ImageData, ImageId, Md5Digest, Query, Status};
use crate::md5::Md5;
use crate::metrics::{self, VerifiedCopy};
use crate::service::clock::now;
use crate::service::modify::modify;
use crate::store::ObjectRange;
use crate::transfer::{Payload, digest_of_file};

/// The state between two passes.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Damaged images, with the state of the file that was compared.
    damaged: HashMap<ImageId, Option<Stamp>>,
    /// True once the marks of earlier processes are loaded.
    has_loaded_marks: bool,
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
    /// The image is deleted, has no data on this node, or has no MD5.
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
    /// Compares all images of this node.
    pub(super) async fn run_pass(&mut self, service: &Maintenance, read_rate: &mut ReadRate) {
        let images = match service.auditable_images().await {
            Ok(images) => images,
            Err(error) => {
                tracing::warn!(?error, "audit pass skipped: cannot list images");
                return;
            }
        };
        self.load_marks(&images);
        for (id, _) in &images {
            // Checked before each image, because one read can take minutes. Marks must not be based
            // on records that may be out of date.
            if read_rate.is_ended() || !service.registry.is_current() {
                return;
            }
            self.compare(service, id, read_rate).await;
        }
        if let Some(cache) = &service.cache {
            compare_cache(cache, read_rate).await;
        }
        if !read_rate.is_ended() {
            metrics::verification_finished();
        }
    }

    /// Compares damaged images again if their files have changed.
    pub(super) async fn recheck(&mut self, service: &Maintenance, read_rate: &mut ReadRate) {
        let damaged: Vec<_> = self
            .damaged
            .iter()
            .map(|(id, stamp)| (*id, *stamp))
            .collect();
        for (id, known) in damaged {
            // The state of the file is cheap to read. It avoids reading all the data every time.
            let stamp = service.stamp_of(&id).await;
            if known.is_none() || stamp != known {
                self.compare(service, &id, read_rate).await;
            }
        }
    }

    /// Adds the images that an earlier process or another server has marked as damaged.
    fn load_marks(&mut self, images: &[(ImageId, bool)]) {
        // Only once: later marks of this process are in `damaged` with the state of their files,
        // which a reload of the marks would discard.
        if !std::mem::replace(&mut self.has_loaded_marks, true) {
            let marked = images.iter().filter(|(_, is_marked)| *is_marked);
            self.damaged.extend(marked.map(|(id, _)| (*id, None)));
            metrics::set_damaged_images(self.damaged.len());
        }
    }

    async fn compare(&mut self, service: &Maintenance, id: &ImageId, read_rate: &mut ReadRate) {
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
            tracing::error!(image_id = %id, ?error, "cannot compare the data of an image");
        }
    }
}

impl Maintenance {
    /// Returns the images whose data are files of this node and have an MD5, each with true if it
    /// is marked as damaged.
    async fn auditable_images(&self) -> Result<Vec<(ImageId, bool)>> {
        let records = self.registry.list(&Query::everything(usize::MAX)).await?;
        let images = records.iter().map(|record| &record.image);
        let images = images.filter(|image| self.local_data(image).is_some());
        Ok(images
            .map(|image| (image.id, image.damaged_since.is_some()))
            .collect())
    }

    /// Returns the data and MD5 of an image whose data are files of this node.
    fn local_data<'a>(&self, image: &'a Image) -> Option<(&'a ImageData, Md5Digest)> {
        let is_kept = matches!(image.status, Status::Active | Status::Deactivated);
        let data = image.data.as_ref().filter(|_| is_kept)?;
        let digest = data.checksum.as_ref().and_then(Checksum::digest)?;
        let store = self.stores.for_location(data.location()).ok()?;
        store.is_local().then_some((data, digest))
    }

    /// Reads the data of an image and compares them with their MD5. Reads them a second time if
    /// they differ, because the first read may have been faulty.
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

    /// Returns the state of an image's file; `None` if it is unknown.
    async fn stamp_of(&self, id: &ImageId) -> Option<Stamp> {
        let record = self.registry.get(id).await.ok()??;
        let (data, _) = self.local_data(&record.image)?;
        stamp_of(&self.payload_of(data).await.ok()?)
    }

    /// Sets or clears the damage mark in the record of an image, unless the record has it already.
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
                "image data do not match the checksum: the image is not served until its file is \
                 repaired or the image is deleted"
            ),
            (true, false) => tracing::info!(
                image_id = %id,
                "image data match the checksum again: the image is served"
            ),
            (false, _) => {}
        }
        Ok(())
    }
}

/// Compares all cached images. Removes and queues again those that do not match.
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
                    "cached image does not match its checksum: removed and queued for another fetch"
                );
                cache.drop_corrupt(&kept);
                if let Err(error) = cache.queue().add(image_id).await {
                    tracing::warn!(%image_id, ?error, "cannot queue a removed image");
                }
            }
            Err(_) if read_rate.is_ended() => return,
            Err(error) => {
                metrics::count_verification(VerifiedCopy::Cached, "failed");
                tracing::error!(%image_id, %error, "cannot read a cached image");
            }
        }
    }
}

/// Returns true if a cached image differs from its MD5 in two reads; `None` if it is no longer
/// cached.
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
