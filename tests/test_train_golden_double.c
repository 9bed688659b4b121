// Whole networks in double against Keras and PyTorch: tests/train_golden.h.
#include "tests/engine_double.h"

#include "tests/train_golden.h"

int main(int argc, char **argv)
{
    return golden_main(argc, argv);
}
