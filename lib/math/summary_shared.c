#include "math/summary_shared.h"

#include "base/crew.h"

enum {
    SUMMARY_PIECES = 64,    // at most
    SUMMARY_LEAST = 1 << 14 // numbers of one: fewer are not worth sharing
};

struct summing {
    summary_piece_function *look;
    const void *context;
    size_t piece;
    struct summary pieces[SUMMARY_PIECES];
};

static void sum_piece(void *context, size_t first, size_t end)
{
    struct summing *summing = context;
    struct summary *piece = &summing->pieces[first / summing->piece];
    *piece = (struct summary){0};
    summing->look(summing->context, first, end, piece);
}

ENGINE struct summary summary_pieces(summary_piece_function *look, const void *context, size_t count)
{
    struct summing summing __attribute__((uninitialized)); // by the build, which zeroes what is not
    const size_t even = (count + SUMMARY_PIECES - 1) / SUMMARY_PIECES;
    struct summary sum = {0};
    summing.look = look;
    summing.context = context;
    summing.piece = even > SUMMARY_LEAST ? even : SUMMARY_LEAST;
    crew_share_range(sum_piece, &summing, count, summing.piece);
    for (size_t i = 0; i * summing.piece < count; i++)
        summary_add(&sum, &summing.pieces[i]);
    return sum;
}

struct one_pass {
    summary_pass_function *pass;
    const real *x;
};

static void pass_piece(const void *context, size_t first, size_t end, struct summary *summary)
{
    const struct one_pass *one = context;
    one->pass(summary, one->x + first, end - first);
}

ENGINE struct summary summary_shared(summary_pass_function *pass, const real *x, size_t count)
{
    const struct one_pass one = {pass, x};
    return summary_pieces(pass_piece, &one, count);
}
