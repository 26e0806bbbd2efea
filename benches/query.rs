//! Small requests without the network: one page out of 100,000 images, and the metadata of
//! an image from and to headers.
//!
//! `taskset -c 1 cargo bench --bench query`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glance::image::{
    Filter, Image, ImageId, Query, SortDirection, SortKey, Status, Timestamp, Visibility,
};
use glance::registry::{Registry, SledOptions, SledRegistry};
use glance::wire::{MetaReader, Spelling, read_meta, write_meta};
use http::HeaderMap;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Images in the registry.
const IMAGES: u64 = 100_000;

/// Images on a page.
const PAGE: usize = 25;

/// Inserts on their way to the commit thread at a time.
const INSERTS: usize = 512;

/// An image as a public cloud has them; `number` decides its fields.
fn image(number: u64) -> Image {
    let created = Timestamp::from_micros(1_700_000_000_000_000 + number as i64 * 1_000);
    let mut image = Image::queued(ImageId::random(), created);
    image.name = Some(format!("image-{:06}", number * 7919 % IMAGES));
    image.status = Status::Active;
    image.size_bytes = (number * 104_729) % (64 << 30);
    image.disk_format = Some(["raw", "qcow2", "vmdk"][(number % 3) as usize].to_owned());
    image.container_format = Some("bare".to_owned());
    image.is_public = !number.is_multiple_of(10);
    image.owner = Some(format!("tenant-{}", number % 50));
    let group = format!("group-{:02}", number % 100);
    image.properties.insert("group".to_owned(), Some(group));
    let os = Some("linux".to_owned());
    image.properties.insert("os_type".to_owned(), os);
    image
}

fn query(sort_key: SortKey, filters: Vec<Filter>) -> Query {
    Query {
        visibility: Visibility::All,
        filters,
        changes_since: None,
        sort_key,
        sort_direction: SortDirection::Ascending,
        marker: None,
        limit: PAGE,
    }
}

fn filled(runtime: &Runtime, folder: &TempDir) -> Arc<SledRegistry> {
    let registry = SledRegistry::open(&SledOptions {
        folder: folder.path().to_owned(),
        cache_bytes: 64 << 20,
        flush_limit: Duration::from_secs(15),
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

fn pages(bench: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let folder = TempDir::new().expect("a folder");
    let registry = filled(&runtime, &folder);
    let words = |word: &str| vec![word.to_owned()];
    let group = Filter::Property("group".to_owned(), "group-42".to_owned());
    let formats = || Filter::DiskFormat(words("qcow2"));
    let big = Filter::SizeMin(8 << 30);
    let rare = Filter::Name(words("image-099999"));
    let mut deep = query(SortKey::Name, vec![formats()]);
    deep.limit = 1000;
    let page = runtime.block_on(registry.list(&deep)).expect("a page");
    deep.marker = page.last().map(|record| record.image.id);
    deep.limit = PAGE;
    let queries = [
        ("newest", query(SortKey::CreatedAt, vec![])),
        ("by name, one format", query(SortKey::Name, vec![formats()])),
        ("by name, behind a marker", deep),
        ("by size, one property", query(SortKey::Size, vec![group])),
        ("by size, at least 8 GiB", query(SortKey::Size, vec![big])),
        ("by name, a single match", query(SortKey::Name, vec![rare])),
    ];
    let mut all = bench.benchmark_group("query/100,000 images");
    for (name, query) in &queries {
        all.bench_function(*name, |b| {
            b.iter(|| runtime.block_on(registry.list(black_box(query))));
        });
    }
}

fn headers(bench: &mut Criterion) {
    let image = image(4_711);
    let mut written = HeaderMap::new();
    write_meta(&image, Spelling::Underscores, None, &mut written);
    // What a client may say about an image; the rest only a server says.
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

criterion_group!(benches, pages, headers);
criterion_main!(benches);
