//! The objects of an image, as seen directly in Swift.

use bytes::Bytes;
use glance::config::SwiftManifest;
use glance::error::Kind;
use glance::image::{Checksum, Location};
use glance::store::{Store, SwiftOptions};

use super::{Look, MIB, an_upload, by_v1, on_worker, options, put, read, store, write};
use crate::support::backends::swift::{Swift, SwiftHandle};
use crate::support::{md5_hex, pattern};

fn of(swift: &SwiftHandle, manifest: SwiftManifest) -> SwiftOptions {
    SwiftOptions {
        manifest,
        ..options(by_v1(&swift.auth_url, &swift.account))
    }
}

/// Returns the names of an image's segments and of the image itself.
fn names_of(id: &str, segments: u32) -> Vec<String> {
    let segments = (1..=segments).map(|number| format!("{id}-{number:05}"));
    std::iter::once(id.to_owned()).chain(segments).collect()
}

#[test]
fn small_image_is_one_object() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = of(swift, SwiftManifest::Auto);
    let store = store(&options);
    on_worker(async {
        let data = pattern(4 * MIB as usize - 1, 1);
        let (image, location) = put(&store, &data, true).await;
        assert_eq!(look.names(&options.container), [image.as_str()]);
        let object = look.ask("HEAD", &format!("/{}/{image}", options.container));
        assert_eq!(object.header("etag"), Some(&*md5_hex(&data)));
        assert_eq!(
            object.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(location.scheme(), "swift+config");
        let rest = format!("//ref1/{}/{image}", options.container);
        assert_eq!(location.expose_rest(), rest);
        assert!(read(&store, &location, data.len()).await == data);
        store.delete(&location).await.unwrap();
        assert_eq!(look.names(&options.container), [""; 0]);
    });
}

/// Both kinds of manifests, with and without known length, have the same segments and bytes and
/// leave nothing.
#[test]
fn large_image_is_segmented() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    for (manifest, is_length_known) in [
        (SwiftManifest::Dynamic, true),
        (SwiftManifest::Dynamic, false),
        (SwiftManifest::Static, true),
        (SwiftManifest::Static, false),
    ] {
        let options = of(swift, manifest);
        let store = store(&options);
        let data = pattern(4 * MIB as usize + 77_777, 2);
        on_worker(async {
            let (image, location) = put(&store, &data, is_length_known).await;
            assert_eq!(look.names(&options.container), names_of(image.as_str(), 5));
            let object = look.ask("HEAD", &format!("/{}/{image}", options.container));
            let is_static = manifest == SwiftManifest::Static;
            assert_eq!(object.header("x-static-large-object").is_some(), is_static);
            let prefix = format!("{}/{image}-", options.container);
            let dynamic = (!is_static).then_some(&*prefix);
            assert_eq!(object.header("x-object-manifest"), dynamic);
            assert!(read(&store, &location, data.len()).await == data);
            store.delete(&location).await.unwrap();
            assert_eq!(look.names(&options.container), [""; 0]);
        });
    }
}

#[test]
fn segment_boundaries_are_exact() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = SwiftOptions {
        large_object_bytes: MIB,
        ..of(swift, SwiftManifest::Auto)
    };
    let store = store(&options);
    on_worker(async {
        for (segments, is_length_known) in [(1, true), (1, false), (2, true), (2, false)] {
            let data = pattern(segments as usize * MIB as usize, 3);
            let (image, location) = put(&store, &data, is_length_known).await;
            assert_eq!(
                look.names(&options.container),
                names_of(image.as_str(), segments)
            );
            assert!(read(&store, &location, data.len()).await == data);
            store.delete(&location).await.unwrap();
        }
    });
}

#[test]
fn empty_image_of_unknown_length_is_one_object() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = of(swift, SwiftManifest::Auto);
    let store = store(&options);
    on_worker(async {
        let (image, location) = put(&store, b"", false).await;
        assert_eq!(look.names(&options.container), [image.as_str()]);
        assert_eq!(store.size(&location).await.unwrap(), 0);
        store.delete(&location).await.unwrap();
    });
}

