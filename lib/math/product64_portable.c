// Matrix products with vectors of 16 bytes, which the compiler makes of what the processor has, in float64.
#include "math/product.h"

#define number  double
#define PRODUCT product64

#include "math/product_portable.h"

void product64_portable(const struct PRODUCT *product, const struct product_piece *piece)
{
    piece_compute(product, piece);
}
