//! Access to each kernel, for the benchmarks.

use super::cpu::{lane_families, singles};
use super::rounds::{BLOCK_BYTES, Chain, INITIAL};

type Run = dyn Fn(&mut [Chain], &[&[u8]]);

/// A kernel that this CPU can run.
pub struct Measurable {
    /// Instruction set and number of lanes.
    pub name: &'static str,
    /// Most streams that it processes at once.
    pub width: usize,
    run: Box<Run>,
}

impl Measurable {
    /// Returns all kernels that this CPU supports, those for one stream first.
    pub fn all() -> Vec<Self> {
        let singles = singles().into_iter().map(|single| Self {
            name: single.name,
            width: 1,
            run: Box::new(move |chains, streams| {
                single.run(&mut chains[0], streams[0].as_chunks().0);
            }),
        });
        let lanes = lane_families().into_iter().flatten().map(|kernel| Self {
            name: kernel.name,
            width: kernel.width,
            run: Box::new(move |chains, streams| {
                let blocks = streams[0].len() / BLOCK_BYTES;
                kernel.run(chains.iter_mut().zip(streams.iter().copied()), blocks);
            }),
        });
        singles.chain(lanes).collect()
    }

    /// Hashes the whole blocks of `streams`: at most `width` streams of equal length. Returns the
    /// chaining values, so that the optimiser cannot remove the computation.
    pub fn run(&self, streams: &[&[u8]]) -> Vec<[u32; 4]> {
        let mut chains = vec![INITIAL; streams.len()];
        (self.run)(&mut chains, streams);
        chains
    }
}
