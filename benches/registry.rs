//! Benchmark of the embedded registry: acknowledged writes per second with 1, 4 and 16 writers, and
//! the memory of a deleted image.
//!
//! `cargo bench --bench registry -- [SECONDS [FOLDER]]`. FOLDER selects the disk to measure;
//! without it the registry is in the system's folder for temporary files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use glance::image::{Image, ImageId, OwnerLimits, Status, Timestamp};
use glance::registry::{EmbeddedOptions, EmbeddedRegistry, Registry};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

const WRITERS: [usize; 3] = [1, 4, 16];

/// Number of deleted images whose memory is measured.
const DELETED: usize = 50_000;

/// Number of concurrent writes while images are registered and deleted.
const AT_A_TIME: usize = 256;

fn open(folder: &Path) -> Arc<EmbeddedRegistry> {
    let registry = EmbeddedRegistry::open(&EmbeddedOptions {
        folder: folder.to_owned(),
        cache_bytes: 16 << 20,
        flush_limit: Duration::from_secs(60),
        reserve_bytes: 4 << 20,
        max_deleted_images: None,
        owner_limits: OwnerLimits::default(),
    });
    Arc::new(registry.expect("an empty folder"))
}

fn image() -> Image {
    let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
    image.name = Some("debian-13-generic-amd64".to_owned());
    image.owner = Some("4f2b7c0a9d3e4b1f8a6c5d7e9f0a1b2c".to_owned());
    image.disk_format = Some("qcow2".to_owned());
    image.container_format = Some("bare".to_owned());
    image
}

/// Registers an image and changes it until the time is up. Returns the number of writes.
async fn write(registry: Arc<EmbeddedRegistry>, until: Instant) -> u64 {
    let mut record = registry.insert(image()).await.expect("a write");
    let mut writes = 1;
    while Instant::now() < until {
        let mut image = record.image.clone();
        image.min_ram_mb += 1;
        record = registry
            .replace(image, record.version)
            .await
            .expect("a write");
        writes += 1;
    }
    writes
}

fn writes_per_s(runtime: &Runtime, folder: &Path, writers: usize, seconds: f64) -> f64 {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let registry = open(folder.path());
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let writes: u64 = runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..writers {
            running.spawn(write(Arc::clone(&registry), until));
        }
        running.join_all().await.iter().sum()
    });
    writes as f64 / began.elapsed().as_secs_f64()
}

async fn register_and_delete(registry: Arc<EmbeddedRegistry>) {
    let inserted = registry.insert(image()).await.expect("a write");
    let mut deleted = inserted.image.clone();
    deleted.status = Status::Deleted;
    deleted.deleted_at = Some(deleted.updated_at);
    let deleted = registry.replace(deleted, inserted.version).await;
    deleted.expect("a write");
}

fn bytes_per_deleted_image(runtime: &Runtime, folder: &Path) -> f64 {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let registry = open(folder.path());
    let delete = |images: usize| {
        runtime.block_on(async {
            let mut running = JoinSet::new();
            for _ in 0..images {
                if running.len() == AT_A_TIME {
                    running.join_next().await;
                }
                running.spawn(register_and_delete(Arc::clone(&registry)));
            }
            running.join_all().await;
        });
    };
    // The first images are not counted: they allocate threads, buffers and arenas.
    delete(DELETED / 10);
    let before = rss_bytes();
    delete(DELETED);
    (rss_bytes() - before) / DELETED as f64
}

fn rss_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.expect("a number of KiB") * 1024.0
}

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let seconds = words
        .next()
        .map_or(5.0, |word| word.parse().expect("seconds"));
    let folder = words.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    for writers in WRITERS {
        let rate = writes_per_s(&runtime, &folder, writers, seconds);
        println!("{writers:>2} writers: {rate:>7.0} acknowledged writes/s");
    }
    let bytes = bytes_per_deleted_image(&runtime, &folder);
    println!("a deleted image: {bytes:.0} bytes of memory ({DELETED} images)");
}
