"""NumPy's times for bench_loss.py: cross-entropy, loss and gradient, as one writes it by hand.
Arguments: rows,classes,dtype. Lines: rows, classes, dtype, who, seconds."""

import sys
import time

import numpy


def once(logits, labels, rows):
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = numpy.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    loss = (numpy.log(sums[:, 0]) - shifted[rows, labels]).mean()
    gradient = exponentials / sums
    gradient[rows, labels] -= 1
    gradient /= len(rows)
    return loss, gradient


for argument in sys.argv[1:]:
    count, classes, dtype = argument.split(",")
    source = numpy.random.default_rng(7)
    logits = (source.random((int(count), int(classes))) * 8 - 4).astype(dtype)
    labels = source.integers(0, int(classes), int(count))
    rows = numpy.arange(int(count))
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        once(logits, labels, rows)
        best = min(best, time.perf_counter() - start)
    print(count, classes, dtype, f"numpy-{numpy.__version__}", best)
