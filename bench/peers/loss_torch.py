"""PyTorch's times for bench_loss.py: cross-entropy, loss and gradient, eager, on one thread and on all cores.
Arguments: rows,classes,dtype. Lines: rows, classes, dtype, who, seconds."""

import os
import sys
import time

import torch


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


for argument in sys.argv[1:]:
    rows, classes, dtype = argument.split(",")
    logits = (torch.rand(int(rows), int(classes), dtype=getattr(torch, dtype)) * 8 - 4).requires_grad_()
    labels = torch.randint(0, int(classes), (int(rows),))
    for threads in sorted({1, os.cpu_count()}):
        torch.set_num_threads(threads)
        who = f"torch-{torch.__version__}" + (f",{threads}-threads" if threads > 1 else "")
        print(rows, classes, dtype, who, best_seconds(logits, labels))
