"""MNIST in other libraries, until a test accuracy is reached: bench/bench_mnist.py runs it once for each seed.

    train_mnist.py torch|torch_compile|jax|keras_tensorflow|keras_jax|sklearn FILE SEED THREADS ACCURACY EPOCHS

FILE is a safetensors file with 784 bytes of pixels and a label a row, the last 10,000 rows for the test. Prints the
seconds, the epoch and the accuracy of the first epoch that reaches ACCURACY, else of the best.
"""

import json
import os
import struct
import sys
import time

PEER, FILE, SEED, THREADS, WANTED, EPOCHS = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6])
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[name] = str(THREADS)
if THREADS > 1:
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={THREADS}"

import numpy  # noqa: E402
import train_step  # noqa: E402

SHAPE, TEST_ROWS = train_step.SHAPES["mnist"], 10000
BATCH = SHAPE[3]


def read():
    """Training and test rows, the pixels scaled by the ranges of the training rows."""
    with open(FILE, "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    first, end = (begin + at for at in header["features"]["data_offsets"])
    pixels = numpy.frombuffer(data[first:end], numpy.uint8).reshape(-1, 784).astype(numpy.float32)
    first, end = (begin + at for at in header["labels"]["data_offsets"])
    labels = numpy.frombuffer(data[first:end], numpy.uint8).astype(numpy.int64)
    least, most = pixels[:-TEST_ROWS].min(0), pixels[:-TEST_ROWS].max(0)
    pixels = (pixels - least) / numpy.where(most > least, most - least, 1)
    return pixels[:-TEST_ROWS], labels[:-TEST_ROWS], pixels[-TEST_ROWS:], labels[-TEST_ROWS:]


def steps(rows):
    return EPOCHS * -(-rows // BATCH)


def batches(count, source):
    order = source.permutation(count)
    return (order[first:first + BATCH] for first in range(0, count, BATCH))


def epochs_of_torch(x, y, test_x, test_y, compiled):
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    model, optimizer, work = train_step.make_torch(SHAPE, compiled)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps(len(x)))
    x, y, test_x, test_y = (torch.from_numpy(array) for array in (x, y, test_x, test_y))
    while True:
        model.train()
        order = torch.randperm(len(x))
        for first in range(0, len(x), BATCH):
            rows = order[first:first + BATCH]
            optimizer.zero_grad()
            work(x[rows], y[rows])
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            yield (model(test_x).argmax(1) == test_y).float().mean().item()


def epochs_of_jax(x, y, test_x, test_y):
    import optax

    source = numpy.random.default_rng(SEED)
    rate = optax.cosine_decay_schedule(0.001, steps(len(x)))
    state, advance, classify = train_step.make_jax(SHAPE, SEED, rate)
    while True:
        for rows in batches(len(x), source):
            state, _ = advance(state, x[rows], y[rows])
        yield float((numpy.asarray(classify(state, test_x)) == test_y).mean())


def epochs_of_keras(x, y, test_x, test_y, backend):
    model = train_step.make_keras(SHAPE, backend, THREADS, SEED, steps(len(x)))
    while True:
        fitted = model.fit(x, y, batch_size=BATCH, epochs=1, validation_data=(test_x, test_y), verbose=0)
        yield fitted.history["val_accuracy"][-1]


ROUNDS = {
    "torch": lambda *data: epochs_of_torch(*data, False),
    "torch_compile": lambda *data: epochs_of_torch(*data, True),
    "jax": epochs_of_jax,
    "keras_tensorflow": lambda *data: epochs_of_keras(*data, "tensorflow"),
    "keras_jax": lambda *data: epochs_of_keras(*data, "jax"),
}


def main():
    data = read()
    best, rounds = (0, 0, 0), ROUNDS[PEER](*data)
    start = time.perf_counter()
    for epoch in range(1, EPOCHS + 1):
        accuracy = next(rounds)
        if accuracy > best[2]:
            best = (time.perf_counter() - start, epoch, accuracy)
        if accuracy >= WANTED:
            break
    print(*best)


if __name__ == "__main__":
    main()
