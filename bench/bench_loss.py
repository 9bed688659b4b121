"""PyTorch's figures for the shapes of bench_loss.c: cross-entropy, loss and gradient, one thread, eager.
Needs torch (any current CPU build)."""

import time

import torch

torch.set_num_threads(1)
SHAPES = [(4096, 1000), (64, 50000), (65536, 10), (32, 10)]


def once(logits, labels):
    logits.grad = None
    torch.nn.functional.cross_entropy(logits, labels).backward()


def best_seconds(logits, labels):
    best = float("inf")
    for _ in range(15):
        times, start = 0, time.perf_counter()
        while True:
            once(logits, labels)
            times += 1
            spent = time.perf_counter() - start
            if spent > 1e-3:
                break
        best = min(best, spent / times)
    return best


for rows, classes in SHAPES:
    logits = (torch.rand(rows, classes) * 8 - 4).requires_grad_()
    labels = torch.randint(0, classes, (rows,))
    seconds = best_seconds(logits, labels)
    print(f"{rows:6} x {classes:<6} float32  torch {torch.__version__}  {seconds * 1e6:10.1f} us"
          f"  {rows * classes / seconds * 1e-9:6.2f} G entries/s")
