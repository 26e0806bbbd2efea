//! What every store must do: plain functions over the trait.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use uuid::Uuid;

use super::{ObjectRange, Store, StoredEntry, StoredKey};
use crate::error::Kind;
use crate::image::{ImageId, Location, Timestamp, Upload};
use crate::transfer::{BlockPool, Payload};

/// Listings of a store may be behind by so many looks: 20 s.
const MOST_LOOKS: u32 = 200;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Every behaviour of a store that takes data.
pub async fn all(store: &dyn Store) {
    what_is_committed_is_there(store).await;
    ranges_are_exact(store).await;
    nothing_remains_of_an_abort(store).await;
    nothing_remains_of_a_drop(store).await;
    discard_removes_both_ends(store).await;
    deleting_twice_is_fine(store).await;
    a_wrong_size_is_no_image(store).await;
    what_another_upload_wrote_is_left_alone(store).await;
    it_tells_what_it_has(store).await;
}

/// Every behaviour of a store that only reads: an object that has these bytes, at least two,
/// and a location that has none.
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
    };
    (ImageId::random(), upload)
}

/// Bytes that tell when they are out of order.
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

/// All bytes of an object of this length.
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
        Payload::Partial(_) | Payload::Text(_) => panic!("a store's objects are whole"),
        Payload::Remote(mut remote) => {
            let mut bytes = Vec::new();
            while let Some(more) = remote.next().await.unwrap() {
                bytes.extend_from_slice(&more);
            }
            bytes
        }
    }
}

async fn what_is_committed_is_there(store: &dyn Store) {
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

async fn nothing_remains_of_an_abort(store: &dyn Store) {
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    writer.abort().await.unwrap();
    // The same upload could begin again, which it could not if anything were left.
    let writer = store.create(&image, &upload, None).await.unwrap();
    writer.abort().await.unwrap();
}

async fn nothing_remains_of_a_drop(store: &dyn Store) {
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    drop(writer);
    store.discard(&image, &upload).await.unwrap();
}

async fn discard_removes_both_ends(store: &dyn Store) {
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    writer.write(Bytes::from_static(b"abc")).await.unwrap();
    let location = writer.commit().await.unwrap();
    store.discard(&image, &upload).await.unwrap();
    let gone = store.open(&location, whole(3)).await;
    assert_eq!(gone.err().map(|error| error.kind()), Some(Kind::NotFound));
}

async fn deleting_twice_is_fine(store: &dyn Store) {
    let location = put(store, b"abc").await;
    store.delete(&location).await.unwrap();
    store.delete(&location).await.unwrap();
    let gone = store.open(&location, whole(3)).await;
    assert_eq!(gone.err().map(|error| error.kind()), Some(Kind::NotFound));
}

async fn a_wrong_size_is_no_image(store: &dyn Store) {
    let location = put(store, b"abc").await;
    for len in [2, 4] {
        let wrong = store.open(&location, whole(len)).await;
        assert_eq!(wrong.err().map(|error| error.kind()), Some(Kind::Internal));
    }
    store.delete(&location).await.unwrap();
}

/// As when a registry was restored from a copy, or lost: an upload that does not know of the
/// image's data neither replaces nor removes them.
async fn what_another_upload_wrote_is_left_alone(store: &dyn Store) {
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

/// What was removed is in no listing, when that is up to date.
async fn gone(entry_of: &impl AsyncFn(StoredKey) -> Option<StoredEntry>, of: StoredKey) {
    for _ in 0..MOST_LOOKS {
        if entry_of(of).await.is_none() {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
    assert_eq!(entry_of(of).await, None);
}

/// Of those that can tell: whole objects, those in parts too, and uploads that never ended.
async fn it_tells_what_it_has(store: &dyn Store) {
    let entry_of = async |of: StoredKey| -> Option<StoredEntry> {
        let all = store.list_entries().await.unwrap()?;
        let mut entries = all.into_iter().filter(|stored| stored.key == of);
        let entry = entries.next();
        assert!(entries.next().is_none(), "it is named twice");
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
        let of = StoredKey::Image(image);
        // A listing may be behind for a moment.
        let mut entry = entry_of(of).await;
        for _ in 0..MOST_LOOKS {
            if entry.is_some_and(|entry| entry.size_bytes >= len as u64) {
                break;
            }
            sleep(LOOK_EVERY).await;
            entry = entry_of(of).await;
        }
        let entry = entry.expect("it is there");
        assert!(entry.size_bytes >= len as u64, "{entry:?}");
        let since_2020 = Timestamp::parse("2020-01-01");
        assert!(entry.written_at > since_2020, "{entry:?}");
        store.discard_entry(&entry.key).await.unwrap();
        gone(&entry_of, of).await;
        store.discard_entry(&entry.key).await.unwrap();
    }
    let (image, upload) = upload(store);
    let mut writer = store.create(&image, &upload, None).await.unwrap();
    for _ in 0..9 {
        let piece = Bytes::from(vec![7; 1 << 20]);
        writer.write(piece).await.unwrap();
    }
    // As the end of the process would leave it.
    let left = store.list_entries().await.unwrap().unwrap_or_default();
    let of_either = [StoredKey::Image(image), StoredKey::Upload(upload.id)];
    let left: Vec<_> = left
        .into_iter()
        .filter(|stored| of_either.contains(&stored.key))
        .collect();
    assert!(left.len() <= 1, "{left:?}");
    drop(writer);
    store.discard(&image, &upload).await.unwrap();
    for of in of_either {
        gone(&entry_of, of).await;
    }
}
