//! Benchmark of MD5: the md-5 crate, each kernel of this crate, and the hash engine.
//!
//! `taskset -c 1 cargo bench --bench md5`. Pinned to one core, the engine's
//! figures include the thread that feeds it. Compare with
//! `taskset -c 1 openssl speed -bytes 16384 md5`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glance::md5::measure::Measurable;
use glance::md5::{HashEngine, Md5};
use md5::Digest;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn_local};

/// Size of a block of an upload.
const PIECE_BYTES: usize = 256 * 1024;

/// Number of bytes that each stream feeds to the engine per iteration.
const PIECES: usize = 16;

fn one_stream(bench: &mut Criterion) {
    let data = vec![0x5a; PIECE_BYTES];
    let mut group = bench.benchmark_group("md5/one");
    group.throughput(Throughput::Bytes(PIECE_BYTES as u64));
    group.bench_function("md-5 crate", |b| {
        b.iter(|| md5::Md5::digest(black_box(&data)))
    });
    group.bench_function("Md5", |b| b.iter(|| Md5::digest(black_box(&data))));
    for kernel in Measurable::all().iter().filter(|kernel| kernel.width == 1) {
        group.bench_function(kernel.name, |b| b.iter(|| kernel.run(black_box(&[&data]))));
    }
}

fn lanes(bench: &mut Criterion) {
    let data: Vec<Vec<u8>> = (0..16).map(|lane| vec![lane; PIECE_BYTES]).collect();
    let rows: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut group = bench.benchmark_group("md5/lanes");
    for kernel in Measurable::all().iter().filter(|kernel| kernel.width > 1) {
        for streams in [2, 4, 8, 16]
            .into_iter()
            .filter(|streams| *streams <= kernel.width)
        {
            group.throughput(Throughput::Bytes((streams * PIECE_BYTES) as u64));
            let name = format!("{}/{streams}", kernel.name);
            group.bench_function(name, |b| b.iter(|| kernel.run(black_box(&rows[..streams]))));
        }
    }
}

fn engine(bench: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let engine = HashEngine::start(1).expect("a hash thread");
    let pieces: Vec<Bytes> = (0..16)
        .map(|fill| Bytes::from(vec![fill; PIECE_BYTES]))
        .collect();
    let mut group = bench.benchmark_group(format!("md5/engine {}", engine.kernels()));
    for streams in [1, 2, 8, 16] {
        group.throughput(Throughput::Bytes((streams * PIECES * PIECE_BYTES) as u64));
        group.bench_function(format!("{streams}"), |b| {
            b.iter(|| feed(&runtime, &engine, &pieces[..streams]));
        });
    }
}

/// Hashes one stream for each of `pieces`, all concurrently.
fn feed(runtime: &Runtime, engine: &HashEngine, pieces: &[Bytes]) {
    let all = async {
        let uploads: Vec<_> = pieces
            .iter()
            .map(|piece| {
                let (mut stream, piece) = (engine.stream(), piece.clone());
                spawn_local(async move {
                    for _ in 0..PIECES {
                        stream.push(piece.clone()).await;
                        tokio::task::yield_now().await;
                    }
                    stream.finish().await
                })
            })
            .collect();
        for upload in uploads {
            black_box(upload.await.expect("no panic").expect("a digest"));
        }
    };
    runtime.block_on(LocalSet::new().run_until(all));
}

criterion_group!(benches, one_stream, lanes, engine);
criterion_main!(benches);
