//! Which kernels this CPU gets, decided once.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::lanes::LaneKernel;
use super::rounds::{BLOCK_BYTES, INITIAL};
use super::single::Single;

/// The compressors in use.
#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) single: Single,
    /// Narrowest first; empty where the CPU has no vectors we know.
    lanes: Vec<LaneKernel>,
    /// For a log line: the widest lanes and the single compressor.
    pub(super) name: String,
}

impl Kernels {
    pub(super) fn new(single: Single, lanes: Vec<LaneKernel>) -> Self {
        let name = match lanes.last() {
            Some(widest) => format!("{}+{}", widest.name, single.name),
            None => single.name.to_owned(),
        };
        Self {
            single,
            lanes,
            name,
        }
    }

    /// The best this CPU has.
    pub(super) fn chosen() -> &'static Self {
        static CHOSEN: OnceLock<Kernels> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::new(fastest(&singles()), lanes()))
    }

    /// Streams that one thread takes together; 1 means that there are no lanes.
    pub(super) fn width(&self) -> usize {
        self.lanes.last().map_or(1, |widest| widest.width)
    }

    /// The narrowest kernel for so many streams. None for a single stream, and
    /// where there is no kernel so wide.
    pub(super) fn for_streams(&self, streams: usize) -> Option<&LaneKernel> {
        // Two lanes already beat two turns of the best single compressor:
        // 1.46 against .81 GB/s with AVX-512, 1.25 with AVX2 (Zen 4).
        (streams >= 2)
            .then(|| self.lanes.iter().find(|kernel| kernel.width >= streams))
            .flatten()
    }
}

/// All compressors for one stream that run on this CPU.
pub(super) fn singles() -> Vec<Single> {
    let portable = [Single::portable()].into_iter();
    #[cfg(target_arch = "x86_64")]
    let singles = portable.chain(Single::avx512vl());
    #[cfg(not(target_arch = "x86_64"))]
    let singles = portable;
    singles.collect()
}

/// The best family of lane kernels that runs on this CPU.
fn lanes() -> Vec<LaneKernel> {
    let mut families = lane_families();
    families.retain(|family| !family.is_empty());
    families.into_iter().next().unwrap_or_default()
}

/// All families of lane kernels, best first; one that the CPU cannot run is empty.
pub(super) fn lane_families() -> Vec<Vec<LaneKernel>> {
    #[cfg(target_arch = "x86_64")]
    return vec![LaneKernel::avx512(), LaneKernel::avx2()];
    #[cfg(not(target_arch = "x86_64"))]
    return Vec::new();
}

/// The winner of a race of some 100 us. The features do not tell: the vector
/// compressor wins by an eighth where a vector rotation takes one cycle, and
/// loses by a tenth where it takes two.
fn fastest(singles: &[Single]) -> Single {
    const HEATS: usize = 8;
    let blocks = [[0; BLOCK_BYTES]; 64];
    let mut best = vec![Duration::MAX; singles.len()];
    for _ in 0..HEATS {
        for (single, best) in singles.iter().zip(&mut best) {
            let mut chain = INITIAL;
            let start = Instant::now();
            single.run(std::hint::black_box(&mut chain), &blocks);
            *best = start.elapsed().min(*best);
        }
    }
    let winner = best.iter().zip(singles).min_by_key(|(time, _)| **time);
    winner.map_or(Single::portable(), |(_, single)| *single)
}
