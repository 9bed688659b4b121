// Random numbers from a counter (Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011).
//
// The n-th number of a stream depends on (seed, stream, n) alone: a checkpoint needs only n, streams never
// meet, and the bits are the same on every machine. Thread safety: one thread a generator.
#ifndef NABLA_MATH_RANDOM_H
#define NABLA_MATH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t seed, stream;
    uint64_t position; // 32-bit words drawn so far: the whole state
};

struct random random_new(uint64_t seed, uint64_t stream);

uint32_t random_u32(struct random *random);
uint64_t random_below(struct random *random,
                      uint64_t bound);       // uniform in [0, bound), bound > 0, without bias
double random_double(struct random *random); // uniform in [0, 1), 53 bits
float random_float(struct random *random);   // uniform in [0, 1), 24 bits
double random_normal(struct random *random); // standard normal (Box–Muller; two words pairs each)
void random_shuffle(struct random *random, size_t *items, size_t count); // Fisher–Yates

#endif
