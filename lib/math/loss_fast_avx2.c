// The fast path with AVX2 and FMA.
#include "math/loss_fast.h"
#include "math/vectorised.h"

#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#include <stdint.h>

// The build zeroes automatic variables; these arrays are written before they are read, and their zeroing
// would cost as much as a sixth of the work.
#define BARE __attribute__((uninitialized))

enum { LANES = 8 };
#define vec __m256

// The first `count` lanes: a window on ones followed by zeros.
static inline __m256i first(size_t count)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - count));
}

static inline vec vec_all(float value)
{
    return _mm256_set1_ps(value);
}

static inline vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

// The same, in a register: the compiler would load it once for each use.
static inline vec vec_hold(vec v)
{
    __asm__("" : "+x"(v));
    return v;
}

static inline vec vec_load_first(const float *from, size_t count, float fill)
{
    __m256i mask = first(count);
    return _mm256_blendv_ps(vec_all(fill), _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask));
}

static inline void vec_store(float *to, vec v)
{
    _mm256_storeu_ps(to, v);
}

static inline void vec_store_first(float *to, vec v, size_t count)
{
    _mm256_maskstore_ps(to, first(count), v);
}

static inline vec vec_keep_first(vec v, size_t count)
{
    return _mm256_and_ps(v, _mm256_castsi256_ps(first(count)));
}

// Without its lane `index`, where there is one.
static inline vec vec_drop(vec v, int index)
{
    const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(lanes, _mm256_set1_epi32(index))), v);
}

static inline bool vec_any_nan(vec v)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)) != 0;
}

// Rows to columns: pairs of floats, pairs of pairs, then halves of the vectors.
INLINE void vec_transpose(vec v[LANES])
{
    BARE vec t[LANES];
#pragma GCC unroll 4
    for (size_t i = 0; i < LANES; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < LANES; i += 4) {
        v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        vec low = v[i], high = v[i + 4];
        v[i] = _mm256_permute2f128_ps(low, high, 0x20);
        v[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
}

// `yes` in the lanes whose label is `label`.
static inline vec vec_pick(vec labels, float label, vec yes, vec no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(labels, vec_all(label), _CMP_EQ_OQ));
}

static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

// a·b + c
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

// c - a·b
static inline vec vec_fnma(vec a, vec b, vec c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

// v · 2^n, with n in the lowest bits of `shifted`; the result must be normal.
static inline vec vec_scale_bits(vec v, vec shifted)
{
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), exponent));
}

static inline float vec_largest(vec v)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

static inline double vec_total(vec v)
{
    __m256d sum = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(v)),
                                _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(sum), _mm256_extractf128_pd(sum, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

#include "math/loss_fast_row.h"

#include "math/loss_fast_double.h"
#include "math/loss_fast_group.h"

bool loss_fast_avx2(struct loss_fast_row *row)
{
    return row_compute(row);
}

bool loss_fast64_avx2(struct loss_fast_row64 *row)
{
    return row64_compute(row);
}

bool loss_fast_group_avx2(struct loss_fast_group *group)
{
    return group_compute(group);
}
#endif
