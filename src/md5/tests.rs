use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use md5::Digest as _;
use md5::block_api::compress;
use proptest::collection::vec;
use proptest::prelude::*;

use super::cpu::{Kernels, lane_families, singles};
use super::lanes::LaneKernel;
use super::rounds::{BLOCK_BYTES, Chain, INITIAL};
use super::single::Single;
use super::*;

fn oracle(data: &[u8]) -> [u8; DIGEST_BYTES] {
    md5::Md5::digest(data).into()
}

fn oracle_chain(start: Chain, data: &[u8]) -> Chain {
    let mut chain = start;
    compress(&mut chain, data.as_chunks::<BLOCK_BYTES>().0);
    chain
}

/// Returns pseudo-random bytes, so that exchanged lanes or blocks change the digest.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn lane_kernels() -> Vec<LaneKernel> {
    lane_families().concat()
}

/// Returns every set of kernels that this CPU supports, including the one without lanes.
fn kernel_sets() -> &'static [Kernels] {
    static SETS: OnceLock<Vec<Kernels>> = OnceLock::new();
    SETS.get_or_init(|| {
        let lanes = lane_families().into_iter().chain([Vec::new()]);
        lanes
            .map(|lanes| Kernels::new(Single::portable(), lanes))
            .collect()
    })
}

#[test]
fn examples_of_the_rfc() {
    let examples = [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (
            "abcdefghijklmnopqrstuvwxyz",
            "c3fcd3d76192e4007dfb496cca67e13b",
        ),
    ];
    for (message, digest) in examples {
        let hex: String = Md5::digest(message.as_bytes())
            .map(|b| format!("{b:02x}"))
            .concat();
        assert_eq!(hex, digest, "{message:?}");
    }
}

#[test]
fn digest_of_every_length_up_to_300_bytes() {
    let data = noise(1, 300);
    for length in 0..=data.len() {
        assert_eq!(
            Md5::digest(&data[..length]),
            oracle(&data[..length]),
            "{length} bytes"
        );
    }
}

#[test]
fn single_stream_functions_agree_with_the_oracle() {
    let data = noise(2, 40 * BLOCK_BYTES + 1);
    for single in singles() {
        for blocks in [0, 1, 2, 3, 39, 40] {
            // Offset by one byte, so that no block is aligned.
            let data = &data[1..=blocks * BLOCK_BYTES];
            let mut chain = INITIAL;
            single.run(&mut chain, data.as_chunks().0);
            assert_eq!(
                chain,
                oracle_chain(INITIAL, data),
                "{single:?}, {blocks} blocks"
            );
        }
    }
}

/// Runs a kernel over `blocks` blocks of each lane, each lane at another offset, and compares
/// every lane with the oracle.
fn check_lanes(kernel: &LaneKernel, lanes: usize, blocks: usize, seed: u64) {
    let data: Vec<Vec<u8>> = (0..lanes)
        .map(|lane| noise(seed + lane as u64, blocks * BLOCK_BYTES + 2 * lane))
        .collect();
    let starts: Vec<Chain> = (0..lanes)
        .map(|lane| INITIAL.map(|word| word.wrapping_mul(2 * lane as u32 + 1)))
        .collect();
    let mut chains = starts.clone();
    let rows = data.iter().enumerate().map(|(lane, row)| &row[lane..]);
    kernel.run(chains.iter_mut().zip(rows), blocks);
    for lane in 0..lanes {
        let row = &data[lane][lane..lane + blocks * BLOCK_BYTES];
        let expected = oracle_chain(starts[lane], row);
        assert_eq!(
            chains[lane], expected,
            "lane {lane} of {lanes}, {blocks} blocks, {kernel:?}"
        );
    }
}

#[test]
fn lane_kernels_agree_with_the_oracle_for_any_number_of_lanes() {
    for kernel in lane_kernels() {
        for lanes in 0..=kernel.width {
            for blocks in [0, 1, 2, 5] {
                check_lanes(&kernel, lanes, blocks, 77);
            }
        }
    }
}

