//! Selects the compression functions (kernels) for this CPU, once per process: the widest lanes
//! that it supports, and the fastest single-stream function by measurement.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::lanes::LaneKernel;
use super::rounds::{BLOCK_BYTES, INITIAL};
use super::single::Single;

/// A set of kernels.
#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) single: Single,
    /// Narrowest first; empty if the CPU has no supported vector instructions.
    lanes: Vec<LaneKernel>,
    /// Name for the log: the widest lanes and the single-stream function.
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

    /// Returns the best kernels for this CPU.
    pub(super) fn chosen() -> &'static Self {
        static CHOSEN: OnceLock<Kernels> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::new(fastest(&singles()), lanes()))
    }

    /// Returns the number of streams that one thread hashes together; 1 without lanes.
    pub(super) fn width(&self) -> usize {
        self.lanes.last().map_or(1, |widest| widest.width)
    }

    /// Returns the narrowest kernel for a number of streams, or `None` for a single stream and if
    /// no kernel is wide enough.
    pub(super) fn for_streams(&self, streams: usize) -> Option<&LaneKernel> {
        // Two lanes are already faster than two runs of the best single-stream function: 1.46
        // against .81 GB/s with AVX-512, 1.25 with AVX2 (Zen 4).
        (streams >= 2)
            .then(|| self.lanes.iter().find(|kernel| kernel.width >= streams))
            .flatten()
    }
}

/// Returns all single-stream functions that run on this CPU.
pub(super) fn singles() -> Vec<Single> {
    let portable = [Single::portable(), Single::md_5()].into_iter();
    #[cfg(target_arch = "x86_64")]
    let singles = portable.chain(Single::avx512vl());
    #[cfg(not(target_arch = "x86_64"))]
    let singles = portable;
    singles.collect()
}

/// Returns the best family of lane kernels that runs on this CPU.
fn lanes() -> Vec<LaneKernel> {
    let mut families = lane_families();
    families.retain(|family| !family.is_empty());
    families.into_iter().next().unwrap_or_default()
}

/// Returns all families of lane kernels, best first. A family that the CPU does not support is
/// empty.
pub(super) fn lane_families() -> Vec<Vec<LaneKernel>> {
    #[cfg(target_arch = "x86_64")]
    return vec![LaneKernel::avx512(), LaneKernel::avx2()];
    #[cfg(not(target_arch = "x86_64"))]
    return Vec::new();
}

/// Returns the fastest function, by a measurement of some 100 us.
///
/// The CPU's feature flags do not tell which is faster: the vector function is an eighth faster
/// where a vector rotation takes one cycle, and a tenth slower where it takes two.
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
