//! The store alone.

use std::future::Future;
use std::net::TcpListener;
use std::rc::Rc;

use bytes::Bytes;
use glance::config::Secret;
use glance::error::{Kind, Result};
use glance::image::{ImageId, Location, Timestamp, Upload};
use glance::md5::HashEngine;
use glance::store::{Checksums, ObjectRange, S3Store, S3StoreOptions, Store, conformance};
use glance::transfer::Payload;
use glance::transfer::disk::probe_uring;
use uuid::Uuid;

use super::{Bucket, MIB};
use crate::support::{PATIENCE, pattern};

/// The size of an upload's chunks.
const PIECE_BYTES: usize = 256 * 1024;

/// Runs on a worker like those of the `threads` engine.
fn on_worker(future: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future);
}

fn store(options: S3StoreOptions) -> S3Store {
    S3Store::new(options, HashEngine::start(1).unwrap()).unwrap()
}

/// Asserts that neither the bucket nor its multipart uploads have anything left.
fn assert_empty(bucket: &Bucket) {
    let contents = bucket.contents();
    assert!(contents.objects.is_empty(), "{contents:?}");
    assert!(contents.uploads.is_empty(), "{contents:?}");
}

#[test]
fn conforms_on_a_worker_of_threads() {
    let bucket = Bucket::new("conforms");
    on_worker(conformance::all(&store(bucket.options())));
    assert_empty(&bucket);
}

#[test]
fn conforms_on_a_worker_of_uring() {
    if let Err(refused) = probe_uring() {
        println!("skipped: {refused}, and the node runs its other engine");
        return;
    }
    let bucket = Bucket::new("conforms");
    tokio_uring::start(conformance::all(&store(bucket.options())));
    assert_empty(&bucket);
}

#[test]
fn conforms_with_all_checksums() {
    let bucket = Bucket::new("conforms");
    let checksums = Checksums::WhenSupported;
    let options = S3StoreOptions {
        checksums,
        ..bucket.options()
    };
    on_worker(conformance::all(&store(options)));
    assert_empty(&bucket);
}

fn upload() -> (ImageId, Upload) {
    let upload = Upload {
        id: Uuid::new_v4(),
        store: "s3".to_owned(),
        started_at: Timestamp::from_micros(0),
        reserved_bytes: 0,
        node: None,
        process: None,
        on_failure: Default::default(),
    };
    (ImageId::random(), upload)
}

async fn put(store: &S3Store, data: &Bytes, is_known: bool) -> Location {
    let (image, upload) = upload();
    let hint = is_known.then_some(data.len() as u64);
    let mut writer = store.create(&image, &upload, hint).await.unwrap();
    for at in (0..data.len()).step_by(PIECE_BYTES) {
        let end = data.len().min(at + PIECE_BYTES);
        writer.write(data.slice(at..end)).await.unwrap();
    }
    writer.commit().await.unwrap()
}

