// A product's kernel, for one number type and instruction set. Panels of up to VECTORS vectors of columns;
// within a panel, tiles of as many rows as leave all sums in registers while k goes by. A transposed b is
// turned around panel by panel; a wide one is copied, so that a panel's rows lie close together.
//
// The includer has defined
//   number, struct PRODUCT        float and struct product, or double and struct product64
//   LANES, vec                    numbers in a vector
//   VECTORS, ROWS_OF_{1,2,3}      of a panel; the tallest tile's rows by the panel's vectors: 4, 6, 8, 12 or
//   16 DEPTH                         rows of a turned or copied panel, which stay in the first-level cache
//   COPY_WIDTH                    a plain b of at least that many columns is worth copying
//   PACKS_A                       whether blocks of a are packed, too, where they are large or lie badly
//   MASKS_ARE_FREE                whether loads of part of a vector cost no more than those of a whole one
//   vec_mask, vec_mask_first      the first 1 to LANES lanes
//   vec_zero, vec_all, vec_load, vec_load_first, vec_store, vec_store_first, vec_multiply_add
//   turn_block(turned, stride, b, width, count, depth)
//                                 turned[l · stride + j] = b[j · width + l] for j below `count` and l below
//                                 `depth`, LANES at most; the rest up to LANES × LANES may be written
// and includes this once.
#include "math/product.h"
#include "math/vectorised.h"

#include <string.h>

// The build zeroes automatic variables; these are written before they are read.
#define BARE __attribute__((uninitialized))

enum {
    ROWS = 16, // of a tile, at most
    WIDTH = VECTORS * LANES,
    COPY_ROWS = 64, // that use the copy of a b of COPY_WIDTH columns, at least
    COPY_AHEAD = 16,
    PACK_ROWS = (1 << 18) / sizeof(number) / DEPTH / LANES * LANES, // a quarter of a MiB
    PACK_STRIDE = DEPTH + 64 / sizeof(number),
    PACK_ROWS_LEAST = 16,
    PACK_WIDTH = 128,
    PACK_BYTES = 3 << 19
};

_Static_assert((int)PRODUCT_WIDTH % (int)WIDTH == 0, "pieces begin where panels do");
_Static_assert(DEPTH % LANES == 0, "a turned panel has room for whole blocks");

// Where a panel's columns of b lie, and a's numbers: a[i · row + l · step] is that of the i-th row from
// `row_first` and the l-th column from `begin` on. Of k, `begin` to `end` are summed, and a tile does `depth`
// of them from `first` on: what comes before `first` is in c already.
struct panel {
    const number *a, *b;
    size_t b_stride, row, step;
    size_t begin, end, first, depth;
    size_t row_first, row_end; // of c
    vec_mask last;             // of the last vector
};

// What a tile's sums start from: the bias in each row (stride 0), c itself where k goes on, or NULL for 0.
struct start {
    const number *at;
    size_t stride;
};

// A panel's vector: all but the last are whole, and that one, too, where the caller knows.
INLINE vec panel_load(const struct panel *panel, const number *from, const bool whole)
{
    return whole ? vec_load(from) : vec_load_first(from, panel->last);
}

INLINE void panel_store(const struct panel *panel, number *to, vec v, const bool whole)
{
    if (whole)
        vec_store(to, v);
    else
        vec_store_first(to, v, panel->last);
}

INLINE void tile(number *c, size_t c_stride, const number *a, const struct start *start,
                 const struct panel *panel, const size_t rows, const size_t vectors, const bool whole)
{
    vec sums[ROWS][VECTORS] BARE;
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < vectors; j++)
            sums[i][j] = start->at ? panel_load(panel, start->at + i * start->stride + j * LANES,
                                                whole || j + 1 < vectors)
                                   : vec_zero();
    const number *b = panel->b;
    for (size_t l = 0; l < panel->depth; l++, b += panel->b_stride, a += panel->step) {
        vec row[VECTORS] BARE;
#pragma GCC unroll 3
        for (size_t j = 0; j < vectors; j++)
            row[j] = panel_load(panel, b + j * LANES, whole || j + 1 < vectors);
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; i++) {
            const vec factor = vec_all(a[i * panel->row]);
#pragma GCC unroll 3
            for (size_t j = 0; j < vectors; j++)
                sums[i][j] = vec_multiply_add(factor, row[j], sums[i][j]);
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < vectors; j++)
            panel_store(panel, c + i * c_stride + j * LANES, sums[i][j], whole || j + 1 < vectors);
}

INLINE size_t tallest(const size_t vectors)
{
    return vectors == 1 ? ROWS_OF_1 : vectors == 2 ? ROWS_OF_2 : ROWS_OF_3;
}