#[test]
fn seed_selects_the_container() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = SwiftOptions {
        containers_seed: 2,
        ..of(swift, SwiftManifest::Auto)
    };
    let store = store(&options);
    on_worker(async {
        let (image, location) = put(&store, &pattern(5 * MIB as usize, 4), true).await;
        let container = format!("{}_{}", options.container, &image.as_str()[..2]);
        assert_eq!(look.names(&container).len(), 6);
        let (image, upload) = an_upload();
        let writer = store.create(&image, &upload, Some(1)).await.unwrap();
        writer.abort().await.unwrap();
        store.delete(&location).await.unwrap();
        assert_eq!(look.names(&container), [""; 0]);
    });
}

#[test]
fn container_is_created_only_if_configured() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = SwiftOptions {
        make_container: false,
        ..of(swift, SwiftManifest::Auto)
    };
    let store = store(&options);
    on_worker(async {
        for hint in [Some(3), Some(0), None] {
            let (image, upload) = an_upload();
            let created = match store.create(&image, &upload, hint).await {
                Ok(writer) => writer.commit().await.map(|_| ()),
                Err(error) => Err(error),
            };
            let error = created.expect_err("no container");
            assert!(
                matches!(error.kind(), Kind::Unavailable { .. }),
                "{error:?}"
            );
            let cause = error.cause().unwrap();
            assert!(
                cause.contains("swift_store_create_container_on_put"),
                "{cause}"
            );
        }
    });
    assert_eq!(
        look.ask("HEAD", &format!("/{}", options.container)).status,
        404
    );
}

#[test]
fn image_with_too_many_segments_is_refused_at_once() {
    let swift = Swift::shared();
    let options = SwiftOptions {
        large_object_bytes: 1 << 40,
        ..of(swift, SwiftManifest::Auto)
    };
    let store = store(&options);
    on_worker(async {
        let (image, upload) = an_upload();
        let hint = Some(swift.max_object_bytes + 1);
        let refused = store.create(&image, &upload, hint).await;
        assert_eq!(
            refused.err().map(|error| error.kind()),
            Some(Kind::TooLarge)
        );
    });
    let many = SwiftOptions {
        segment_bytes: 1,
        large_object_bytes: 1,
        ..of(swift, SwiftManifest::Auto)
    };
    on_worker(async {
        let (image, upload) = an_upload();
        let refused = super::store(&many)
            .create(&image, &upload, Some(100_000))
            .await;
        assert_eq!(
            refused.err().map(|error| error.kind()),
            Some(Kind::TooLarge)
        );
    });
}

/// Aborts in the middle of a segment, between two segments, and after the last byte.
#[test]
fn abort_removes_all_objects() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    for (hint, sent) in [
        (Some(3 * MIB), 3 * MIB),
        (Some(3 * MIB), MIB),
        (Some(8 * MIB), 0),
        (Some(8 * MIB), 2 * MIB),
        (Some(8 * MIB), 8 * MIB),
        (None, 2 * MIB + 5),
        (None, 3 * MIB),
    ] {
        let options = of(swift, SwiftManifest::Auto);
        let store = store(&options);
        on_worker(async {
            let (image, upload) = an_upload();
            let mut writer = store.create(&image, &upload, hint).await.unwrap();
            write(&mut *writer, &pattern(sent as usize, 5))
                .await
                .unwrap();
            writer.abort().await.unwrap();
            assert_eq!(look.names(&options.container), [""; 0], "{hint:?} {sent}");
        });
    }
}

/// A dropped writer cleans up in the background; `discard` removes the rest.
#[test]
fn drop_removes_all_objects_in_the_background() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = of(swift, SwiftManifest::Auto);
    let store = store(&options);
    on_worker(async {
        let (image, upload) = an_upload();
        let mut writer = store.create(&image, &upload, None).await.unwrap();
        write(&mut *writer, &pattern(3 * MIB as usize, 6))
            .await
            .unwrap();
        assert!(!look.names(&options.container).is_empty());
        drop(writer);
        for _ in 0..200 {
            if look.names(&options.container).is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{:?}", look.names(&options.container));
    });
}

