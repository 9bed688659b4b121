#!/usr/bin/env python3
"""Cross-entropy, loss and gradient: our kernels beside memcpy, PyTorch and NumPy, in one run.

    make bench-loss                                 # ours and memcpy
    PEER=FOLDER/bin/python make bench-loss          # and the peers, from a venv of bench/peers/requirements.txt

They take turns, ROUNDS times; the least time of each is printed, and the median over the rounds of its ratio to ours: the
best kernel, on one thread where the peer has one and on all cores where it has all.
"""

import collections
import os
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
PEER = os.environ.get("PEER")
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def figures(command):
    """(shape, who) -> seconds, from lines of rows, classes, dtype, who, seconds."""
    found = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        rows, classes, dtype, who, seconds = line.split()
        found[(int(rows), int(classes), dtype), who] = float(seconds)
    return found


def one_round():
    found = figures([f"{BUILD}/bench/bench_loss", "figures"])
    if PEER:
        shapes = list(dict.fromkeys(shape for shape, _ in found))
        for peer in ("loss_torch.py", "loss_numpy.py"):
            found.update(figures([PEER, f"{HERE}/peers/{peer}", *(",".join(map(str, shape)) for shape in shapes)]))
    return found


def ours(found, shape, who):
    """The time of our best kernel on as many threads."""
    mine = [w for s, w in found if s == shape and w.split(",")[0] in ("avx512", "avx2", "portable")]
    threads = who.partition(",")[2]
    return min(found[shape, w] for w in mine if w.partition(",")[2] == threads)


def main():
    rounds = [one_round() for _ in range(ROUNDS)]
    by_shape = collections.defaultdict(list)
    for shape, who in rounds[0]:
        by_shape[shape].append(who)
    for shape, names in by_shape.items():
        rows, classes, dtype = shape
        print(f"\n{rows} x {classes} {dtype}")
        for who in names:
            least = min(found[shape, who] for found in rounds)
            ratio = statistics.median(found[shape, who] / ours(found, shape, who) for found in rounds)
            print(f"  {who:22} {least * 1e6:12,.1f} us  {rows * classes / least * 1e-9:7.3f} G entries/s"
                  f"  {ratio:8.2f} x ours")  # fmt: skip


if __name__ == "__main__":
    main()
