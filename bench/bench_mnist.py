#!/usr/bin/env python3
"""How long it takes to 98.3 % test accuracy on MNIST, in one run: through Nabla's server, and in other libraries.

    MNIST=FOLDER make bench-mnist                            # Nabla alone; the folder holds the four IDX files, gzip or not
    MNIST=FOLDER PEER=FOLDER/bin/python make bench-mnist     # and what of torch, jax, keras, tensorflow, scikit-learn that venv has

784-512-256-10, ReLU and batch normalisation, batch 128, Adam from 0.001 down to 0 along a cosine, pixels scaled by the training rows' ranges, at most
ten epochs, each followed by the whole test set. Nabla's clock runs from the POST of the job, its data set already there,
until a client that polls reads of the epoch; the others' from the first step, compilation included, data in memory. The
median of SEEDS seeds, on THREADS threads.
"""

import gzip
import json
import os
import signal
import statistics
import struct
import subprocess
import tempfile
import time
import urllib.request

from bench_train import HERE, PEER, PEERS, URL, send, serve

FOLDER = os.environ.get("MNIST", "")
SEEDS = int(os.environ.get("SEEDS", "3"))
THREADS = [int(count) for count in os.environ.get("THREADS", "1 2").split()]
WANTED, EPOCHS, TRAINING_ROWS = 0.983, 10, 60000
FILES = ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"]


# ---- data ----


def read_idx(name):
    path = os.path.join(FOLDER, name)
    opened = gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb")
    with opened as file:
        data = file.read()
    return data[4 + 4 * data[3]:]  # behind the magic number, whose last byte counts the sizes, and these


def tensors():
    """All rows as one safetensors file, the test set last."""
    images, labels = (read_idx(FILES[i]) + read_idx(FILES[i + 1]) for i in (0, 2))
    rows = len(labels)
    header = json.dumps({"features": {"dtype": "U8", "shape": [rows, 784], "data_offsets": [0, len(images)]},
                         "labels": {"dtype": "U8", "shape": [rows], "data_offsets": [len(images), len(images) + rows]}})
    header += " " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header.encode() + images + labels


# ---- runs: each gives (seconds, epoch, accuracy) of the first epoch that is good enough, or of the best one ----


def post_data(body):
    request = urllib.request.Request(URL + "/v1/datasets", body, {"Content-Type": "application/safetensors"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["id"]


def recorded(path, column):
    history = send("GET", f"{path}/metrics?column={column}")
    return history["columns"][column]


def own_run(dataset, seed, threads):
    hidden = [{"units": units, "activation": "relu", "batch_norm": True} for units in (512, 256)]
    training = {"epochs": EPOCHS, "batch_size": 128, "split": "last", "validation_split": 0.142857, "scaling": "min_max",
                "seed": seed, "threads": threads}
    start = time.perf_counter()
    optimizer = {"type": "adam", "learning_rate": {"schedule": "cosine"}}
    document = {"dataset": dataset, "model": {"layers": hidden}, "optimizer": optimizer, "training": training}
    job = send("POST", "/v1/jobs", document)
    best, path = (0, 0, 0), f"/v1/jobs/{job['id']}"
    while job["state"] not in ("succeeded", "failed") and best[2] < WANTED:
        time.sleep(0.1)
        job = send("GET", path)
        epochs = [accuracy for accuracy in recorded(path, "validation_accuracy") if accuracy is not None]
        if max(epochs, default=0) > best[2]:
            best = (time.perf_counter() - start, len(epochs), max(epochs))
    assert job["state"] != "failed", job
    if job["state"] != "succeeded":
        send("POST", path + "/cancel")
    while job["state"] not in ("succeeded", "cancelled"):
        job = send("GET", path, headers={"Prefer": "wait=10"})
    return best


def peer_run(peer, path, seed, threads):
    """None where the library is missing or has no batch normalisation."""
    command = [PEER, os.path.join(HERE, "peers/train_mnist.py"), peer, path, str(seed), str(threads), str(WANTED), str(EPOCHS)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout.split():
        return None
    seconds, epoch, accuracy = done.stdout.split()[-3:]
    return float(seconds), int(epoch), float(accuracy)


def print_runs(name, runs):
    if None in runs:
        print(f"  {name:18} skipped: not installed, or it has no batch normalisation", flush=True)
        return
    reached = [run for run in runs if run[2] >= WANTED]
    epochs = ", ".join(f"{100 * run[2]:.2f} % in epoch {run[1]}" for run in runs)
    taken = f"{statistics.median(run[0] for run in runs):8.1f} s" if len(reached) == len(runs) else "not reached"
    print(f"  {name:18} {taken:>11}   {epochs}", flush=True)


def main():
    if not all(os.path.exists(os.path.join(FOLDER, name)) or os.path.exists(os.path.join(FOLDER, name + ".gz")) for name in FILES):
        raise SystemExit(f"MNIST=FOLDER must hold {', '.join(FILES)}, gzip or not")
    body = tensors()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mnist.safetensors")
        with open(path, "wb") as file:
            file.write(body)
        for threads in THREADS:
            print(f"{100 * WANTED:.1f} % on the {len(body) // 785 - TRAINING_ROWS:,} test rows, {threads} thread{'s' * (threads > 1)}, {SEEDS} seeds:")
            server = serve(os.path.join(folder, f"data{threads}"))
            try:
                dataset = post_data(body)
                print_runs("nabla", [own_run(dataset, seed, threads) for seed in range(SEEDS)])
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait()
            for peer in PEERS if PEER else []:
                print_runs(peer, [peer_run(peer, path, seed, threads) for seed in range(SEEDS)])


if __name__ == "__main__":
    main()
