// Matrix products with vectors of 16 bytes, which the compiler makes of what the processor has.
#include "math/product.h"

#define number  float
#define PRODUCT product

#include "math/product_portable.h"

void product_portable(const struct PRODUCT *product, const struct product_piece *piece)
{
    piece_compute(product, piece);
}
