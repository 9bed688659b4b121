#include "math/random.h"

#include "math/elementary.h"

#include <math.h>

enum { ROUNDS = 10 };

// The round of Philox4x32: two products of 32×32 bits, crossed over, mixed with the key.
static void philox_round(uint32_t x[4], const uint32_t key[2])
{
    uint64_t product_0 = UINT64_C(0xD2511F53) * x[0];
    uint64_t product_1 = UINT64_C(0xCD9E8D57) * x[2];
    x[0] = (uint32_t)(product_1 >> 32) ^ x[1] ^ key[0];
    x[1] = (uint32_t)product_1;
    x[2] = (uint32_t)(product_0 >> 32) ^ x[3] ^ key[1];
    x[3] = (uint32_t)product_0;
}

// The key moves on by Weyl's constants: the golden ratio and √3 − 1.
void random_block(const uint32_t counter[4], const uint32_t key[2], uint32_t ret[4])
{
    uint32_t x[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int i = 0; i < ROUNDS; i++) {
        philox_round(x, k);
        k[0] += 0x9E3779B9;
        k[1] += 0xBB67AE85;
    }
    for (int i = 0; i < 4; i++)
        ret[i] = x[i];
}

struct random random_new(uint64_t seed, uint64_t stream)
{
    return (struct random){.seed = seed, .stream = stream};
}

static void compute_block(struct random *random, uint64_t block)
{
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)random->stream,
                                 (uint32_t)(random->stream >> 32)};
    const uint32_t key[2] = {(uint32_t)random->seed, (uint32_t)(random->seed >> 32)};
    random_block(counter, key, random->words);
    random->cached = block + 1;
}

uint32_t random_u32(struct random *random)
{
    uint64_t block = random->position / 4;
    if (random->cached != block + 1)
        compute_block(random, block);
    return random->words[random->position++ % 4];
}

uint64_t random_u64(struct random *random)
{
    uint64_t low = random_u32(random);
    return low | (uint64_t)random_u32(random) << 32;
}

// Lemire, "Fast random integer generation in an interval" (2019): the upper half of random × bound, where the
// few lower halves that would favour some results are drawn again.
uint64_t random_below(struct random *random, uint64_t bound)
{
    unsigned __int128 product = (unsigned __int128)random_u64(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t uneven = -bound % bound;
        while ((uint64_t)product < uneven)
            product = (unsigned __int128)random_u64(random) * bound;
    }
    return (uint64_t)(product >> 64);
}

double random_double(struct random *random)
{
    return (double)(random_u64(random) >> 11) * 0x1p-53;
}

float random_float(struct random *random)
{
    return (float)(random_u32(random) >> 8) * 0x1p-24f;
}

double random_normal(struct random *random)
{
    double radius = sqrt(-2 * elementary_log(1 - random_double(random))); // of (0, 1]
    double sine, cosine;
    elementary_sincos(random_double(random), &sine, &cosine);
    return radius * cosine;
}

void random_shuffle(struct random *random, size_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)random_below(random, i);
        size_t item = items[i - 1];
        items[i - 1] = items[j];
        items[j] = item;
    }
}
