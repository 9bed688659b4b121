// Random numbers from a counter (Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011).
//
// The n-th number of a stream depends on (seed, stream, n) alone: a checkpoint needs only n, streams never
// meet, and the bits are the same on every machine (the normal ones too: no libm is asked). Thread safety:
// one thread a generator.
#ifndef NABLA_MATH_RANDOM_H
#define NABLA_MATH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t seed, stream;
    uint64_t position; // 32-bit words drawn so far: the whole state; may be set to go elsewhere
    // The newest block, kept so that its four words cost one computation.
    uint64_t cached; // its number plus 1, 0 for none
    uint32_t words[4];
};

struct random random_new(uint64_t seed, uint64_t stream);

uint32_t random_u32(struct random *random);
uint64_t random_u64(struct random *random); // two words, the first is the lower half

// Uniform in [0, bound), bound > 0, without bias.
uint64_t random_below(struct random *random, uint64_t bound);

double random_double(struct random *random); // uniform in [0, 1), 53 bits: two words
float random_float(struct random *random);   // uniform in [0, 1), 24 bits: one word

// Standard normal (Box–Muller, the cosine alone): four words.
double random_normal(struct random *random);

void random_shuffle(struct random *random, size_t *items, size_t count); // Fisher–Yates

// Philox4x32-10 itself. The n-th block of a stream has the counter (n, stream), the key is the seed, all as
// little-endian pairs of words.
void random_block(const uint32_t counter[4], const uint32_t key[2], uint32_t ret[4]);

#endif
