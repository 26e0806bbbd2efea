//! The kernels one by one, for the benches; nothing else needs to choose.

use super::cpu::{lane_families, singles};
use super::rounds::{BLOCK_BYTES, Chain, INITIAL};

type Run = dyn Fn(&mut [Chain], &[&[u8]]);

/// A kernel that this CPU can run.
pub struct Measurable {
    /// Instruction set and lanes.
    pub name: &'static str,
    /// The most streams it takes.
    pub width: usize,
    run: Box<Run>,
}

impl Measurable {
    /// All kernels that this CPU can run, those for one stream first.
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

    /// Takes the whole blocks of `streams`, at most `width` and equally long,
    /// and gives something that depends on all of them.
    pub fn run(&self, streams: &[&[u8]]) -> Vec<[u32; 4]> {
        let mut chains = vec![INITIAL; streams.len()];
        (self.run)(&mut chains, streams);
        chains
    }
}
