//! A server with many images in etcd: the time until it is ready, and the time of a page while
//! other servers write.
//!
//! By default it uses a few thousand images and checks no times. To measure:
//!
//! ```text
//! GLANCE_ETCD_IMAGES=100000 cargo test --release --features etcd --test registry many -- --nocapture
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use glance::error::Kind;
use glance::image::{Image, ImageId, OwnerLimits, Status, Timestamp, Visibility};
use glance::registry::{EtcdOptions, EtcdRegistry, EtcdTls, Registry};
use tokio::task::JoinSet;

use crate::support::etcd::Etcd;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{ids_of, put};
use crate::support::within;

const IMAGES: u64 = 3_000;
/// Number of concurrent writes.
const INSERTS: usize = 64;
const PAGE: usize = 25;
const PAGES_OF_EACH: u32 = 1_000;
/// Interval between two writes of the other server.
const WRITE_EVERY: Duration = Duration::from_millis(10);

/// Maximum time until a server with 100,000 images shows the first page.
const START_LIMIT: Duration = Duration::from_secs(2);

const LISTS: [&str; 5] = [
    "limit=25",
    "limit=25&sort_key=name&sort_dir=asc&status=active&property-group=group-42",
    "limit=25&sort_key=size&sort_dir=desc&size_min=90000&disk_format=raw",
    "limit=25&sort_key=updated_at&sort_dir=desc&container_format=bare",
    "limit=25&sort_key=name&sort_dir=desc&name=image-000777",
];

fn image(number: u64) -> Image {
    let created_at = Timestamp::from_micros(1_700_000_000_000_000 + number as i64 * 1_000);
    let mut image = Image::queued(ImageId::random(), created_at);
    image.name = Some(format!("image-{number:06}"));
    image.status = Status::Active;
    image.size_bytes = number * 104_729_003 % (64 << 30);
    image.disk_format = Some(["raw", "qcow2"][number as usize % 2].to_owned());
    image.container_format = Some("bare".to_owned());
    image.visibility = Visibility::Public;
    image.owner = Some(format!("tenant-{}", number % 50));
    for (key, value) in [
        ("group", format!("group-{}", number % 100)),
        ("os_type", "linux".to_owned()),
    ] {
        image.properties.insert(key.to_owned(), Some(value));
    }
    image
}

/// Writes this many records, as a server does.
fn fill(etcd: &Etcd, images: u64) {
    let registry = EtcdRegistry::start(EtcdOptions {
        endpoints: etcd.endpoints().split(',').map(str::to_owned).collect(),
        prefix: "/glance/".to_owned(),
        user: String::new(),
        password: String::new(),
        tls: EtcdTls::default(),
        timeout: Duration::from_secs(60),
        read_limit: None,
        owner_limits: OwnerLimits::default(),
    });
    let registry = Arc::new(registry.expect("a registry"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        while registry.check().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut inserts = JoinSet::new();
        for number in 0..images {
            if inserts.len() == INSERTS {
                inserts.join_next().await;
            }
            let registry = Arc::clone(&registry);
            inserts.spawn(async move {
                let image = image(number);
                // With a busy etcd the outcome of a write may be unknown.
                while let Err(error) = registry.insert(image.clone()).await {
                    if error.kind() == Kind::Conflict {
                        return;
                    }
                }
            });
        }
        inserts.join_all().await;
    });
}

/// The number of lists that a server has answered, and of those within a millisecond.
fn answered(node: &Server) -> (f64, f64) {
    let metrics = node.metrics();
    let of = |suffix: &str| -> f64 {
        let lines = metrics.lines().filter(|line| {
            line.starts_with("glance_http_request_duration_seconds")
                && line.contains("route=\"images_detail\"")
                && line.contains(suffix)
        });
        let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        numbers.sum()
    };
    (of("_seconds_count"), of("le=\"0.001\""))
}

/// Renames images at one server while another one answers lists. Returns how many were renamed.
fn renames(node: &Server, ids: &[String], over: &AtomicBool) -> u64 {
    let written = AtomicU64::new(0);
    for (turn, id) in ids.iter().cycle().enumerate() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("renamed-{turn}");
        let keep = ("x-glance-registry-purge-props", "false");
        node.request(&put(id, &[("x-image-meta-name", &name), keep]))
            .expect(200);
        written.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(WRITE_EVERY);
    }
    written.into_inner()
}

#[test]
fn many_images() {
    let wanted = std::env::var("GLANCE_ETCD_IMAGES").ok();
    let images = wanted.as_ref().map_or(IMAGES, |number| {
        number.parse().expect("GLANCE_ETCD_IMAGES is a number")
    });
    let etcd = Etcd::start(1);
    let folder = temp_folder();
    let setup = || Setup::new().etcd(&etcd).store_dir(folder.path());
    fill(&etcd, images);
    let neighbour = setup().start();
    let mut node = setup().start();
    let mut starts = Vec::new();
    for _ in 0..3 {
        node.stop();
        let began = Instant::now();
        node.start();
        assert_eq!(node.listed("limit=25&sort_key=name").len(), PAGE);
        starts.push(began.elapsed());
    }
    eprintln!("{images} images in etcd: started, with the first page, in {starts:?}");
    let all = node.metrics();
    let active = all
        .lines()
        .find_map(|line| line.strip_prefix("glance_images{status=\"active\"} "));
    assert_eq!(active, Some(&*images.to_string()), "every one of them");

    let ids = node.listed("limit=25&sort_key=name&sort_dir=desc");
    let over = AtomicBool::new(false);
    let (written, begun, took) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| renames(&neighbour, &ids, &over));
        let begun = (answered(&node), Instant::now());
        let mut connection = node.connect();
        for turn in 0..PAGES_OF_EACH {
            for list in LISTS {
                let path = format!("/v1/images/detail?{list}");
                let answer = connection.request(&Request::get(&path)).expect(200);
                assert!(turn > 0 || ids_of(&answer).len() <= PAGE);
            }
        }
        let took = begun.1.elapsed();
        over.store(true, Ordering::Relaxed);
        (writer.join().expect("a writer"), begun.0, took)
    });
    let last = format!("name=renamed-{}", written - 1);
    within(Duration::from_secs(5), "it has followed", || {
        node.listed(&last).len() == 1
    });
    let ended = answered(&node);
    let (asked, fast) = (ended.0 - begun.0, ended.1 - begun.1);
    let percent = fast / asked * 100.0;
    eprintln!(
        "{asked} pages of {PAGE} in {took:?}, {percent:.2} % of them within 1 ms at the server, \
         while {written} records changed"
    );
    assert_eq!(asked, f64::from(PAGES_OF_EACH) * LISTS.len() as f64);
    if wanted.is_some() {
        assert!(starts.iter().all(|took| *took < START_LIMIT), "{starts:?}");
        assert!(percent >= 99.0, "{percent:.2} % within 1 ms");
    }
}