// As many rows as there are sums for, in heights that have a tile each. Twice four rows are quicker than six
// and two.
INLINE size_t tile_rows(size_t left, const size_t vectors)
{
    const size_t most = tallest(vectors);
    if (left >= most && !(most == 6 && left == 8))
        return most;
    return left >= 8 && most > 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

INLINE void tile_of(number *c, size_t c_stride, const number *a, const struct start *start,
                    const struct panel *panel, size_t rows, const size_t vectors, const bool whole)
{
    const size_t most = tallest(vectors);
    if (rows == most)
        tile(c, c_stride, a, start, panel, most, vectors, whole);
    else if (most > 8 && rows == 8)
        tile(c, c_stride, a, start, panel, 8, vectors, whole);
    else if (most > 4 && rows == 4)
        tile(c, c_stride, a, start, panel, 4, vectors, whole);
    else if (rows == 2)
        tile(c, c_stride, a, start, panel, 2, vectors, whole);
    else
        tile(c, c_stride, a, start, panel, 1, vectors, whole);
}

INLINE void tiles(const struct PRODUCT *product, const struct panel *panel, size_t column,
                  const size_t vectors, const bool whole)
{
    const number *a = panel->a + (panel->first - panel->begin) * panel->step;
    for (size_t i = panel->row_first, rows; i < panel->row_end; i += rows) {
        number *c = product->c + i * product->n + column;
        const struct start start = panel->first > 0 ? (struct start){c, product->n}
                                   : product->bias  ? (struct start){product->bias + column, 0}
                                                    : (struct start){NULL, 0};
        rows = tile_rows(panel->row_end - i, vectors);
        tile_of(c, product->n, a, &start, panel, rows, vectors, whole);
        a += rows * panel->row;
    }
}

INLINE void tiles_of(const struct PRODUCT *product, const struct panel *panel, size_t column, size_t vectors,
                     const bool whole)
{
    if (vectors == 1)
        tiles(product, panel, column, 1, whole);
    else if (vectors == 2)
        tiles(product, panel, column, 2, whole);
    else if (VECTORS > 2)
        tiles(product, panel, column, VECTORS, whole);
}

static void panel_compute(const struct PRODUCT *product, const struct panel *panel, size_t column,
                          size_t columns, size_t vectors)
{
    if (!MASKS_ARE_FREE && columns == vectors * LANES)
        tiles_of(product, panel, column, vectors, true);
    else
        tiles_of(product, panel, column, vectors, false);
}

// turned[l · stride + j] = from[j · width + l] for j below `rows` and l below `depth`, in whole blocks.
static void turn(number *turned, size_t stride, const number *from, size_t width, size_t rows, size_t depth)
{
    for (size_t j = 0; j < rows; j += LANES)
        for (size_t l = 0; l < depth; l += LANES) {
            const size_t high = rows - j, wide = depth - l;
            const number *at = from + j * width + l;
            if (high >= LANES && wide >= LANES)
                turn_block(turned + l * stride + j, stride, at, width, LANES, LANES);
            else
                turn_block(turned + l * stride + j, stride, at, width, high < LANES ? high : LANES,
                           wide < LANES ? wide : LANES);
        }
}

INLINE void copy_rows(number *copy, const number *from, size_t stride, const struct panel *panel,
                      const size_t vectors)
{
    for (size_t l = 0; l < panel->depth; l++, from += stride, copy += WIDTH) {
        __builtin_prefetch(from + COPY_AHEAD * stride);
        __builtin_prefetch(from + COPY_AHEAD * stride + vectors * LANES - 1);
#pragma GCC unroll 3
        for (size_t j = 0; j < vectors; j++)
            vec_store(copy + j * LANES, panel_load(panel, from + j * LANES, j + 1 < vectors));
    }
}

static void copy_panel(number *copy, const number *from, size_t stride, const struct panel *panel,
                       size_t vectors)
{
    if (vectors == 1)
        copy_rows(copy, from, stride, panel, 1);
    else if (vectors == 2)
        copy_rows(copy, from, stride, panel, 2);
    else
        copy_rows(copy, from, stride, panel, VECTORS);
}

// The panel's part of c, from pieces of b that stay in the first-level cache.
static void panel_by_pieces(const struct PRODUCT *product, struct panel *panel, size_t column, size_t columns,
                            size_t vectors, number *turned)
{
    panel->b = turned;
    for (panel->first = panel->begin; panel->first < panel->end; panel->first += DEPTH) {
        const size_t left = panel->end - panel->first;
        panel->depth = left < DEPTH ? left : DEPTH;
        if (product->b_transposed)
            turn(turned, WIDTH, product->b + column * product->k + panel->first, product->k, columns,
                 panel->depth);
        else
            copy_panel(turned, product->b + panel->first * product->n + column, product->n, panel, vectors);
        panel_compute(product, panel, column, columns, vectors);
    }
}

// Vectors of the next panel, so that none of the rest is narrow where it need not be.
static size_t panel_vectors(size_t left)
{
    return VECTORS == 3 && left == 4 ? 2 : left < VECTORS ? left : VECTORS;
}

static void panels(const struct PRODUCT *product, const struct product_piece *piece, struct panel *panel,
                   number *turned)
{
    const size_t end = piece->column + piece->columns;
    size_t left = (piece->columns + LANES - 1) / LANES;
    for (size_t column = piece->column; left > 0;) {
        const size_t vectors = panel_vectors(left), wide = vectors * LANES;
        const size_t columns = end - column < wide ? end - column : wide;
        panel->last = vec_mask_first(columns - (vectors - 1) * LANES);
        panel->b = product->b + column;
        if (turned)
            panel_by_pieces(product, panel, column, columns, vectors, turned);
        else
            panel_compute(product, panel, column, columns, vectors);
        column += columns;
        left -= vectors;
    }
}

// A function of its own: each page of its stack is probed.
static __attribute__((noinline)) void panels_turned(const struct PRODUCT *product,
                                                    const struct product_piece *piece, struct panel *panel)
{
    number turned[DEPTH * WIDTH] BARE __attribute__((aligned(64)));
    panels(product, piece, panel, turned);
}

// The panel's block of a as rows of DEPTH numbers.
static void pack_block(number *packed, const struct PRODUCT *product, const struct panel *panel)
{
    const size_t rows = panel->row_end - panel->row_first, depth = panel->end - panel->begin;
    if (product->a_transposed) {
        turn(packed, PACK_STRIDE, product->a + panel->begin * product->m + panel->row_first, product->m,
             depth, rows);
        return;
    }
    const number *from = product->a + panel->row_first * product->k + panel->begin;
    for (size_t i = 0; i < rows; i++)
        memcpy(packed + i * PACK_STRIDE, from + i * product->k, depth * sizeof *packed);
}

// In blocks of a that stay in the second-level cache, where the rows of its tiles lie close together.
static __attribute__((noinline)) void panels_packed(const struct PRODUCT *product,
                                                    const struct product_piece *piece, struct panel *panel)
{
    number packed[PACK_ROWS * PACK_STRIDE] BARE __attribute__((aligned(64)));
    const size_t row_end = piece->row + piece->rows;
    panel->a = packed;
    panel->row = PACK_STRIDE;
    panel->step = 1;
    for (size_t row = piece->row; row < row_end; row += PACK_ROWS) {
        panel->row_first = row;
        panel->row_end = row_end - row < PACK_ROWS ? row_end : row + PACK_ROWS;
        for (size_t first = 0; first < product->k; first += DEPTH) {
            panel->begin = first;
            panel->end = product->k - first < DEPTH ? product->k : first + DEPTH;
            pack_block(packed, product, panel);
            panels_turned(product, piece, panel);
        }
    }
}

// A transposed a whose rows lie a multiple of many lines apart fills few sets of a cache, and so does a long
// one nearly always; another is worth packing where it does not stay in the cache from panel to panel.
static bool packs_a(const struct PRODUCT *product, const struct product_piece *piece)
{
    if (!PACKS_A || piece->rows < PACK_ROWS_LEAST || piece->columns < PACK_WIDTH)
        return false;
    if (product->a_transposed)
        return product->m * sizeof(number) % 512 == 0 || product->k > DEPTH;
    return piece->rows * product->k * sizeof(number) > PACK_BYTES;
}

static void piece_compute(const struct PRODUCT *product, const struct product_piece *piece)
{
    const bool turns = product->b_transposed || (product->n >= COPY_WIDTH && product->m >= COPY_ROWS);
    struct panel panel = {
        .b_stride = WIDTH,
        .row = product->a_transposed ? 1 : product->k,
        .step = product->a_transposed ? product->m : 1,
        .end = product->k,
        .depth = product->k,
        .row_first = piece->row,
        .row_end = piece->row + piece->rows,
    };
    panel.a = product->a + piece->row * panel.row;
    if (packs_a(product, piece)) {
        panels_packed(product, piece, &panel);
    } else if (turns) {
        panels_turned(product, piece, &panel);
    } else {
        panel.b_stride = product->n;
        panels(product, piece, &panel, NULL);
    }
}
