// Panels of up to three vectors of columns; within a panel, tiles of as many rows as leave all sums in
// registers while k goes by. A transposed b is turned around panel by panel; a wide one is copied, so that a
// panel's rows lie close together.
#include "math/product.h"

#include "math/vectorised.h"

#include <string.h>

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
#include <immintrin.h>

// The build zeroes automatic variables; these are written before they are read.
#define BARE __attribute__((uninitialized))

enum {
    LANES = 16,
    ROWS = 16,   // of a tile, at most
    VECTORS = 3, // of a panel
    WIDTH = PRODUCT_WIDTH,
    DEPTH = 192,      // rows of a turned or copied panel: 36 KiB, three quarters of a first-level cache
    COPY_WIDTH = 512, // a b of that many columns is worth copying,
    COPY_ROWS = 64    // where so many rows use the copy
};

static bool is_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
}

bool product_is_ours(void)
{
    return is_supported();
}

_Static_assert((int)WIDTH == VECTORS * LANES, "pieces begin where panels do");

// Where a panel's columns of b lie, and a's numbers: a[i · row + l · step], from the product's `first` l on.
struct panel {
    const float *b;
    size_t b_stride, row, step, k, first;
    size_t row_first, row_end; // of c
    __mmask16 last;            // of the last vector
};

// What a tile's sums start from: the bias in each row (stride 0), c itself where k goes on, or NULL for 0.
struct start {
    const float *at;
    size_t stride;
};

INLINE void tile(float *c, size_t c_stride, const float *a, const struct start *start,
                 const struct panel *panel, const size_t rows, const size_t vectors)
{
    __m512 sums[ROWS][VECTORS] BARE;
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < vectors; j++)
            sums[i][j] = start->at ? _mm512_maskz_loadu_ps(j + 1 < vectors ? 0xffff : panel->last,
                                                           start->at + i * start->stride + j * LANES)
                                   : _mm512_setzero_ps();
    const float *b = panel->b;
    for (size_t l = 0; l < panel->k; l++, b += panel->b_stride, a += panel->step) {
        __m512 row[VECTORS] BARE;
#pragma GCC unroll 3
        for (size_t j = 0; j < vectors; j++)
            row[j] = j + 1 < vectors ? _mm512_loadu_ps(b + j * LANES)
                                     : _mm512_maskz_loadu_ps(panel->last, b + j * LANES);
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; i++) {
            const __m512 factor = _mm512_set1_ps(a[i * panel->row]);
#pragma GCC unroll 3
            for (size_t j = 0; j < vectors; j++)
                sums[i][j] = _mm512_fmadd_ps(factor, row[j], sums[i][j]);
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < vectors; j++)
            _mm512_mask_storeu_ps(c + i * c_stride + j * LANES, j + 1 < vectors ? 0xffff : panel->last,
                                  sums[i][j]);
}

// As many rows as there are sums for, in heights that have a tile each.
INLINE size_t tile_rows(size_t left, const size_t vectors)
{
    const size_t most = vectors == 1 ? 16 : vectors == 2 ? 12 : 8;
    return left >= most ? most : left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

INLINE void tile_of(float *c, size_t c_stride, const float *a, const struct start *start,
                    const struct panel *panel, size_t rows, const size_t vectors)
{
    if (vectors == 1 && rows == 16)
        tile(c, c_stride, a, start, panel, 16, vectors);
    else if (vectors == 2 && rows == 12)
        tile(c, c_stride, a, start, panel, 12, vectors);
    else if (rows == 8)
        tile(c, c_stride, a, start, panel, 8, vectors);
    else if (rows == 4)
        tile(c, c_stride, a, start, panel, 4, vectors);
    else if (rows == 2)
        tile(c, c_stride, a, start, panel, 2, vectors);
    else
        tile(c, c_stride, a, start, panel, 1, vectors);
}

INLINE void tiles(const struct product *product, const struct panel *panel, size_t column,
                  const size_t vectors)
{
    const float *a = product->a + panel->first * panel->step;
    for (size_t i = panel->row_first, rows; i < panel->row_end; i += rows) {
        float *c = product->c + i * product->n + column;
        const struct start start = panel->first > 0 ? (struct start){c, product->n}
                                   : product->bias  ? (struct start){product->bias + column, 0}
                                                    : (struct start){NULL, 0};
        rows = tile_rows(panel->row_end - i, vectors);
        tile_of(c, product->n, a + i * panel->row, &start, panel, rows, vectors);
    }
}

// 16 × 16: turned[l · stride + j] = b[j · width + l]. `count` rows of b and `depth` columns are there.
INLINE void turn_block(float *turned, size_t stride, const float *b, size_t width, size_t count, size_t depth)
{
    __m512 quarters[LANES] BARE, pairs[LANES] BARE;
    const __mmask8 parts[4] = {(__mmask8)((1U << (depth < 4 ? depth : 4)) - 1),
                               (__mmask8)(depth > 4 ? (1U << (depth < 8 ? depth - 4 : 4)) - 1 : 0),
                               (__mmask8)(depth > 8 ? (1U << (depth < 12 ? depth - 8 : 4)) - 1 : 0),
                               (__mmask8)(depth > 12 ? (1U << (depth - 12)) - 1 : 0)};
    // quarters[4 q + r]: of the rows r, r + 4, r + 8 and r + 12 the four numbers from 4 q on.
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++)
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++) {
            const float *at = b + r * width + 4 * q;
            __m128 piece[4] BARE;
#pragma GCC unroll 4
            for (size_t s = 0; s < 4; s++)
                piece[s] =
                    r + 4 * s < count ? _mm_maskz_loadu_ps(parts[q], at + 4 * s * width) : _mm_setzero_ps();
            __m512 whole = _mm512_castps128_ps512(piece[0]);
            whole = _mm512_insertf32x4(whole, piece[1], 1);
            whole = _mm512_insertf32x4(whole, piece[2], 2);
            quarters[4 * q + r] = _mm512_insertf32x4(whole, piece[3], 3);
        }
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        const __m512 *in = quarters + 4 * q;
        pairs[4 * q] = _mm512_unpacklo_ps(in[0], in[1]);
        pairs[4 * q + 1] = _mm512_unpackhi_ps(in[0], in[1]);
        pairs[4 * q + 2] = _mm512_unpacklo_ps(in[2], in[3]);
        pairs[4 * q + 3] = _mm512_unpackhi_ps(in[2], in[3]);
    }
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        float *at = turned + 4 * q * stride;
        const __m512d low[2] = {_mm512_castps_pd(pairs[4 * q]), _mm512_castps_pd(pairs[4 * q + 2])};
        const __m512d high[2] = {_mm512_castps_pd(pairs[4 * q + 1]), _mm512_castps_pd(pairs[4 * q + 3])};
        _mm512_storeu_ps(at, _mm512_castpd_ps(_mm512_unpacklo_pd(low[0], low[1])));
        _mm512_storeu_ps(at + stride, _mm512_castpd_ps(_mm512_unpackhi_pd(low[0], low[1])));
        _mm512_storeu_ps(at + 2 * stride, _mm512_castpd_ps(_mm512_unpacklo_pd(high[0], high[1])));
        _mm512_storeu_ps(at + 3 * stride, _mm512_castpd_ps(_mm512_unpackhi_pd(high[0], high[1])));
    }
}

