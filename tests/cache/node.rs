//! Nodes with a cache, images at origins, and the metrics of a cache.

use std::fs;
use std::path::PathBuf;

use crate::support::md5_hex;
use crate::support::origin::Origin;
use crate::support::server::{Server, Setup};
use crate::support::v1::{Headers, RAW, id_of, post};

pub const MIB: u64 = 1 << 20;

/// A node with a cache, whose clients may name servers on loopback.
pub fn caching() -> Setup {
    with_cache(Setup::new())
}

/// The same, with a timeout for origins that a test holds back.
pub fn patient() -> Setup {
    caching().store_option("http_store_stall_timeout", 120)
}

/// The same for a node with stores of its own.
pub fn with_cache(setup: Setup) -> Setup {
    setup
        .option_in("paste_deploy", "flavor", "cachemanagement")
        .option_in("import_filtering_opts", "allow_private_addresses", true)
        .option_in("import_filtering_opts", "allowed_ports", "")
        .option_in("glance_store", "http_store_stall_timeout", 5)
        .option("image_cache_fill_range_size", MIB)
        .option("image_cache_min_free", 0)
}

/// Creates an image whose data are at an origin, with its MD5.
#[track_caller]
pub fn locate(node: &Server, origin: &Origin) -> String {
    let checksum = md5_hex(&origin.content.all());
    locate_with(node, origin, &[("x-image-meta-checksum", &checksum)])
}

#[track_caller]
pub fn locate_with(node: &Server, origin: &Origin, headers: Headers) -> String {
    let url = origin.url("/image");
    let located = post(RAW).headers(&[("x-image-meta-location", &url)]);
    id_of(&node.request(&located.headers(headers)).expect(201))
}

/// Returns the default folder of a node's cache.
pub fn cache_dir(node: &Server) -> PathBuf {
    node.data_dir().join("image-cache")
}

/// Returns the files of a cache with their lengths, including those of running fills.
pub fn files(node: &Server) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for folder in [cache_dir(node), cache_dir(node).join("incomplete")] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // The file may be removed meanwhile.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_file() {
                files.push((entry.path(), metadata.len()));
            }
        }
    }
    files
}

/// Returns a metric of a node by its name and labels as in the exposition; 0 if there is none.
pub fn metric(node: &Server, name: &str) -> u64 {
    let metrics = node.metrics();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse::<f64>().expect("a number") as u64)
}

pub fn answers(node: &Server, result: &str) -> u64 {
    metric(
        node,
        &format!("glance_cache_requests_total{{result=\"{result}\"}}"),
    )
}

pub fn fills(node: &Server, result: &str) -> u64 {
    metric(
        node,
        &format!("glance_cache_fills_total{{result=\"{result}\"}}"),
    )
}
