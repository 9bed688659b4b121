// The api as a whole: any request, with a body of any type, against a store.
#include "tests/fuzz/fuzz_service.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    // The first byte says in what pieces the body comes.
    if (size > 1)
        fuzz_ask(fuzz_service_get(NULL), bytes + 1, size - 1, (size_t)bytes[0] * 16 + 1);
    return 0;
}
