// VECTORISED marks a function whose loops are worth whole vectors. It is compiled several times, for the
// widest vectors that processors may have, and the loader picks. Clones with fused multiply-add use it, so
// bits may differ between kinds of processors, never between runs on one. Jump threading and the removal of
// partial redundancies are off, and traps are left out of account: each makes branches of what should be
// selections, and AVX2, which has no masks, then gets no vectors at all.
// Sanitizers run before the loader's choice can, and neither the gradient checks in double nor the coverage
// (NABLA_ONE_COPY) need speed: they get one plain copy. INLINE is for templates: parameters that are constant
// at each call choose what is left of their code. The coverage wants them once, as they are written, and not
// a copy for each call, most of whose branches cannot be taken.
#ifndef NABLA_MATH_VECTORISED_H
#define NABLA_MATH_VECTORISED_H

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                \
    !defined(NABLA_REAL_DOUBLE) && !defined(NABLA_ONE_COPY)
#define VECTORISED                                                                                           \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"),                             \
                   optimize("O3", "fp-contract=fast", "no-thread-jumps", "no-split-paths", "no-tree-pre",    \
                            "no-trapping-math", "no-math-errno")))
#else
#define VECTORISED
#endif

#ifdef NABLA_ONE_COPY
#define INLINE static inline __attribute__((unused))
#else
#define INLINE static inline __attribute__((always_inline, unused))
#endif

#endif