#[test]
fn lane_kernel_never_reads_past_a_lane() {
    for kernel in lane_kernels() {
        let (short, long) = (noise(1, 2 * BLOCK_BYTES - 1), noise(2, 2 * BLOCK_BYTES));
        let mut chains = [INITIAL; 2];
        let rows = [&long[..], &short[..]];
        let run = || kernel.run(chains.iter_mut().zip(rows), 2);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
}

#[test]
fn lane_kernel_panics_with_too_many_lanes() {
    for kernel in lane_kernels() {
        let data = noise(1, BLOCK_BYTES);
        let mut chains = vec![INITIAL; kernel.width + 1];
        let run = || kernel.run(chains.iter_mut().map(|chain| (chain, &data[..])), 1);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
}

/// Lengths of pieces: small ones, with borders inside blocks and hashed inline, and some that are
/// hashed in lanes.
fn piece_length() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..200usize, 1 => 4000..4200usize, 2 => 4097..40_000usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_digest(
        data in vec(any::<u8>(), 0..1000),
        mut cuts in vec(0..1000usize, 0..12),
    ) {
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(data.len()));
        cuts.sort_unstable();
        let mut md5 = Md5::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([data.len()]) {
            md5.update(&data[from..cut]);
            from = cut;
        }
        prop_assert_eq!(md5.finalize(), oracle(&data));
    }

    #[test]
    fn lane_kernels_agree_with_the_oracle(lanes in 1..=16usize, blocks in 0..20usize, seed in any::<u32>()) {
        for kernel in lane_kernels() {
            check_lanes(&kernel, lanes.min(kernel.width), blocks, seed.into());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn engine_returns_the_digest_of_every_stream(
        streams in vec(vec(piece_length(), 0..8), 1..24),
        threads in 1..=3usize,
    ) {
        for kernels in kernel_sets() {
            let engine = HashEngine::start_with(threads, kernels).unwrap();
            let wrong = block_on(hash_all(&engine, &streams));
            prop_assert_eq!(wrong, Vec::<usize>::new(), "{}", engine.kernels());
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(future))
}

/// Hashes streams of pieces of these lengths at the same time. Returns the numbers of those with
/// a wrong digest.
async fn hash_all(engine: &HashEngine, streams: &[Vec<usize>]) -> Vec<usize> {
    let tasks: Vec<_> = (streams.iter().enumerate())
        .map(|(number, pieces)| {
            let (engine, pieces) = (engine.clone(), pieces.clone());
            tokio::task::spawn_local(async move { hash_one(&engine, number, &pieces).await })
        })
        .collect();
    let mut wrong = Vec::new();
    for (number, task) in tasks.into_iter().enumerate() {
        if !task.await.unwrap() {
            wrong.push(number);
        }
    }
    wrong
}

async fn hash_one(engine: &HashEngine, number: usize, pieces: &[usize]) -> bool {
    let data = Bytes::from(noise(number as u64, pieces.iter().sum()));
    let mut stream = engine.stream_with_window(50_000);
    let mut from = 0;
    for length in pieces {
        stream.push(data.slice(from..from + length)).await;
        from += length;
        tokio::task::yield_now().await;
    }
    stream.finish().await == Ok(oracle(&data))
}

#[test]
fn more_streams_than_lanes_are_all_hashed() {
    let streams: Vec<Vec<usize>> = (0..40).map(|n| vec![20_000 + 1_001 * n; 3]).collect();
    let engine = HashEngine::start(1).unwrap();
    assert_eq!(block_on(hash_all(&engine, &streams)), Vec::<usize>::new());
}

#[test]
fn second_thread_is_woken_when_lanes_run_out() {
    for kernels in kernel_sets() {
        let engine = HashEngine::start_with(2, kernels).unwrap();
        let mut stuck = engine.stream();
        let (first, is_reached, _go_on) = stopper();
        block_on(stuck.push(first));
        is_reached.recv().unwrap();
        // One thread is blocked with one lane, and there is one stream more than it has lanes.
        let streams = vec![vec![20_000]; kernels.width()];
        assert_eq!(block_on(hash_all(&engine, &streams)), Vec::<usize>::new());
    }
}

#[test]
fn streams_outlive_the_engine_handle() {
    let data = Bytes::from(noise(9, 300_000));
    let digest = block_on(async {
        let mut stream = HashEngine::start(2).unwrap().stream();
        stream.push(data.clone()).await;
        stream.finish().await
    });
    assert_eq!(digest, Ok(oracle(&data)));
}

/// A piece that runs a function when it is dropped.
struct Piece<F: FnMut() + Send + 'static> {
    data: Vec<u8>,
    on_drop: F,
}

impl<F: FnMut() + Send> AsRef<[u8]> for Piece<F> {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl<F: FnMut() + Send> Drop for Piece<F> {
    fn drop(&mut self) {
        (self.on_drop)();
    }
}

fn piece(length: usize, on_drop: impl FnMut() + Send + 'static) -> Bytes {
    Bytes::from_owner(Piece {
        data: noise(5, length),
        on_drop,
    })
}

/// A piece that signals when it is dropped, and then blocks the hash thread until the sender is
/// used or dropped.
fn stopper() -> (Bytes, Receiver<()>, Sender<()>) {
    let (reached, is_reached) = channel();
    let (go_on, may_go_on) = channel();
    let piece = piece(8192, move || {
        let _ = reached.send(());
        let _ = may_go_on.recv();
    });
    (piece, is_reached, go_on)
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn push_waits_only_while_a_window_is_queued() {
    let engine = HashEngine::start(1).unwrap();
    let mut stream = engine.stream_with_window(20_000);
    let (first, is_reached, go_on) = stopper();
    block_on(stream.push(first));
    is_reached.recv().unwrap();
    // The thread has 8192 bytes.
    assert_eq!(stream.queued_bytes(), 8192);
    for _ in 0..2 {
        assert!(poll_once(pin!(stream.push(piece(6_000, || ())))).is_ready());
    }
    assert_eq!(stream.queued_bytes(), 20_192);
    {
        let mut push = pin!(stream.push(piece(6_000, || ())));
        assert!(poll_once(push.as_mut()).is_pending());
        go_on.send(()).unwrap();
        block_on(push);
    }
    let data = [
        noise(5, 8192),
        noise(5, 6_000),
        noise(5, 6_000),
        noise(5, 6_000),
    ]
    .concat();
    assert_eq!(block_on(stream.finish()), Ok(oracle(&data)));
}

#[test]
fn window_shrinks_with_many_streams() {
    const MIB: usize = 1 << 20;
    let engine = HashEngine::start(1).unwrap();
    let mut stream = engine.stream();
    let others: Vec<_> = (1..64).map(|_| engine.stream()).collect();
    let (first, is_reached, go_on) = stopper();
    block_on(stream.push(first));
    is_reached.recv().unwrap();
    let quarter = Bytes::from(vec![0; MIB / 4]);
    let mut taken = 0;
    while poll_once(pin!(stream.push(quarter.clone()))).is_ready() {
        taken += quarter.len();
    }
    assert_eq!(taken, MIB / 2);
    drop(others);
    while poll_once(pin!(stream.push(quarter.clone()))).is_ready() {
        taken += quarter.len();
    }
    assert_eq!(taken, 2 * MIB);
    go_on.send(()).unwrap();
}

#[test]
fn dropped_stream_discards_its_queue() {
    let engine = HashEngine::start(1).unwrap();
    let mut stream = engine.stream();
    let (first, is_reached, _go_on) = stopper();
    block_on(stream.push(first));
    is_reached.recv().unwrap();
    let (dropped, is_dropped) = channel();
    let on_drop = move || dropped.send(()).unwrap();
    block_on(stream.push(piece(10_000, on_drop)));
    assert!(is_dropped.try_recv().is_err());
    drop(stream);
    // The hash thread is still blocked.
    is_dropped.try_recv().unwrap();
}

#[test]
fn panic_on_a_hash_thread_fails_only_its_streams() {
    let engine = HashEngine::start(1).unwrap();
    let mut stream = engine.stream();
    let (first, is_reached, go_on) = stopper();
    let finished = block_on(async {
        stream.push(first).await;
        is_reached.recv().unwrap();
        stream
            .push(piece(9_000, || panic!("a piece of the test")))
            .await;
        let mut finish = pin!(stream.finish());
        assert!(poll_once(finish.as_mut()).is_pending());
        go_on.send(()).unwrap();
        finish.await
    });
    assert_eq!(finished, Err(DigestLost));
    assert_eq!(
        block_on(hash_all(&engine, &[vec![70_000, 5]])),
        Vec::<usize>::new()
    );
}

#[test]
fn push_to_a_lost_stream_does_not_wait() {
    let engine = HashEngine::start(1).unwrap();
    let mut stream = engine.stream_with_window(1);
    let (started, has_started) = channel();
    let finished = block_on(async {
        let on_drop = move || {
            started.send(()).unwrap();
            panic!("a piece of the test");
        };
        stream.push(piece(9_000, on_drop)).await;
        has_started.recv().unwrap();
        for _ in 0..3 {
            stream.push(Bytes::from(noise(1, 9_000))).await;
        }
        stream.finish().await
    });
    assert_eq!(finished, Err(DigestLost));
}

#[test]
fn threads_end_with_the_last_handle() {
    let (ended, has_ended) = channel();
    let engine = HashEngine::start(3).unwrap();
    let stream = engine.stream();
    let threads = engine.watch();
    drop(engine.clone());
    drop(engine);
    assert!(threads.upgrade().is_some(), "a stream is left");
    drop(stream);
    std::thread::spawn(move || {
        while threads.upgrade().is_some() {
            std::thread::yield_now();
        }
        ended.send(()).unwrap();
    });
    has_ended
        .recv_timeout(std::time::Duration::from_secs(20))
        .unwrap();
}

#[test]
fn handles_are_send_and_sync() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<HashEngine>();
    is_sync::<HashEngine>();
    is_send::<Md5Stream>();
}