// Columns of the product's b, `depth` rows of it from `first` on, which a transposed b holds as rows.
static void turn_panel(float *turned, const struct product *product, size_t column, size_t columns,
                       size_t first, size_t depth)
{
    for (size_t j = 0; j < columns; j += LANES)
        for (size_t l = 0; l < depth; l += LANES) {
            const size_t rows = columns - j, width = depth - l;
            const float *at = product->b + (column + j) * product->k + first + l;
            if (rows >= LANES && width >= LANES)
                turn_block(turned + l * WIDTH + j, WIDTH, at, product->k, LANES, LANES);
            else
                turn_block(turned + l * WIDTH + j, WIDTH, at, product->k, rows < LANES ? rows : LANES,
                           width < LANES ? width : LANES);
        }
}

static void copy_panel(float *turned, const struct product *product, size_t column, size_t columns,
                       size_t first, size_t depth)
{
    for (size_t l = 0; l < depth; l++)
        memcpy(turned + l * WIDTH, product->b + (first + l) * product->n + column, columns * sizeof *turned);
}

static void panel_compute(const struct product *product, const struct panel *panel, size_t column,
                          size_t vectors)
{
    if (vectors == 1)
        tiles(product, panel, column, 1);
    else if (vectors == 2)
        tiles(product, panel, column, 2);
    else
        tiles(product, panel, column, 3);
}

// The panel's part of c, from pieces of b that stay in the first-level cache.
static void panel_by_pieces(const struct product *product, struct panel *panel, size_t column, size_t columns,
                            size_t vectors, float *turned)
{
    for (size_t first = 0; first < product->k; first += DEPTH) {
        const size_t left = product->k - first, depth = left < DEPTH ? left : DEPTH;
        if (product->b_transposed)
            turn_panel(turned, product, column, columns, first, depth);
        else
            copy_panel(turned, product, column, columns, first, depth);
        panel->b = turned;
        panel->k = depth;
        panel->first = first;
        panel_compute(product, panel, column, vectors);
    }
}

// Vectors of the next panel, so that none of the rest is narrow where it need not be.
static size_t panel_vectors(size_t left)
{
    return left == 4 ? 2 : left < VECTORS ? left : VECTORS;
}

static void panels(const struct product *product, const struct product_piece *piece, struct panel *panel,
                   float *turned)
{
    const size_t end = piece->column + piece->columns;
    size_t left = (piece->columns + LANES - 1) / LANES;
    for (size_t column = piece->column; left > 0;) {
        const size_t vectors = panel_vectors(left), wide = vectors * LANES;
        const size_t columns = end - column < wide ? end - column : wide;
        const size_t rest = columns - (vectors - 1) * LANES;
        panel->last = (__mmask16)(rest < LANES ? (1U << rest) - 1 : 0xffffU);
        panel->b = product->b + column;
        if (turned)
            panel_by_pieces(product, panel, column, columns, vectors, turned);
        else
            panel_compute(product, panel, column, vectors);
        column += columns;
        left -= vectors;
    }
}

// A function of its own: each page of its stack is probed.
static __attribute__((noinline)) void panels_turned(const struct product *product,
                                                    const struct product_piece *piece, struct panel *panel)
{
    float turned[DEPTH * WIDTH] BARE __attribute__((aligned(64)));
    panels(product, piece, panel, turned);
}

void product_compute(const struct product *product, const struct product_piece *piece)
{
    const bool turns = product->b_transposed || (product->n >= COPY_WIDTH && product->m >= COPY_ROWS);
    struct panel panel = {
        .b_stride = turns ? WIDTH : product->n,
        .row = product->a_transposed ? 1 : product->k,
        .step = product->a_transposed ? product->m : 1,
        .k = product->k,
        .row_first = piece->row,
        .row_end = piece->row + piece->rows,
    };
    if (turns)
        panels_turned(product, piece, &panel);
    else
        panels(product, piece, &panel, NULL);
}

#else

bool product_is_ours(void)
{
    return false;
}

void product_compute(const struct product *product, const struct product_piece *piece)
{
    (void)product, (void)piece;
}
#endif
