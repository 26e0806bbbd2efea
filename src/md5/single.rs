//! Compression functions for one stream. `cpu` measures which of them is fastest.
//!
//! The chain of dependent instructions limits the speed. General registers need five, four, four
//! and five cycles in a round of the four kinds. AVX-512VL needs four in each where a vector
//! rotation takes one cycle (Intel), and five where it takes two (AMD Zen 4).

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm_cvtsi32_si128, _mm_cvtsi128_si32, _mm_loadu_si32};

use super::rounds::{BLOCK_BYTES, Chain, Word, block, sines};
#[cfg(target_arch = "x86_64")]
use super::vectors::Vl4;

/// A compression function for one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Single {
    pub(super) name: &'static str,
    /// Safe to call on this CPU: a value is created only after the CPU's features were checked.
    run: unsafe fn(&mut Chain, &[[u8; BLOCK_BYTES]]),
}

impl Single {
    /// Updates `chain` with all of `blocks`.
    pub(super) fn run(&self, chain: &mut Chain, blocks: &[[u8; BLOCK_BYTES]]) {
        // SAFETY: the CPU has what the function needs, see the field.
        unsafe { (self.run)(chain, blocks) }
    }

    /// Returns the function in plain Rust, which runs on every CPU.
    pub(super) const fn portable() -> Self {
        Self {
            name: "portable",
            run: portable,
        }
    }

    /// Returns the compressor of the `md-5` crate, which runs on every CPU.
    pub(super) const fn md_5() -> Self {
        Self {
            name: "md-5",
            run: md_5,
        }
    }

    /// Returns the compressor for AVX-512VL, or `None` if this CPU lacks it.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx512vl() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        present.then_some(Self {
            name: "avx512vl",
            run: avx512vl,
        })
    }
}

/// Returns the sixteen words of a block.
#[inline(always)]
fn words(block: &[u8; BLOCK_BYTES]) -> [u32; 16] {
    let (words, _) = block.as_chunks::<4>();
    std::array::from_fn(|at| u32::from_le_bytes(words[at]))
}

fn portable(chain: &mut Chain, blocks: &[[u8; BLOCK_BYTES]]) {
    let sines = sines();
    for data in blocks {
        // SAFETY: plain `u32` needs no CPU feature.
        *chain = unsafe { block(*chain, &words(data), sines) };
    }
}

fn md_5(chain: &mut Chain, blocks: &[[u8; BLOCK_BYTES]]) {
    // The crate has the name of this crate's module.
    ::md5::block_api::compress(chain, blocks);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn avx512vl(chain: &mut Chain, blocks: &[[u8; BLOCK_BYTES]]) {
    // Only the lowest lane is used.
    let sines = sines();
    let mut vector = chain.map(|word| Vl4(_mm_cvtsi32_si128(word.cast_signed())));
    for data in blocks {
        let (words, _) = data.as_chunks::<4>();
        // SAFETY: each load reads the four bytes of its array. With loads through `u32` the
        // compiler would load more at once and extract the words, which is a third slower.
        let words = std::array::from_fn(|at| Vl4(unsafe { _mm_loadu_si32(words[at].as_ptr()) }));
        // SAFETY: this function is compiled for the features `Vl4` needs.
        vector = unsafe { block(vector, &words, sines) };
    }
    *chain = vector.map(|word| _mm_cvtsi128_si32(word.0).cast_unsigned());
}

// The methods of this type need no CPU features.
impl Word for u32 {
    #[inline(always)]
    unsafe fn splat(value: u32) -> Self {
        value
    }
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        self.rotate_left(LEFT.cast_unsigned())
    }
    #[inline(always)]
    unsafe fn plus_f(self, x: Self, y: Self, z: Self) -> Self {
        self.wrapping_add(z ^ (x & (y ^ z)))
    }
    #[inline(always)]
    unsafe fn plus_g(self, x: Self, y: Self, z: Self) -> Self {
        // The two terms share no bit, so they can be added separately; the one without `x` first.
        self.wrapping_add(y & !z).wrapping_add(x & z)
    }
    #[inline(always)]
    unsafe fn plus_h(self, x: Self, y: Self, z: Self) -> Self {
        self.wrapping_add(x ^ (y ^ z))
    }
    #[inline(always)]
    unsafe fn plus_i(self, x: Self, y: Self, z: Self) -> Self {
        self.wrapping_add(y ^ (x | !z))
    }
}
