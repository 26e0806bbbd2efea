//! Conformance tests that every store must pass, as functions over the [`Store`] trait.
//!
//! The unit tests of the file store and the integration tests of the other stores call them.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use uuid::Uuid;

use super::{ObjectRange, Store, StoredEntry, StoredKey};
use crate::error::Kind;
use crate::image::{ImageId, Location, Timestamp, Upload};
use crate::transfer::{BlockPool, Payload};

/// Listings are eventually consistent. They are polled for up to 20 s.
const MAX_POLLS: u32 = 200;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Tests a store that stores images.
pub async fn all(store: &dyn Store) {
    committed_data_are_readable(store).await;
    ranges_are_exact(store).await;
    abort_removes_the_data(store).await;
    drop_and_discard_remove_the_data(store).await;
    discard_removes_committed_data_of_its_upload(store).await;
    delete_succeeds_if_the_object_is_missing(store).await;
    open_fails_if_the_size_differs(store).await;
    data_of_another_upload_are_neither_replaced_nor_removed(store).await;
    entries_are_listed(store).await;
}

/// Tests a store that only reads. `object` must have the bytes `data`, at least two; `missing` must
/// not exist.
pub async fn reads(store: &dyn Store, object: &Location, data: &[u8], missing: &Location) {
    let len = data.len();
    assert_eq!(store.size(object).await.unwrap(), len as u64);
    for (from, to) in [
        (0, len),
        (0, 1),
        (1, len),
        (len - 1, len),
        (len / 3, len / 2),
    ] {
        let wanted = ObjectRange {
            offset: from as u64,
            len: (to - from) as u64,
            object_bytes: len as u64,
        };
        assert!(read(store, object, wanted).await == data[from..to]);
    }
    for wrong in [len - 1, len + 1] {
        let wrong = store.open(object, whole(wrong)).await;
        assert_eq!(wrong.err().map(|error| error.kind()), Some(Kind::Internal));
    }
    let kinds = [
        store.size(missing).await.err(),
        store.open(missing, whole(len)).await.err(),
    ];
    let kinds = kinds.map(|error| error.map(|error| error.kind()));
    assert_eq!(kinds, [Some(Kind::NotFound); 2]);
    let (image, upload) = upload(store);
    let refused = store.create(&image, &upload, None).await.err();
    assert_eq!(refused.map(|error| error.kind()), Some(Kind::StoreReadOnly));
    store.discard(&image, &upload).await.unwrap();
    store.delete(object).await.unwrap();
    assert!(read(store, object, whole(len)).await == data);
}

fn upload(store: &dyn Store) -> (ImageId, Upload) {
    let upload = Upload {
        id: Uuid::new_v4(),
        store: store.schemes()[0].to_owned(),
        started_at: Timestamp::from_micros(0),
        reserved_bytes: 0,
        node: None,
        process: None,
        on_failure: Default::default(),
    };
    (ImageId::random(), upload)
}

/// Returns bytes whose order can be verified.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|position| (position / 7 % 251) as u8)
        .collect()
}

async fn put(store: &dyn Store, data: &[u8]) -> Location {
    let (image, upload) = upload(store);
    put_as(store, &image, &upload, data).await
}

async fn put_as(store: &dyn Store, image: &ImageId, upload: &Upload, data: &[u8]) -> Location {
    let hint = Some(data.len() as u64);
    let mut writer = store.create(image, upload, hint).await.unwrap();
    let pool = BlockPool::new(2);
    let mut rest = data;
    while !rest.is_empty() {
        let mut block = pool.take();
        rest = block.fill(rest);
        writer.write(block.freeze()).await.unwrap();
    }
    writer.commit().await.unwrap()
}

fn whole(len: usize) -> ObjectRange {
    ObjectRange {
        offset: 0,
        len: len as u64,
        object_bytes: len as u64,
    }
}

/// Reads a whole object of `len` bytes.
pub async fn read_whole(store: &dyn Store, location: &Location, len: usize) -> Vec<u8> {
    read(store, location, whole(len)).await
}

async fn read(store: &dyn Store, location: &Location, wanted: ObjectRange) -> Vec<u8> {
    match store.open(location, wanted).await.unwrap() {
        Payload::Empty => Vec::new(),
        Payload::Bytes(bytes) => bytes.to_vec(),
        Payload::File(slice) => {
            let mut bytes = vec![0; slice.len as usize];
            slice.file.read_exact_at(&mut bytes, slice.offset).unwrap();
            bytes
        }
        Payload::Partial(_) | Payload::Text(_) => panic!("a store returned a partial file"),
        Payload::Remote(mut remote) => {
            let mut bytes = Vec::new();
            while let Some(more) = remote.next().await.unwrap() {
                bytes.extend_from_slice(&more);
            }
            bytes
        }
    }
}

async fn committed_data_are_readable(store: &dyn Store) {
    for len in [0, 1, 4095, 4096, 16_385, 300_000, 9 << 20, (9 << 20) + 1] {
        let data = pattern(len);
        let location = put(store, &data).await;
        assert_eq!(store.size(&location).await.unwrap(), len as u64);
        assert!(read(store, &location, whole(len)).await == data, "{len}");
        store.delete(&location).await.unwrap();
    }
}

