// The fast path with AVX-512.
#include "math/loss_fast.h"
#include "math/vectorised.h"

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
#include <immintrin.h>

// The build zeroes automatic variables; these arrays are written before they are read, and their zeroing
// would cost as much as a sixth of the work.
#define BARE __attribute__((uninitialized))

enum { LANES = 16 };
#define vec __m512

static inline __mmask16 first(size_t count)
{
    return (__mmask16)((1u << count) - 1);
}

static inline vec vec_all(float value)
{
    return _mm512_set1_ps(value);
}

static inline vec vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

// The same, in a register: the compiler would load it once for each use.
static inline vec vec_hold(vec v)
{
    __asm__("" : "+v"(v));
    return v;
}

static inline vec vec_load_first(const float *from, size_t count, float fill)
{
    return _mm512_mask_loadu_ps(vec_all(fill), first(count), from);
}

static inline void vec_store(float *to, vec v)
{
    _mm512_storeu_ps(to, v);
}

static inline void vec_store_first(float *to, vec v, size_t count)
{
    _mm512_mask_storeu_ps(to, first(count), v);
}

static inline vec vec_keep_first(vec v, size_t count)
{
    return _mm512_maskz_mov_ps(first(count), v);
}

// Without its lane `index`, where there is one.
static inline vec vec_drop(vec v, int index)
{
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_maskz_mov_ps(_mm512_cmpneq_epi32_mask(lanes, _mm512_set1_epi32(index)), v);
}

static inline bool vec_any_nan(vec v)
{
    return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) != 0;
}

// Rows to columns: pairs of floats, pairs of pairs, then quarters of the vectors twice.
INLINE void vec_transpose(vec v[LANES])
{
    BARE vec t[LANES];
#pragma GCC unroll 8
    for (size_t i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < LANES; i += 4) {
        v[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        v[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        v[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        v[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        vec low = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88),
            high = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
        vec low2 = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88),
            high2 = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
        v[i] = _mm512_shuffle_f32x4(low, low2, 0x88);
        v[i + 4] = _mm512_shuffle_f32x4(high, high2, 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(low, low2, 0xdd);
        v[i + 12] = _mm512_shuffle_f32x4(high, high2, 0xdd);
    }
}

// `yes` in the lanes whose label is `label`.
static inline vec vec_pick(vec labels, float label, vec yes, vec no)
{
    return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(labels, vec_all(label), _CMP_EQ_OQ), yes);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

// a·b + c
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

// c - a·b
static inline vec vec_fnma(vec a, vec b, vec c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

// v · 2^n, with n in the lowest bits of `shifted`; the result must be normal.
static inline vec vec_scale_bits(vec v, vec shifted)
{
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), exponent));
}

static inline float vec_largest(vec v)
{
    return _mm512_reduce_max_ps(v);
}

static inline double vec_total(vec v)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}

#include "math/loss_fast_row.h"

#include "math/loss_fast_double.h"
#include "math/loss_fast_group.h"

bool loss_fast_avx512(struct loss_fast_row *row)
{
    return row_compute(row);
}

bool loss_fast64_avx512(struct loss_fast_row64 *row)
{
    return row64_compute(row);
}

bool loss_fast_group_avx512(struct loss_fast_group *group)
{
    return group_compute(group);
}
#endif
