//! Many concurrent readers of a server that runs as an ordinary user.
//!
//! The kernel limits the pipes of such a user (`fs.pipe-user-pages-soft`), but not those of root.

use std::time::Duration;

use super::{LOCATION, from_with};
use crate::support::http::Connection;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::server::{Server, Setup};
use crate::support::v1::{id_of, image_path};
use crate::support::{eventually, md5_hex};

const READERS: usize = 150;
const SIZE_BYTES: u64 = 1_500_000;

/// Bytes of each object that arrive before all readers are connected.
const HELD_BYTES: u64 = 700_000;

/// Longest silence of a debug build that hashes all objects.
const SILENCE: Duration = Duration::from_secs(300);

fn setup() -> Setup {
    Setup::new()
        .option_in("import_filtering_opts", "allow_private_addresses", true)
        .option_in("import_filtering_opts", "allowed_ports", "")
}

fn download(node: &Server, id: &str) -> Result<Vec<u8>, String> {
    let mut connection = Connection::open(node.address()).map_err(|error| error.to_string())?;
    let limit = connection.stream().set_read_timeout(Some(SILENCE));
    limit.expect("a limit");
    let answer = connection.ask("GET", &image_path(id), "", b"");
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("status {status}")),
    }
}

#[test]
fn many_readers_of_a_non_root_server_get_every_byte() {
    let hold = Hold::default();
    let held = hold.clone();
    let origin = Origin::start(Content::new(77, SIZE_BYTES), move |seen| {
        match seen.method.as_str() {
            "GET" => Answer::whole().hold_after(HELD_BYTES, &held),
            _ => Answer::whole(),
        }
    });
    let node = setup().by_ordinary_user().start();
    let content = origin.content.all();
    let sum = md5_hex(&content);
    let stated = [("x-image-meta-checksum", sum.as_str())];
    let request = from_with(LOCATION, &origin.url("/i"), &stated);
    let id = id_of(&node.request(&request).expect(201));
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(|| download(&node, &id)))
            .collect();
        eventually("all of them read", || {
            (origin.count("GET") == READERS).then_some(())
        });
        hold.release();
        for reader in readers {
            match reader.join().expect("a reader") {
                Ok(body) if body == content => {}
                Ok(body) => failures.push(format!("{} other bytes", body.len())),
                Err(error) => failures.push(error),
            }
        }
    });
    assert!(failures.is_empty(), "{}: {failures:?}", failures.len());
    let value = |name: &str| {
        let metrics = node.metrics();
        let line = metrics.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{name} in {metrics}"))
    };
    let (pages, limit) = (
        value("glance_pipe_pages "),
        value("glance_pipe_pages_limit "),
    );
    assert!(pages > 0.0 && pages <= limit, "{pages} of {limit}");
}
