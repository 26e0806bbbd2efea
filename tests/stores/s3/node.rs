//! The program with its images in S3.

use super::{Bucket, MIB};
use crate::support::eventually;
use crate::support::http::Request;
use crate::support::v1::{OCTETS, RAW, id_of, image_path, post_data};
use crate::support::{md5_hex, pattern};

/// A size of several parts, the last one odd.
const LARGE: usize = 17 * MIB as usize + 4_321;

/// POST of data without an announced length.
fn post_chunked(data: &[u8]) -> Request {
    let request = Request::post("/v1/images").headers(RAW).headers(&[OCTETS]);
    request.chunked(data.chunks(100_000))
}

#[test]
fn small_images_are_one_request_and_large_ones_multipart() {
    let bucket = Bucket::new("parts");
    let server = bucket.node().start();
    for (data, request, parts) in [
        (pattern(1, 1), false, 1),
        (pattern(MIB as usize, 2), false, 1),
        (pattern(LARGE, 3), false, 4),
        // Of unknown length, but ended before the first part was full.
        (pattern(3 * MIB as usize, 4), true, 1),
        (pattern(LARGE, 5), true, 4),
    ] {
        let request = match request {
            true => post_chunked(&data),
            false => post_data(&[], &data),
        };
        let id = id_of(&server.request(&request).expect(201));
        let contents = bucket.contents();
        let stored = &contents.objects[&id];
        assert_eq!((stored.size, stored.parts), (data.len() as u64, parts));
        assert!(contents.uploads.is_empty(), "{contents:?}");

        let answer = server.download(&id).expect(200);
        assert_eq!(
            answer.header("x-image-meta-checksum"),
            Some(&*md5_hex(&data))
        );
        assert!(answer.body == data);
        server.remove(&id).expect(200);
        eventually("the object is removed", || {
            bucket.contents().objects.is_empty().then_some(())
        });
    }
    assert_eq!(bucket.segments(), [""; 0]);
}

#[test]
fn ranges_are_requested_as_ranges() {
    let bucket = Bucket::new("ranges");
    let server = bucket.node().start();
    let data = pattern(LARGE, 6);
    let id = server.upload(&[], &data);
    for (first, last) in [
        (0, 0),
        (5_242_879, 5_242_880),
        (LARGE - 1, LARGE - 1),
        (1, LARGE - 1),
    ] {
        let range = format!("bytes={first}-{last}");
        let request = Request::get(&image_path(&id)).header("Range", range);
        let answer = server.request(&request).expect(206);
        assert!(answer.body == data[first..=last], "{first}-{last}");
    }
}

#[test]
fn locations_contain_no_keys_and_are_hidden() {
    let bucket = Bucket::new("canary").of_other_account();
    let server = bucket.node().option("debug", true).start();
    let id = server.upload(&[], &pattern(LARGE, 7));
    let secret = &bucket.account().key;
    let answers = [
        format!("{:?}", server.head(&id)),
        format!("{:?}", server.download(&id).headers),
        server.detail_of(&id).to_string(),
        server.log(),
    ];
    for answer in answers {
        assert!(!answer.contains(secret.as_str()), "{answer}");
        assert!(!answer.contains("X-Amz-Signature"), "{answer}");
        assert!(!answer.contains("s3://"), "{answer}");
    }
    let registry = std::fs::read_dir(server.data_dir().join("registry")).expect("a folder");
    for file in registry.flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("readable");
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{}", file.path().display());
    }
}

#[test]
fn remains_of_a_killed_process_are_removed_at_restart() {
    let bucket = Bucket::new("killed");
    let mut server = bucket.node().start();
    let id = server.reserve();
    let mut connection = server.connect();
    let request = Request::put(&image_path(&id))
        .headers(&[OCTETS])
        .header("Content-Length", (3 * LARGE).to_string());
    connection.send_head(&request).expect("sent");
    connection.send_bytes(&pattern(LARGE, 8)).expect("sent");
    eventually("parts are in S3", || {
        (bucket.segments().len() >= 3).then_some(())
    });
    server.kill();
    assert_eq!(bucket.contents().uploads, [id.as_str()]);

    server.restart();
    assert_eq!(server.status_of(&id), "killed");
    eventually("the upload is aborted", || {
        bucket.contents().uploads.is_empty().then_some(())
    });
    assert_eq!(bucket.segments(), [""; 0]);
}

#[test]
fn missing_bucket_is_created_only_if_configured() {
    let bucket = Bucket::new("missing");
    let setup = bucket.node();
    let setup = setup.option_in("glance_store", "s3_store_create_bucket_on_put", "False");
    let server = setup.start();
    for data in [pattern(1000, 1), pattern(LARGE, 2)] {
        let id = server.reserve();
        let put = crate::support::v1::put_data(&id, &[], &data);
        server.request(&put).expect(503);
        assert_eq!(server.status_of(&id), "killed");
    }
    server.expect_log("s3_store_create_bucket_on_put");
}
