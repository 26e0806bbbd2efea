//! `glance-manage purge`: removes the records of deleted images.

use super::{await_rest, everything, manage};
use crate::support::http::Request;
use crate::support::server::Setup;

#[test]
fn old_deleted_images_only_are_purged() {
    let mut server = Setup::new().start();
    let kept = server.upload(&[], b"kept");
    let first = server.upload(&[], b"first");
    let second = server.create(&[]);
    for id in [&first, &second] {
        server.remove(id).expect(200);
    }
    await_rest(&server);
    manage(&server, &["purge", "--older-than", "0"])
        .expect(1)
        .says("is in use");
    server.stop();

    // They were deleted less than 30 days ago.
    manage(&server, &["purge"])
        .expect(0)
        .says("deleted images: 0 forgotten, 0 left");
    manage(&server, &["purge", "--older-than", "0", "--dry-run"])
        .expect(0)
        .says("2 would be forgotten");
    manage(
        &server,
        &["purge", "--older-than", "0", "--max-images", "1"],
    )
    .expect(0)
    .says("1 forgotten, 1 left");
    server.start();
    let listed = everything(&server).to_string();
    assert!(!listed.contains(&first), "{listed}");
    assert!(
        listed.contains(&second) && listed.contains(&kept),
        "{listed}"
    );
    // The identifier can be used again.
    let id = format!("x-image-meta-id: {first}");
    let again = server.request(&Request::post("/v1/images").lines(&id));
    assert_eq!(again.status, 201, "{}", again.text());
    server.stop();
    manage(&server, &["purge", "--older-than", "0"])
        .expect(0)
        .says("1 forgotten, 0 left");
    server.start();
    let listed = everything(&server).to_string();
    assert!(!listed.contains(&second), "{listed}");
    assert!(
        listed.contains(&first) && listed.contains(&kept),
        "{listed}"
    );
}
