//! Origins with TLS.

use super::{COPY_FROM, LOCATION, end_of_copy, from, open_node, open_setup};
use crate::support::http::Request;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::server::Server;
use crate::support::v1::{id_of, image_path};

const SIZE_BYTES: u64 = 2_000_000;

fn origin() -> Origin {
    Origin::start_tls(Content::new(9, SIZE_BYTES), |_| Answer::whole())
}

fn trusting(origin: &Origin) -> Server {
    let file = origin.ca_file().display().to_string();
    let setup = open_setup().option_in("glance_store", "https_ca_certificates_file", file);
    setup.start()
}

#[test]
fn trusted_certificate_is_accepted() {
    let origin = origin();
    let node = trusting(&origin);
    let by_name = origin.url("/i").replace("127.0.0.1", "localhost");
    for url in [origin.url("/i"), by_name] {
        let id = id_of(&node.request(&from(LOCATION, &url)).expect(201));
        assert!(origin.content.all() == node.download(&id).expect(200).body);
        let id = id_of(&node.request(&from(COPY_FROM, &url)).expect(201));
        assert_eq!(end_of_copy(&node, &id), "active");
        assert!(origin.content.all() == node.download(&id).expect(200).body);
    }
}

#[test]
fn untrusted_certificate_is_refused() {
    let origin = origin();
    let other = self::origin();
    for node in [open_node(), &trusting(&other)] {
        for header in [LOCATION, COPY_FROM] {
            let request = from(header, &origin.url("/i"));
            node.request(&request).expect(404);
        }
    }
    assert!(origin.seen().is_empty());
    // Only the log has the reason.
    let node = trusting(&other);
    let refused = node.request(&from(LOCATION, &origin.url("/i"))).expect(404);
    assert!(
        !refused.text().contains("certificate"),
        "{}",
        refused.text()
    );
    node.expect_log("invalid peer certificate");
    // A name that is not in the certificate.
    let node = trusting(&origin);
    let elsewhere = origin.url("/i").replace("127.0.0.1", "127.0.0.2");
    node.request(&from(LOCATION, &elsewhere)).expect(404);
}

#[test]
fn any_certificate_is_accepted_with_insecure() {
    let origin = origin();
    let node = open_setup().option_in("glance_store", "https_insecure", true);
    let node = node.start();
    let id = id_of(&node.request(&from(LOCATION, &origin.url("/i"))).expect(201));
    assert!(origin.content.all() == node.download(&id).expect(200).body);
}

#[test]
fn range_without_range_support_survives_a_cut() {
    let origin = Origin::start_tls(Content::new(9, SIZE_BYTES), |seen| {
        match (seen.method.as_str(), seen.path.as_str(), seen.turn) {
            ("GET", "/whole", _) => Answer::whole().ignores_ranges(),
            ("GET", _, 0) => Answer::whole().cut_after(1_000_000),
            _ => Answer::whole(),
        }
    });
    let node = trusting(&origin);
    let located = |path| id_of(&node.request(&from(LOCATION, &origin.url(path))).expect(201));
    let id = located("/cut");
    assert!(origin.content.all() == node.download(&id).expect(200).body);
    assert_eq!(origin.times_sent(), (1, 1));
    let request = Request::get(&image_path(&located("/whole"))).header("Range", "bytes=0-99999");
    let got = node.request(&request).expect(206);
    assert!(got.body.len() == 100_000 && origin.content.has(0, &got.body));
}
