// Whole networks in float against Keras and PyTorch: tests/train_golden.h.
#include "tests/train_golden.h"

int main(int argc, char **argv)
{
    return golden_main(argc, argv);
}
