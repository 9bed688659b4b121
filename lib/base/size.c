#include "base/size.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

void *size_alloc(size_t a, size_t b, size_t width)
{
    size_t bytes;
    if (!size_mul(a, b, &bytes) || !size_mul(bytes, width, &bytes) || !size_add(bytes, ALIGNMENT - 1, &bytes))
        return NULL;
    bytes = bytes / ALIGNMENT * ALIGNMENT;
    if (bytes == 0)
        bytes = ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}
