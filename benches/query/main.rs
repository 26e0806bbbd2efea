//! Benchmark of small requests without the network: a page of 100,000 images, and the conversion of
//! an image's metadata from and to headers.
//!
//! `taskset -c 1 cargo bench --bench query`. Before criterion's figures it prints the slowest
//! form of each list, over all orders, directions and markers; `--bench query -- slowest` stops
//! there.

mod images;
mod slowest;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use glance::image::{ImageId, OwnerLimits, Query, SortDirection, SortKey};
use glance::registry::{EmbeddedOptions, EmbeddedRegistry, Registry};
use glance::wire::{MetaReader, Spelling, read_meta, write_meta};
use http::HeaderMap;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use images::{IMAGES, image, list, lists};
use slowest::slowest;

/// Number of concurrent inserts.
const INSERTS: usize = 512;

fn filled(runtime: &Runtime, folder: &TempDir) -> Arc<EmbeddedRegistry> {
    let registry = EmbeddedRegistry::open(&EmbeddedOptions {
        folder: folder.path().to_owned(),
        cache_bytes: 64 << 20,
        flush_limit: Duration::from_secs(15),
        reserve_bytes: 64 << 10,
        max_deleted_images: None,
        owner_limits: OwnerLimits::default(),
    });
    let registry = Arc::new(registry.expect("an empty folder"));
    runtime.block_on(async {
        let mut inserts = JoinSet::new();
        for number in 0..IMAGES {
            if inserts.len() == INSERTS {
                inserts.join_next().await;
            }
            let registry = Arc::clone(&registry);
            inserts.spawn(async move { registry.insert(image(number)).await.map(drop) });
        }
        for inserted in inserts.join_all().await {
            inserted.expect("a new image");
        }
    });
    registry
}

/// Returns images in the middle and near the end of the list by name.
fn markers(runtime: &Runtime, registry: &EmbeddedRegistry) -> [(&'static str, ImageId); 2] {
    let all = Query {
        sort_keys: vec![(SortKey::Name, SortDirection::Descending)],
        limit: usize::MAX,
        ..list(vec![])
    };
    let all = runtime.block_on(registry.list(&all)).expect("a list");
    [
        ("the middle", all[all.len() / 2].image.id),
        ("near the end", all[all.len() / 50].image.id),
    ]
}

fn print_slowest(runtime: &Runtime, registry: &EmbeddedRegistry) {
    let markers = markers(runtime, registry);
    println!(
        "{:36} {:>8} {:>8}  slowest form of 48",
        "25 of 100,000 images", "p50 us", "p99 us"
    );
    for (name, query) in lists() {
        let ask = |query: &Query| drop(black_box(runtime.block_on(registry.list(query))));
        let Some(slowest) = slowest(&query, &markers, ask) else {
            continue;
        };
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        let (p50, p99) = (micros(slowest.p50), micros(slowest.p99));
        println!("{name:36} {p50:>8.1} {p99:>8.1}  {}", slowest.form);
    }
}

fn pages(bench: &mut Criterion, runtime: &Runtime, registry: &EmbeddedRegistry) {
    let mut all = bench.benchmark_group("query/100,000 images");
    all.warm_up_time(Duration::from_millis(200));
    all.measurement_time(Duration::from_secs(1));
    let [(_, marker), _] = markers(runtime, registry);
    let behind = Query {
        sort_keys: vec![(SortKey::Name, SortDirection::Descending)],
        marker: Some(marker),
        ..list(vec![])
    };
    for (name, query) in lists().iter().chain(&[("behind a marker", behind)]) {
        all.bench_function(*name, |b| {
            b.iter(|| runtime.block_on(registry.list(black_box(query))));
        });
    }
}

fn headers(bench: &mut Criterion) {
    let image = image(4_711);
    let mut written = HeaderMap::new();
    write_meta(&image, Spelling::Underscores, None, &mut written);
    // The fields that clients may set.
    let mut said = written.clone();
    for own in ["created_at", "updated_at", "deleted", "status"] {
        said.remove(format!("x-image-meta-{own}"));
    }
    let mut all = bench.benchmark_group("headers");
    all.throughput(Throughput::Elements(1));
    all.bench_function("write_meta", |b| {
        b.iter(|| {
            let mut headers = HeaderMap::new();
            write_meta(black_box(&image), Spelling::Underscores, None, &mut headers);
            headers
        });
    });
    let reader = MetaReader::default();
    reader.read(&said).expect("fields that a client may set");
    all.bench_function("MetaReader", |b| b.iter(|| reader.read(black_box(&said))));
    all.bench_function("read_meta", |b| b.iter(|| read_meta(black_box(&written))));
}

fn main() {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let folder = TempDir::new().expect("a folder");
    let registry = filled(&runtime, &folder);
    print_slowest(&runtime, &registry);
    if std::env::args().any(|word| word == "slowest") {
        return;
    }
    let mut bench = Criterion::default().configure_from_args();
    pages(&mut bench, &runtime, &registry);
    headers(&mut bench);
    bench.final_summary();
}