async fn ranges_are_exact(store: &dyn Store) {
    let data = pattern(1_000_000);
    let location = put(store, &data).await;
    for (offset, len) in [(0, 1), (1, 5000), (999_999, 1), (123_456, 700_000)] {
        let wanted = ObjectRange {
            offset,
            len,
            object_bytes: 1_000_000,
        };
        let part = &data[offset as usize..(offset + len) as usize];
        assert!(read(store, &location, wanted).await == part);
    }
    store.delete(&location).await.unwrap();
}

async fn abort_removes_the_data(store: &dyn Store) {
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    writer.abort().await.unwrap();
    // The same upload can start again, which fails if anything is left.
    let writer = store.create(&image, &upload, None).await.unwrap();
    writer.abort().await.unwrap();
}

async fn drop_and_discard_remove_the_data(store: &dyn Store) {
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    drop(writer);
    store.discard(&image, &upload).await.unwrap();
}

async fn discard_removes_committed_data_of_its_upload(store: &dyn Store) {
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    let location = writer.commit().await.unwrap();
    store.discard(&image, &upload).await.unwrap();
    let gone = store.open(&location, whole(3)).await;
    assert_eq!(gone.err().map(|error| error.kind()), Some(Kind::NotFound));
}

async fn delete_succeeds_if_the_object_is_missing(store: &dyn Store) {
    let location = put(store, b"abc").await;
    store.delete(&location).await.unwrap();
    store.delete(&location).await.unwrap();
    let gone = store.open(&location, whole(3)).await;
    assert_eq!(gone.err().map(|error| error.kind()), Some(Kind::NotFound));
}

async fn open_fails_if_the_size_differs(store: &dyn Store) {
    let location = put(store, b"abc").await;
    for len in [2, 4] {
        let wrong = store.open(&location, whole(len)).await;
        assert_eq!(wrong.err().map(|error| error.kind()), Some(Kind::Internal));
    }
    store.delete(&location).await.unwrap();
}

/// After a registry was lost or restored from a backup, an upload may meet data of its image that
/// it did not write.
async fn data_of_another_upload_are_neither_replaced_nor_removed(store: &dyn Store) {
    for len in [3, 9 << 20] {
        let data = pattern(len);
        let (image, first) = upload(store);
        let (_, second) = upload(store);
        let location = put_as(store, &image, &first, &data).await;
        let upper = image.as_str().to_ascii_uppercase().parse().unwrap();
        for image in [image, upper] {
            for hint in [Some(3), Some(9 << 20), None] {
                let refused = store.create(&image, &second, hint).await.err();
                assert_eq!(refused.map(|error| error.kind()), Some(Kind::Conflict));
            }
            store.discard(&image, &second).await.unwrap();
        }
        assert!(read(store, &location, whole(len)).await == data, "{len}");
        store.discard(&image, &first).await.unwrap();
        let gone = store.open(&location, whole(len)).await;
        assert_eq!(gone.err().map(|error| error.kind()), Some(Kind::NotFound));
    }
}

/// Waits until a removed entry has disappeared from the listing.
async fn assert_unlisted(
    entry_of: &impl AsyncFn(StoredKey) -> Option<StoredEntry>,
    key: StoredKey,
) {
    for _ in 0..MAX_POLLS {
        if entry_of(key).await.is_none() {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
    assert_eq!(entry_of(key).await, None);
}

/// Tests the listing of stores that have one: complete objects with and without parts, and
/// unfinished uploads.
async fn entries_are_listed(store: &dyn Store) {
    let entry_of = async |key: StoredKey| -> Option<StoredEntry> {
        let all = store.list_entries().await.unwrap()?;
        let mut entries = all.into_iter().filter(|stored| stored.key == key);
        let entry = entries.next();
        assert!(entries.next().is_none(), "the entry is listed twice");
        entry
    };
    if store.list_entries().await.unwrap().is_none() {
        return;
    }
    for len in [3, 9 << 20] {
        let (image, upload) = upload(store);
        let data = pattern(len);
        let mut writer = store
            .create(&image, &upload, Some(len as u64))
            .await
            .unwrap();
        for piece in data.chunks(1 << 20) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writer.commit().await.unwrap();
        let key = StoredKey::Image(image);
        let mut entry = entry_of(key).await;
        for _ in 0..MAX_POLLS {
            if entry.is_some_and(|entry| entry.size_bytes >= len as u64) {
                break;
            }
            sleep(POLL_INTERVAL).await;
            entry = entry_of(key).await;
        }
        let entry = entry.expect("the entry is listed");
        assert!(entry.size_bytes >= len as u64, "{entry:?}");
        let since_2020 = Timestamp::parse("2020-01-01");
        assert!(entry.written_at > since_2020, "{entry:?}");
        store.discard_entry(&entry.key).await.unwrap();
        assert_unlisted(&entry_of, key).await;
        store.discard_entry(&entry.key).await.unwrap();
    }
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    for _ in 0..9 {
        let piece = Bytes::from(vec![7; 1 << 20]);
        writer.write(piece).await.unwrap();
    }
    // A crash would leave this state.
    let left = store.list_entries().await.unwrap().unwrap_or_default();
    let keys = [StoredKey::Image(image), StoredKey::Upload(upload.id)];
    let left: Vec<_> = left
        .into_iter()
        .filter(|stored| keys.contains(&stored.key))
        .collect();
    assert!(left.len() <= 1, "{left:?}");
    drop(writer);
    store.discard(&image, &upload).await.unwrap();
    for key in keys {
        assert_unlisted(&entry_of, key).await;
    }
}
