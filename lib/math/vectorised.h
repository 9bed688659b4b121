// VECTORISED marks a function whose loops are worth whole vectors. It is compiled several times, for the
// widest vectors that processors may have, and the loader picks; element by element the results are the same
// on all of them, since no clone may contract or reorder what the source says.
// Sanitizers run before the loader's choice can, and the gradient checks in double need no speed: they get
// one plain copy.
#ifndef NABLA_MATH_VECTORISED_H
#define NABLA_MATH_VECTORISED_H

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                \
    !defined(NABLA_REAL_DOUBLE)
#define VECTORISED                                                                                           \
    __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3", "no-math-errno")))
#else
#define VECTORISED
#endif

#define INLINE static inline __attribute__((always_inline, unused))

#endif
