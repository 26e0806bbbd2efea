//! The configurations of `docs/stores.md` work as printed, except for ports and folders.

use std::fs;
use std::path::Path;

use crate::support::backends::swift::Swift;
use crate::support::backends::{Cloud, address_of, tool};
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{RAW, id_of, post};
use crate::support::{eventually, pattern};
use crate::swift::Look;

/// The most lines that a store may need, without section headings.
const MOST_LINES: usize = 5;

/// Returns the lines of `docs/stores.md` that configure a store.
fn lines_for(store: &str) -> Vec<String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stores.md");
    let text = fs::read_to_string(document).expect("docs/stores.md");
    let heading = format!("\n## {store}\n");
    let (_, after) = text.split_once(&heading).expect("the store's section");
    let (_, after) = after.split_once("```ini\n").expect("its lines");
    let (lines, _) = after.split_once("```").expect("their end");
    let lines: Vec<_> = lines.lines().map(str::to_owned).collect();
    let options = lines.iter().filter(|line| !line.starts_with('['));
    assert!(options.count() <= MOST_LINES, "{lines:?}");
    lines
}

/// Starts a node with these lines. Each given address replaces another one, which must be in the
/// lines.
#[track_caller]
fn node(lines: &[String], in_place_of: &str, address: &str) -> Server {
    assert!(
        lines.iter().any(|line| line.contains(in_place_of)),
        "{lines:?}"
    );
    let mut section = String::new();
    let mut setup = Setup::new();
    for line in lines {
        match line.strip_prefix('[') {
            Some(name) => section = name.trim_end_matches(']').to_owned(),
            None => {
                let (name, value) = line.split_once('=').expect("an option");
                let value = value.trim().replace(in_place_of, address);
                setup = setup.option_in(&section, name.trim(), value);
            }
        }
    }
    setup.start()
}

/// Uploads, downloads and deletes an image.
#[track_caller]
fn round_trip(node: &Server, holds: impl Fn(&str) -> bool) {
    let data = pattern(20 << 20, 1);
    let id = node.upload(&[], &data);
    assert!(holds(&id));
    assert!(node.download(&id).expect(200).body == data);
    node.remove(&id).expect(200);
    eventually("it is removed", || (!holds(&id)).then_some(()));
}

#[test]
fn file_store_configuration_works() {
    let folder = temp_folder();
    let path = folder.path().join("images");
    let lines = lines_for("file");
    let node = node(
        &lines,
        "/var/lib/glance/images",
        &path.display().to_string(),
    );
    round_trip(&node, |id| path.join(id).exists());
}

#[test]
fn the_lines_for_s3() {
    // No other test uses the bucket of the README.
    let swift = Swift::start();
    let made = tool("swift")
        .args(["-A", &swift.auth_url, "-U", &swift.account.user])
        .args(["-K", &swift.account.key, "post", "glance"])
        .status();
    assert!(made.expect("started").success());
    let address = address_of(&swift.url).to_string();
    let node = node(&lines_for("S3"), "127.0.0.1:8080", &address);
    let look = Look::by_v1(&swift, &swift.account);
    round_trip(&node, |id| {
        look.ask("HEAD", &format!("/glance/{id}")).status == 200
    });
}

#[test]
fn swift_store_configuration_works() {
    let cloud = Cloud::shared();
    let address = address_of(&cloud.keystone.auth_url).to_string();
    let node = node(&lines_for("Swift"), "127.0.0.1:5000", &address);
    let look = Look::by_keystone(cloud, "alice");
    round_trip(&node, |id| {
        look.ask("HEAD", &format!("/glance/{id}")).status == 200
    });
}

#[test]
fn http_store_configuration_works() {
    let node = node(&lines_for("http"), "file,http", "file,http");
    // On a port that is not allowed by default, because 8080 may be taken.
    let origin = Origin::honest(Content::new(1, 300_000));
    let request = |header: &str, url: &str| post(RAW).header(header, url);
    for header in ["x-image-meta-location", "x-glance-api-copy-from"] {
        node.request(&request(header, &origin.url("/i")))
            .expect(400);
    }
    let mut node = node;
    node.set_up(|setup| {
        let port = origin.address().port();
        setup.option_in("import_filtering_opts", "allowed_ports", port)
    });
    node.restart();
    let header = "x-image-meta-location";
    let id = id_of(
        &node
            .request(&request(header, &origin.url("/i")))
            .expect(201),
    );
    assert!(node.download(&id).expect(200).body == origin.content.all());
}
