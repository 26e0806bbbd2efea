//! x86 vector registers as [`Word`]s: the same word of several streams side by side.
//!
//! Every method only wraps `std::arch` intrinsics. The methods are `inline(always)`, so that they
//! become part of a kernel that is compiled for the CPU features it needs; only kernels may call
//! them.

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_add_epi32, _mm_rol_epi32, _mm_set1_epi32,
    _mm_ternarylogic_epi32, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256,
    _mm256_or_si256, _mm256_rol_epi32, _mm256_set1_epi32, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_ternarylogic_epi32, _mm256_xor_si256, _mm512_add_epi32, _mm512_rol_epi32,
    _mm512_set1_epi32, _mm512_ternarylogic_epi32,
};

use super::rounds::Word;

/// Four words, for AVX-512VL.
#[derive(Clone, Copy)]
pub(super) struct Vl4(pub(super) __m128i);

/// Eight words, for AVX-512VL.
#[derive(Clone, Copy)]
pub(super) struct Vl8(pub(super) __m256i);

/// Sixteen words, for AVX-512F.
#[derive(Clone, Copy)]
pub(super) struct Zmm16(pub(super) __m512i);

/// Eight words, for AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx8(pub(super) __m256i);

// Truth tables for the ternary logic instruction: bit `4x + 2y + z` is the result.
const F: i32 = 0b1100_1010;
const G: i32 = 0b1110_0100;
const H: i32 = 0b1001_0110;
const I: i32 = 0b0011_1001;

macro_rules! ternary_word {
    ($name:ident, $splat:ident, $add:ident, $rotate:ident, $ternary:ident) => {
        impl Word for $name {
            #[inline(always)]
            unsafe fn splat(value: u32) -> Self {
                // SAFETY: the caller's CPU has the features, see `Word`.
                unsafe { Self($splat(value.cast_signed())) }
            }
            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { Self($add(self.0, other.0)) }
            }
            #[inline(always)]
            unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
                // SAFETY: as above.
                unsafe { Self($rotate::<LEFT>(self.0)) }
            }
            #[inline(always)]
            unsafe fn plus_f(self, x: Self, y: Self, z: Self) -> Self {
                // SAFETY: as above.
                unsafe { self.plus(Self($ternary::<F>(x.0, y.0, z.0))) }
            }
            #[inline(always)]
            unsafe fn plus_g(self, x: Self, y: Self, z: Self) -> Self {
                // SAFETY: as above.
                unsafe { self.plus(Self($ternary::<G>(x.0, y.0, z.0))) }
            }
            #[inline(always)]
            unsafe fn plus_h(self, x: Self, y: Self, z: Self) -> Self {
                // SAFETY: as above.
                unsafe { self.plus(Self($ternary::<H>(x.0, y.0, z.0))) }
            }
            #[inline(always)]
            unsafe fn plus_i(self, x: Self, y: Self, z: Self) -> Self {
                // SAFETY: as above.
                unsafe { self.plus(Self($ternary::<I>(x.0, y.0, z.0))) }
            }
        }
    };
}

ternary_word!(
    Vl4,
    _mm_set1_epi32,
    _mm_add_epi32,
    _mm_rol_epi32,
    _mm_ternarylogic_epi32
);
ternary_word!(
    Vl8,
    _mm256_set1_epi32,
    _mm256_add_epi32,
    _mm256_rol_epi32,
    _mm256_ternarylogic_epi32
);
ternary_word!(
    Zmm16,
    _mm512_set1_epi32,
    _mm512_add_epi32,
    _mm512_rol_epi32,
    _mm512_ternarylogic_epi32
);

impl Word for Avx8 {
    #[inline(always)]
    unsafe fn splat(value: u32) -> Self {
        // SAFETY: the caller's CPU has AVX2, see `Word`.
        unsafe { Self(_mm256_set1_epi32(value.cast_signed())) }
    }
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_add_epi32(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe {
            let high = _mm256_slli_epi32::<LEFT>(self.0);
            Self(_mm256_or_si256(high, _mm256_srli_epi32::<RIGHT>(self.0)))
        }
    }
    #[inline(always)]
    unsafe fn plus_f(self, x: Self, y: Self, z: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let picked = _mm256_and_si256(x.0, _mm256_xor_si256(y.0, z.0));
            self.plus(Self(_mm256_xor_si256(picked, z.0)))
        }
    }
    #[inline(always)]
    unsafe fn plus_g(self, x: Self, y: Self, z: Self) -> Self {
        // SAFETY: as above. The two terms share no bit, so they can be added separately.
        unsafe {
            let early = self.plus(Self(_mm256_andnot_si256(z.0, y.0)));
            early.plus(Self(_mm256_and_si256(x.0, z.0)))
        }
    }
    #[inline(always)]
    unsafe fn plus_h(self, x: Self, y: Self, z: Self) -> Self {
        // SAFETY: as above.
        unsafe { self.plus(Self(_mm256_xor_si256(x.0, _mm256_xor_si256(y.0, z.0)))) }
    }
    #[inline(always)]
    unsafe fn plus_i(self, x: Self, y: Self, z: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let inverted = _mm256_xor_si256(z.0, _mm256_set1_epi32(-1));
            self.plus(Self(_mm256_xor_si256(y.0, _mm256_or_si256(x.0, inverted))))
        }
    }
}