/// The process ends during an upload, and leaves objects with the names of the image.
#[test]
fn discard_removes_the_objects_of_a_dead_process() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = of(swift, SwiftManifest::Auto);
    let (image, upload) = an_upload();
    let (other, _) = an_upload();
    let store = store(&options);
    // The runtime ends together with the writer, so nothing is removed in the background.
    on_worker(async {
        put(&store, b"of another image", true).await;
        let mut writer = store.create(&image, &upload, None).await.unwrap();
        write(&mut *writer, &pattern(3 * MIB as usize, 7))
            .await
            .unwrap();
        std::mem::forget(writer);
    });
    assert!(look.names(&options.container).len() >= 3);
    on_worker(async {
        store.discard(&image, &upload).await.unwrap();
        store.discard(&other, &upload).await.unwrap();
    });
    assert_eq!(look.names(&options.container).len(), 1);
}

/// An existing segment belongs to another upload and is neither replaced nor removed.
#[test]
fn segment_of_another_upload_is_left_alone() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = of(swift, SwiftManifest::Auto);
    let store = store(&options);
    let (image, upload) = an_upload();
    let segment = format!("/{}/{image}-00002", options.container);
    look.ask("PUT", &format!("/{}", options.container))
        .expect(201);
    look.put(&segment, b"of another upload");
    on_worker(async {
        let mut writer = store.create(&image, &upload, None).await.unwrap();
        let refused = write(&mut *writer, &pattern(3 * MIB as usize, 9)).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Conflict);
        writer.abort().await.unwrap();
        store.discard(&image, &upload).await.unwrap();
    });
    assert_eq!(look.names(&options.container), [format!("{image}-00002")]);
    assert_eq!(
        look.ask("GET", &segment).expect(200).text(),
        "of another upload"
    );
}

/// Data of another length than announced create no object.
#[test]
fn data_of_another_length_than_announced_fail() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    for announced in [MIB, 5 * MIB] {
        for sent in [announced - 1, announced + 1] {
            let options = of(swift, SwiftManifest::Auto);
            let store = store(&options);
            on_worker(async {
                let (image, upload) = an_upload();
                let hint = Some(announced);
                let mut writer = store.create(&image, &upload, hint).await.unwrap();
                write(&mut *writer, &pattern(sent as usize, 8))
                    .await
                    .unwrap();
                assert!(writer.commit().await.is_err());
                store.discard(&image, &upload).await.unwrap();
            });
            assert_eq!(look.names(&options.container), [""; 0]);
        }
    }
}

#[test]
fn the_md5_of_an_object_is_compared() {
    let swift = Swift::shared();
    let store = store(&of(swift, SwiftManifest::Auto));
    on_worker(async {
        for (told, is_right) in [(b"right", true), (b"wrong", false)] {
            let (image, upload) = an_upload();
            let mut writer = store.create(&image, &upload, Some(5)).await.unwrap();
            writer.write(Bytes::from_static(b"right")).await.unwrap();
            writer.expect(&Checksum::stated(&md5_hex(told)).unwrap());
            assert_eq!(writer.commit().await.is_ok(), is_right);
            store.discard(&image, &upload).await.unwrap();
        }
    });
}

/// Objects of other programs, as in a migrated registry.
#[test]
fn objects_of_other_programs_are_read_and_removed_whole() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    let options = of(swift, SwiftManifest::Auto);
    let store = store(&options);
    let elsewhere = format!("{}_segments", options.container);
    for container in [&options.container, &elsewhere] {
        look.ask("PUT", &format!("/{container}")).expect(201);
    }
    let chunk = [("Content-Length", "0")];
    look.ask_with("PUT", &format!("/{elsewhere}/a%20b/1"), &chunk)
        .expect(201);
    let manifest = format!("{elsewhere}/a%20b/");
    let manifest = [("X-Object-Manifest", &*manifest), ("Content-Length", "0")];
    look.ask_with("PUT", &format!("/{}/o%2520o", options.container), &manifest)
        .expect(201);
    let uri = format!("swift+config://ref1/{}/o%20o", options.container);
    let location = Location::parse(&uri).unwrap();
    on_worker(async {
        assert_eq!(store.size(&location).await.unwrap(), 0);
        store.delete(&location).await.unwrap();
    });
    assert_eq!(look.names(&options.container), [""; 0]);
    assert_eq!(look.names(&elsewhere), [""; 0]);
}
