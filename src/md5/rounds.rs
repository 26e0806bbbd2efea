//! The 64 rounds of MD5 (RFC 1321, 3.4), written once for every register width.
//!
//! A [`Word`] is one 32-bit word of one stream, or the same word of several streams side by side.
//! Each kernel uses one such type with the same rounds.

/// The chaining value A, B, C, D of one stream.
pub(super) type Chain = [u32; 4];

/// The initial chaining value (RFC 1321, 3.3).
pub(super) const INITIAL: Chain = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Size of an MD5 block in bytes.
pub(super) const BLOCK_BYTES: usize = 64;

/// The additive constants: the integer part of `abs(sin(i + 1)) * 2^32`.
#[rustfmt::skip]
static SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The additive constants as a value that the optimiser does not know.
pub(super) type Sines = [u32; 64];

/// The additive constants, hidden from the optimiser.
///
/// The optimiser adds a known constant last, after the mixing function. This lengthens the chain
/// of dependent instructions by one in every round: .65 instead of .81 GB/s. A value that must be
/// loaded is added early. Only the speed depends on this.
#[inline(always)]
pub(super) fn sines() -> &'static Sines {
    std::hint::black_box(&SINES)
}

/// One 32-bit word of each of the type's streams.
///
/// The four mixing functions include the addition that follows them, so that an implementation
/// can first add the terms that do not depend on `x`. `x` is the result of the previous round; the
/// chain of instructions through it determines the time of a round.
///
/// # Safety
/// The methods of a type may be called only on a CPU with the features that the type's
/// documentation names. They are inlined into functions that are compiled for those features.
pub(super) trait Word: Copy {
    /// Returns the same value in every lane.
    unsafe fn splat(value: u32) -> Self;
    /// Adds with wrapping.
    unsafe fn plus(self, other: Self) -> Self;
    /// Rotates left by `LEFT` bits; `RIGHT` is `32 - LEFT`.
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
    /// `self + ((x & y) | (!x & z))`
    unsafe fn plus_f(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + ((x & z) | (y & !z))`
    unsafe fn plus_g(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (x ^ y ^ z)`
    unsafe fn plus_h(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (y ^ (x | !z))`
    unsafe fn plus_i(self, x: Self, y: Self, z: Self) -> Self;
}

/// Runs four rounds. After them A, B, C and D have their original order.
macro_rules! four {
    ($mix:ident, $chain:ident, $words:ident, $sines:ident, $round:literal, [$($index:literal),*], [$($left:literal),*]) => {{
        let [mut a, mut b, mut c, mut d] = $chain;
        let mut round = $round;
        $(
            let sum = a.plus($words[$index].plus(W::splat($sines[round])));
            let turned = sum.$mix(b, c, d).rotate::<$left, { 32 - $left }>();
            (a, d, c, b) = (d, c, b, b.plus(turned));
            round += 1;
        )*
        let _ = round;
        $chain = [a, b, c, d];
    }};
}

/// Updates the chaining values `start` with one block of sixteen words.
///
/// # Safety
/// As for the methods of `W`, see [`Word`].
#[inline(always)]
#[rustfmt::skip]
pub(super) unsafe fn block<W: Word>(start: [W; 4], words: &[W; 16], sines: &Sines) -> [W; 4] {
    let mut chain = start;
    // SAFETY: guaranteed by the caller, as these methods require.
    unsafe {
        four!(plus_f, chain, words, sines, 0, [0, 1, 2, 3], [7, 12, 17, 22]);
        four!(plus_f, chain, words, sines, 4, [4, 5, 6, 7], [7, 12, 17, 22]);
        four!(plus_f, chain, words, sines, 8, [8, 9, 10, 11], [7, 12, 17, 22]);
        four!(plus_f, chain, words, sines, 12, [12, 13, 14, 15], [7, 12, 17, 22]);
        four!(plus_g, chain, words, sines, 16, [1, 6, 11, 0], [5, 9, 14, 20]);
        four!(plus_g, chain, words, sines, 20, [5, 10, 15, 4], [5, 9, 14, 20]);
        four!(plus_g, chain, words, sines, 24, [9, 14, 3, 8], [5, 9, 14, 20]);
        four!(plus_g, chain, words, sines, 28, [13, 2, 7, 12], [5, 9, 14, 20]);
        four!(plus_h, chain, words, sines, 32, [5, 8, 11, 14], [4, 11, 16, 23]);
        four!(plus_h, chain, words, sines, 36, [1, 4, 7, 10], [4, 11, 16, 23]);
        four!(plus_h, chain, words, sines, 40, [13, 0, 3, 6], [4, 11, 16, 23]);
        four!(plus_h, chain, words, sines, 44, [9, 12, 15, 2], [4, 11, 16, 23]);
        four!(plus_i, chain, words, sines, 48, [0, 7, 14, 5], [6, 10, 15, 21]);
        four!(plus_i, chain, words, sines, 52, [12, 3, 10, 1], [6, 10, 15, 21]);
        four!(plus_i, chain, words, sines, 56, [8, 15, 6, 13], [6, 10, 15, 21]);
        four!(plus_i, chain, words, sines, 60, [4, 11, 2, 9], [6, 10, 15, 21]);
        [
            start[0].plus(chain[0]),
            start[1].plus(chain[1]),
            start[2].plus(chain[2]),
            start[3].plus(chain[3]),
        ]
    }
}