async fn read(store: &S3Store, location: &Location, object_bytes: u64) -> Result<Vec<u8>> {
    let wanted = ObjectRange {
        offset: 0,
        len: object_bytes,
        object_bytes,
    };
    let Payload::Remote(mut remote) = store.open(location, wanted).await? else {
        panic!("an object of S3 is remote");
    };
    let mut bytes = Vec::new();
    while let Some(more) = remote.next().await? {
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

#[test]
fn uploads_share_too_little_memory() {
    const UPLOADS: u64 = 24;
    let bucket = Bucket::new("tight");
    // Memory for two parts, while every upload has three. A part of known length is streamed
    // without memory; one of unknown length waits.
    let options = S3StoreOptions {
        upload_memory_bytes: 10 * MIB,
        ..bucket.options()
    };
    let store = Rc::new(store(options));
    on_worker(async move {
        let mut uploads = tokio::task::JoinSet::new();
        for number in 0..UPLOADS {
            let store = Rc::clone(&store);
            uploads.spawn_local(async move {
                let data = Bytes::from(pattern(11 * MIB as usize + 5, number));
                let location = put(&store, &data, number % 2 == 0).await;
                let size = data.len() as u64;
                assert!(read(&store, &location, size).await.unwrap() == data);
            });
        }
        while let Some(upload) = uploads.join_next().await {
            upload.expect("an upload that comes to its end");
        }
    });
}

#[test]
fn uploads_without_memory_conform() {
    for checksums in [Checksums::WhenRequired, Checksums::WhenSupported] {
        let bucket = Bucket::new("passed");
        let store = store(S3StoreOptions {
            upload_memory_bytes: 5 * MIB,
            checksums,
            ..bucket.options()
        });
        on_worker(async move {
            // The rest of the memory is for this upload of unknown length.
            let (image, upload) = upload();
            let mut hog = store.create(&image, &upload, None).await.unwrap();
            hog.write(Bytes::from(vec![0; 4 * MIB as usize]))
                .await
                .unwrap();
            for len in [1, 1_000_000, 11 * MIB as usize] {
                let data = Bytes::from(pattern(len, 1));
                let location = put(&store, &data, true).await;
                assert!(read(&store, &location, len as u64).await.unwrap() == data);
                store.delete(&location).await.unwrap();
            }
            // An upload that is dropped in the middle of a part.
            let (image, upload) = super::store::upload();
            let hint = Some(11 * MIB);
            let mut writer = store.create(&image, &upload, hint).await.unwrap();
            writer
                .write(Bytes::from(pattern(MIB as usize, 2)))
                .await
                .unwrap();
            writer.abort().await.unwrap();
            hog.abort().await.unwrap();
        });
        assert_empty(&bucket);
        assert_eq!(bucket.segments(), [""; 0]);
    }
}

/// Slow uploads of unknown length use only the memory of their received bytes.
#[test]
fn slow_uploads_of_unknown_length_do_not_delay_others() {
    let bucket = Bucket::new("slow");
    // Memory for two whole parts.
    let store = store(S3StoreOptions {
        upload_memory_bytes: 10 * MIB,
        ..bucket.options()
    });
    on_worker(async move {
        let mut slow = Vec::new();
        for _ in 0..8 {
            let (image, upload) = upload();
            let mut writer = store.create(&image, &upload, None).await.unwrap();
            writer.write(Bytes::from(vec![1; 2048])).await.unwrap();
            slow.push(writer);
        }
        let data = Bytes::from(pattern(11 * MIB as usize, 3));
        let fast = tokio::time::timeout(PATIENCE, put(&store, &data, false));
        let location = fast.await.expect("it waits for nobody");
        let size = data.len() as u64;
        assert!(read(&store, &location, size).await.unwrap() == data);
        store.delete(&location).await.unwrap();
        for mut writer in slow {
            writer.write(Bytes::from(vec![2; 2048])).await.unwrap();
            let location = writer.commit().await.unwrap();
            assert_eq!(store.size(&location).await.unwrap(), 4096);
            store.delete(&location).await.unwrap();
        }
    });
    assert_empty(&bucket);
}

#[test]
fn locations_of_glance_are_read_with_their_own_keys() {
    let bucket = Bucket::new("legacy");
    let own = store(bucket.options());
    // The configured keys have no access to the other account's objects.
    let foreign = store(S3StoreOptions {
        access_key: Secret::new(bucket.service.other.user.as_str()),
        secret_key: Secret::new(bucket.service.other.key.as_str()),
        ..bucket.options()
    });
    on_worker(async move {
        let data = Bytes::from(pattern(1_000_000, 1));
        let location = put(&own, &data, true).await;
        let path = location.expose_rest().trim_start_matches("//").to_owned();
        for uri in [
            format!("s3://test%3Atester:testing@{path}"),
            format!("s3+http://test%3Atester:test%69ng@{path}"),
        ] {
            let location = Location::parse(&uri).unwrap();
            assert_eq!(foreign.size(&location).await.unwrap(), 1_000_000);
            assert!(read(&foreign, &location, 1_000_000).await.unwrap() == data);
        }
        let wrong = format!("s3://test%3Atester:CANARY@{path}");
        let error = read(&foreign, &Location::parse(&wrong).unwrap(), 1_000_000).await;
        let error = error.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unavailable { .. }));
        let cause = error.cause().unwrap();
        assert!(cause.contains("SignatureDoesNotMatch"), "{cause}");
        assert!(!format!("{error:?}").contains("CANARY"));

        let with_keys = format!("s3://test%3Atester:testing@{path}");
        foreign
            .delete(&Location::parse(&with_keys).unwrap())
            .await
            .unwrap();
        let gone = own.size(&location).await.unwrap_err();
        assert_eq!(gone.kind(), Kind::NotFound);
    });
}

#[test]
fn configured_keys_are_sent_to_no_other_host() {
    let bucket = Bucket::new("foreign");
    let store = store(bucket.options());
    // No connection may arrive here, since it would carry the keys.
    let tripwire = TcpListener::bind("127.0.0.1:0").unwrap();
    tripwire.set_nonblocking(true).unwrap();
    let uri = format!("s3://{}/b/k", tripwire.local_addr().unwrap());
    on_worker(async move {
        let location = Location::parse(&uri).unwrap();
        for error in [
            store.size(&location).await.unwrap_err(),
            store.delete(&location).await.unwrap_err(),
            read(&store, &location, 1).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Internal);
        }
    });
    assert!(tripwire.accept().is_err());
}

#[test]
fn an_image_that_s3_cannot_hold_is_refused_at_once_and_no_other() {
    let bucket = Bucket::new("too-large");
    let store = store(bucket.options());
    on_worker(async move {
        let (image, upload) = upload();
        let created = store.create(&image, &upload, Some(1 << 50)).await;
        assert_eq!(created.err().unwrap().kind(), Kind::TooLarge);
        // Parts of such an image are larger than the memory, so they are streamed.
        for size_bytes in [1 << 40, 40 << 40] {
            let created = store.create(&image, &upload, Some(size_bytes)).await;
            created.unwrap().abort().await.unwrap();
        }
    });
}
