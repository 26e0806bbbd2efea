//! Compression functions for several streams at once: each lane of a vector register holds one.
//!
//! The rounds cost the same for all lanes as for one. Every kernel processes the same number of
//! blocks of each lane, so the caller passes the number that all its streams have.

#[cfg(target_arch = "x86_64")]
use super::registers::{Lanes, words};
use super::rounds::{BLOCK_BYTES, Chain};
#[cfg(target_arch = "x86_64")]
use super::rounds::{block, sines};
#[cfg(target_arch = "x86_64")]
use super::vectors::{Avx8, Vl4, Vl8, Zmm16};

/// Number of lanes of the widest kernel.
pub(super) const MOST_LANES: usize = 16;

/// The chaining values of all lanes, word by word: first word A of every lane.
type ChainsByWord = [[u32; MOST_LANES]; 4];

type Kernel = unsafe fn(&mut ChainsByWord, &[*const u8; MOST_LANES], usize);

/// A compression function for several streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneKernel {
    pub(super) name: &'static str,
    /// Most streams that it processes at once.
    pub(super) width: usize,
    /// Safe to call on this CPU for rows of at least the given number of blocks: a value is
    /// created only after the CPU's features were checked.
    run: Kernel,
}

impl LaneKernel {
    /// Updates the chaining value of every lane with the first `blocks` blocks of its data.
    ///
    /// # Panics
    /// If there are more lanes than `width`, or a lane has less data.
    pub(super) fn run<'lane>(
        &self,
        lanes: impl Iterator<Item = (&'lane mut Chain, &'lane [u8])>,
        blocks: usize,
    ) {
        let mut owners = [const { None }; MOST_LANES];
        let mut rows = [std::ptr::null(); MOST_LANES];
        let mut chains = [[0; MOST_LANES]; 4];
        let mut count = 0;
        for (chain, data) in lanes {
            assert!(count < self.width, "more lanes than {self:?} has");
            assert!(
                blocks <= data.len() / BLOCK_BYTES,
                "a lane has less than {blocks} blocks"
            );
            rows[count] = data.as_ptr();
            for (word, value) in chain.iter().enumerate() {
                chains[word][count] = *value;
            }
            owners[count] = Some(chain);
            count += 1;
        }
        if count == 0 {
            return;
        }
        // Unused lanes read the first lane's bytes, which are in the CPU cache.
        let first = rows[0];
        rows[count..].fill(first);
        // SAFETY: the CPU has what the kernel needs, see the field; every row
        // has `blocks` blocks, as checked above, and stays borrowed meanwhile.
        unsafe { (self.run)(&mut chains, &rows, blocks) };
        for (lane, chain) in owners.into_iter().flatten().enumerate() {
            *chain = std::array::from_fn(|word| chains[word][lane]);
        }
    }

    /// Returns the AVX-512 kernels that this CPU supports, narrowest first. A narrower one is
    /// included if it is faster for the number of streams that it processes.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx512() -> Vec<Self> {
        if !is_x86_feature_detected!("avx512f") || !is_x86_feature_detected!("avx512vl") {
            return Vec::new();
        }
        vec![
            Self {
                name: "avx512x4",
                width: 4,
                run: avx512x4,
            },
            Self {
                name: "avx512x8",
                width: 8,
                run: avx512x8,
            },
            Self {
                name: "avx512x16",
                width: 16,
                run: avx512x16,
            },
        ]
    }

    /// Returns the AVX2 kernels that this CPU supports, as [`avx512`](Self::avx512).
    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx2() -> Vec<Self> {
        if !is_x86_feature_detected!("avx2") {
            return Vec::new();
        }
        vec![Self {
            name: "avx2x8",
            width: 8,
            run: avx2x8,
        }]
    }
}

/// # Safety
/// The CPU has the features of `L`, and each row `blocks` blocks.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn run<L: Lanes>(chains: &mut ChainsByWord, rows: &[*const u8; MOST_LANES], blocks: usize) {
    const { assert!(L::WIDTH <= MOST_LANES) }
    let sines = sines();
    // SAFETY: guaranteed by the caller and the assertion.
    unsafe {
        let mut chain = chains.each_ref().map(|words| L::load(words.as_ptr()));
        for at in 0..blocks {
            let words = words::<L>(rows.as_ptr(), at * BLOCK_BYTES);
            chain = block(chain, &words, sines);
        }
        for (words, vector) in chains.iter_mut().zip(chain) {
            vector.store(words.as_mut_ptr());
        }
    }
}

/// Declares a kernel that is compiled for the CPU features of its register type.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    ($name:ident, $register:ty, $features:literal) => {
        /// # Safety
        /// As for [`run`].
        #[target_feature(enable = $features)]
        unsafe fn $name(chains: &mut ChainsByWord, rows: &[*const u8; MOST_LANES], blocks: usize) {
            // SAFETY: compiled for the features; who calls vouches for the rows.
            unsafe { run::<$register>(chains, rows, blocks) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(avx512x4, Vl4, "avx512f,avx512vl");
#[cfg(target_arch = "x86_64")]
kernel!(avx512x8, Vl8, "avx512f,avx512vl");
#[cfg(target_arch = "x86_64")]
kernel!(avx512x16, Zmm16, "avx512f,avx512vl");
#[cfg(target_arch = "x86_64")]
kernel!(avx2x8, Avx8, "avx2");
