// Explicit vectors on GNU vector types: one source for SSE4, AVX2, AVX-512 and anything else.
#pragma once

#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef PEAR_ISA
#error "compile the kernels with -DPEAR_ISA=<name>"
#endif
#define PEAR_JOIN_(a, b) a##b
#define PEAR_JOIN(a, b) PEAR_JOIN_(a, b)
#define PEAR_INLINE __attribute__((always_inline)) static inline

namespace pear {
namespace PEAR_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float VecF __attribute__((vector_size(kLanes * 4)));
typedef int32_t VecI __attribute__((vector_size(kLanes * 4)));
typedef float VecFUnaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

PEAR_INLINE VecF load(const float* p) { return *reinterpret_cast<const VecFUnaligned*>(p); }
PEAR_INLINE void store(float* p, VecF v) { *reinterpret_cast<VecFUnaligned*>(p) = v; }
// A vector of 16-bit floats, widened.
PEAR_INLINE VecF load(const uint16_t* p) {
#if defined(__AVX512F__)
  return (VecF)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return (VecF)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  // Exponent and mantissa move into place; the factor 2^112 shifts the exponent's bias and makes
  // small numbers normal.
  VecF v;
  for (int i = 0; i < kLanes; ++i) {
    const uint32_t sign = static_cast<uint32_t>(p[i] & 0x8000u) << 16;
    const uint32_t rest = static_cast<uint32_t>(p[i] & 0x7fffu) << 13;
    float magnitude;
    __builtin_memcpy(&magnitude, &rest, 4);
    magnitude *= 5.192296858534828e33f;
    v[i] = sign ? -magnitude : magnitude;
  }
  return v;
#endif
}
PEAR_INLINE VecF broadcast(float x) { return x - VecF{}; }
// a < b ? a : b and a > b ? a : b (so b where either is NaN), which is what the instructions do.
PEAR_INLINE VecF min(VecF a, VecF b) {
#if defined(__AVX512F__)
  return (VecF)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (VecF)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE4_1__)
  return (VecF)_mm_min_ps((__m128)a, (__m128)b);
#else
  return a < b ? a : b;
#endif
}
PEAR_INLINE VecF max(VecF a, VecF b) {
#if defined(__AVX512F__)
  return (VecF)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (VecF)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE4_1__)
  return (VecF)_mm_max_ps((__m128)a, (__m128)b);
#else
  return a > b ? a : b;
#endif
}
PEAR_INLINE VecF zero_unless(VecI mask, VecF v) { return mask ? v : VecF{}; }
PEAR_INLINE VecF abs(VecF v) { return (VecF)((VecI)v & 0x7fffffff); }
PEAR_INLINE VecF negative_abs(VecF v) { return (VecF)((VecI)v | INT32_MIN); }
// The vector at p + Shift, given the vectors at p and at p + kLanes. Every other wide load would
// straddle two cache lines, which costs more than joining two registers.
template <int Shift>
PEAR_INLINE VecF load_shifted(const float* p, VecF low, VecF high) {
#if defined(__AVX512F__)
  (void)p;
  return (VecF)_mm512_alignr_epi32((__m512i)high, (__m512i)low, Shift);
#else
  (void)low;
  (void)high;
  return load(p + Shift);
#endif
}
// True where v is neither NaN nor infinite.
PEAR_INLINE VecI is_finite(VecF v) { return (v - v) == VecF{}; }

PEAR_INLINE int min_int(int a, int b) { return a < b ? a : b; }
PEAR_INLINE int max_int(int a, int b) { return a > b ? a : b; }

// 0, 1, 2, ... one number a lane.
PEAR_INLINE VecF lane_index() {
  VecF v;
  for (int i = 0; i < kLanes; ++i) v[i] = static_cast<float>(i);
  return v;
}

PEAR_INLINE bool any(VecI mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__SSE4_1__)
  return _mm_movemask_ps((__m128)mask) != 0;
#else
  int32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= mask[i];
  return bits != 0;
#endif
}

#if defined(__x86_64__)
PEAR_INLINE float sum4(__m128 v) {
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}
#endif

// Sum over the lanes.
PEAR_INLINE float sum(VecF v) {
#if defined(__AVX512F__)
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd((__m512)v), 1));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), high);
  return sum4(_mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
#elif defined(__AVX2__)
  return sum4(_mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1)));
#elif defined(__SSE4_1__)
  return sum4((__m128)v);
#else
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += v[i];
  return total;
#endif
}

PEAR_INLINE VecF sqrt(VecF v) {
#if defined(__AVX512F__)
  return (VecF)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__)
  return (VecF)_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE4_1__)
  return (VecF)_mm_sqrt_ps((__m128)v);
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

// 1 / v for normal numbers: an estimate and one step of Newton's, a third of a division's time.
PEAR_INLINE VecF reciprocal(VecF v) {
#if defined(__AVX512F__)
  const VecF estimate = (VecF)_mm512_rcp14_ps((__m512)v);
  return estimate * (2.f - v * estimate);
#else
  return 1.f / v;
#endif
}

// 2^p for p in (-126, 128): minimax polynomial of degree 5 on the fraction, relative error 7e-8.
// The fraction is split towards zero, so it lies in (-1, 1).
PEAR_INLINE VecF exp2(VecF p) {
  const VecI whole = __builtin_convertvector(p, VecI);
  const VecF f = p - __builtin_convertvector(whole, VecF);
  VecF r = broadcast(9.3878831954e-04f);
  r = r * f + 9.1886118335e-03f;
  r = r * f + 5.5279722848e-02f;
  r = r * f + 2.4017218945e-01f;
  r = r * f + 6.9314225265e-01f;
  r = r * f + 9.9999992507e-01f;
  return (VecF)((VecI)r + (whole << 23));
}

// log2 of positive normal numbers by the series of artanh; relative error near 1e-7.
PEAR_INLINE VecF log2(VecF x) {
  const VecI bits = (VecI)x;
  const VecI exponent = (bits - 0x3f3504f3) >> 23;  // mantissa ends up in [sqrt(1/2), sqrt(2))
  const VecF m = (VecF)(bits - (exponent << 23));
  const VecF t = (m - 1.f) / (m + 1.f);
  const VecF t2 = t * t;
  VecF r = t2 * (1.f / 9) + (1.f / 7);
  r = r * t2 + 0.2f;
  r = r * t2 + (1.f / 3);
  r = r * t2 + 1.f;
  return r * t * 2.8853900817779268f + __builtin_convertvector(exponent, VecF);
}

// Read rows of `stride` floats into D vectors, one row a lane; lanes past `count` repeat row 0.
template <int D>
PEAR_INLINE void load_rows(const float* rows, int count, VecF* out) {
  float t[D][kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    const float* row = rows + (lane < count ? lane : 0) * static_cast<int64_t>(D);
    for (int d = 0; d < D; ++d) t[d][lane] = row[d];
  }
  for (int d = 0; d < D; ++d) out[d] = load(t[d]);
}

template <int D>
PEAR_INLINE void store_rows(float* rows, int count, const VecF* in) {
  float t[D][kLanes];
  for (int d = 0; d < D; ++d) store(t[d], in[d]);
  for (int lane = 0; lane < count; ++lane)
    for (int d = 0; d < D; ++d) rows[lane * D + d] = t[d][lane];
}

}  // namespace PEAR_ISA
}  // namespace pear
