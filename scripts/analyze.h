// What the analyzers (make analyze) are told of functions that they cannot look into: a failure is never NABLA_OK.
// Without it they follow paths on which a function failed and yet its caller goes on.
#include "base/error.h"

static inline __attribute__((unused)) enum nabla_code analyze_failure(enum nabla_code code)
{
    if (code == NABLA_OK)
        __builtin_unreachable();
    return code;
}

#define nabla_fail(...) analyze_failure(nabla_fail(__VA_ARGS__))
#define nabla_fail_memory(...) analyze_failure(nabla_fail_memory(__VA_ARGS__))
#define nabla_fail_errno(...) analyze_failure(nabla_fail_errno(__VA_ARGS__))
