#!/usr/bin/env python3
"""The time until a network of 784-512-256-10 is right in 98.3 % of MNIST's test rows: Nabla, through its server, and others.

    MNIST=FOLDER make bench-mnist                          # Nabla alone; FOLDER holds the four files as they are distributed
    MNIST=FOLDER PEER=ITS/bin/python make bench-mnist      # and what of torch, jax, keras, tensorflow, scikit-learn that venv has

All have the recipe below. Each library trains with each of SEEDS seeds on each number of THREADS, taking turns; medians are
printed. The wall time begins with the rows in memory (ours: with the data set uploaded and the job's POST) and ends when the
test accuracy of the epoch is known, training alone is a part of it.
"""

import gzip
import io
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
PEER = os.environ.get("PEER")
FOLDER = os.environ.get("MNIST", "")
SEEDS = int(os.environ.get("SEEDS", "3"))
THREADS = [int(count) for count in os.environ.get("THREADS", "1 2").split()]
ONLY = os.environ.get("ONLY", "nabla torch torch_compile keras_tensorflow keras_jax jax sklearn").split()
RECIPE = {"hidden": [512, 256], "batch": 128, "learning_rate": 0.004,
          "scaling": os.environ.get("SCALING", "min_max"),  # or standardize, which blows up pixels that are seldom set
          "epochs": int(os.environ.get("EPOCHS", "6")), "target": float(os.environ.get("TARGET", "0.983"))}
LIMIT = float(os.environ.get("LIMIT", "600"))  # seconds for one training
FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
TRAINED, TESTED = 60000, 10000


class Failed(Exception):
    """Why a library has no figure."""


# ---- Nabla ----


def send(url, method="GET", body=None, kind="application/json", wait=0):
    headers = ({"Content-Type": kind} if body else {}) | ({"Prefer": f"wait={wait}"} if wait else {})
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
        return json.load(answer)


def joined(kind, header):
    """One IDX file of the training rows and behind them the test rows: the header, with their sum, and the bytes."""
    parts = [gzip.decompress(open(os.path.join(FOLDER, f"{part}-{kind}-ubyte.gz"), "rb").read()) for part in ("train", "t10k")]
    return parts[0][:4] + (TRAINED + TESTED).to_bytes(4, "big") + parts[0][8:header] + b"".join(part[header:] for part in parts)


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("images-idx3-ubyte", joined("images-idx3", 16))
        made.writestr("labels-idx1-ubyte", joined("labels-idx1", 8))
    return file.getvalue()


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen([f"{BUILD}/nabla", "serve", "--listen", "127.0.0.1:0", "--data", folder,
                                         "--port-file", os.path.join(folder, "port"), "--worker-priority", "normal"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port_file = os.path.join(folder, "port")

    def url(self):
        while not os.path.exists(self.port_file):
            if self.process.poll() is not None:
                sys.exit("the server did not start")
            time.sleep(0.02)
        return f"http://127.0.0.1:{int(open(self.port_file).read())}"

    def cpu(self):
        """Seconds of processor time that it and its workers took, once they have all ended."""
        while subprocess.run(["pgrep", "-P", str(self.process.pid)], stdout=subprocess.DEVNULL).returncode == 0:
            time.sleep(0.02)
        fields = open(f"/proc/{self.process.pid}/stat").read().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def spec(dataset, seed, threads):
    layers = []
    for units in RECIPE["hidden"]:
        layers += [{"type": "dense", "units": units, "initializer": "glorot_uniform"}, {"type": "batch_norm"}, {"type": "activation", "function": "relu"}]
    rate = {"schedule": "cosine", "initial_learning_rate": RECIPE["learning_rate"]}
    # Half a row less: the test rows are the last 10,000 whichever way the product is rounded.
    training = {"epochs": RECIPE["epochs"], "batch_size": RECIPE["batch"], "seed": seed, "threads": threads, "split": "last",
                "validation_split": (TESTED - 0.5) / (TRAINED + TESTED), "scaling": RECIPE["scaling"]}
    return {"dataset": dataset, "model": {"layers": layers}, "optimizer": {"type": "adam", "learning_rate": rate},
            "training": training, "telemetry": {"every": 1}}


class Nabla:
    """A job by its own history: rows as they are written, until an epoch's test accuracy is good enough."""

    def __init__(self, server):
        self.server, self.url = server, server.url()
        begun = time.perf_counter()
        self.dataset = send(self.url + "/v1/datasets", "POST", archive(), "application/zip")["id"]
        print(f"Nabla has taken the rows in {time.perf_counter() - begun:.1f} s, archive and upload", flush=True)

    def train(self, seed, threads):
        start, cpu = time.perf_counter(), self.server.cpu()
        body = json.dumps(spec(self.dataset, seed, threads)).encode()
        job = f"{self.url}/v1/jobs/{send(self.url + '/v1/jobs', 'POST', body)['id']}"
        epochs = self.follow(job, start)
        state = send(job)["state"]
        if state in ("queued", "running"):
            send(job + "/cancel", "POST", b"{}")
        while state in ("queued", "running"):
            state = send(job, wait=10)["state"]
        epochs[-1]["cpu"] = self.server.cpu() - cpu
        return epochs

    def follow(self, job, start):
        epochs, training, after = [], 0.0, 0
        steps = math.ceil(TRAINED / RECIPE["batch"])
        while len(epochs) < RECIPE["epochs"] and time.perf_counter() - start < LIMIT:
            told = send(f"{job}/metrics?column=validation_accuracy,samples_per_second&after={after}", wait=10)
            after, wall = told["after"], time.perf_counter() - start
            columns = told["columns"]
            for step, accuracy, rate in zip(told["steps"], columns["validation_accuracy"], columns["samples_per_second"]):
                rows = RECIPE["batch"] if step % steps else TRAINED - (steps - 1) * RECIPE["batch"]
                training += rows / rate
                if accuracy is not None:
                    epochs.append({"epoch": len(epochs) + 1, "accuracy": accuracy, "wall": wall, "training": training})
                    if accuracy >= RECIPE["target"]:
                        return epochs
            if not told["steps"] and send(job)["state"] not in ("queued", "running"):
                raise Failed(f"{job} has ended: {send(job)['error']}")
        return epochs


# ---- the others ----


def train_peer(name, seed, threads):
    recipe = json.dumps(RECIPE | {"folder": FOLDER, "seed": seed, "threads": threads})
    command = [PEER, os.path.join(HERE, "peers/train_mnist.py"), name, recipe]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        told, failed = done.stdout, done.returncode and (done.stderr.strip().splitlines() or ["?"])[-1]
    except subprocess.TimeoutExpired as late:
        told, failed = (late.stdout or b"").decode(), 0
        print(f"  {name}, seed {seed}: stopped after {LIMIT:.0f} s", file=sys.stderr, flush=True)
    epochs = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    if epochs and "missing" in epochs[0]:
        raise Failed(f"skipped: {' and '.join(epochs[0]['missing'])} not installed")
    if failed or not epochs:
        raise Failed(f"failed: {failed or f'no epoch within {LIMIT:.0f} s'}")
    return epochs


# ---- the table ----


def show(name, threads, runs):
    """Medians over the seeds; a seed that did not get there counts as later than all others."""
    there = [run[-1] if run[-1]["accuracy"] >= RECIPE["target"] else None for run in runs]
    best = statistics.median(max(epoch["accuracy"] for epoch in run) for run in runs)
    each = statistics.median(run[-1]["training"] / len(run) for run in runs)
    reached = sum(end is not None for end in there)

    def middle(key):
        values = sorted(end[key] if end else math.inf for end in there)
        return statistics.median_low(values)

    epoch, wall, training, cpu = (middle(key) for key in ("epoch", "wall", "training", "cpu"))
    figures = f"{'-':>6} {'-':>10} {'-':>10} {'-':>10}"
    if math.isfinite(wall):
        figures = f"{epoch:6.0f} {wall:8.1f} s {training:8.1f} s {cpu:8.1f} s"
    print(f"{threads:7} {name:18} {f'{reached}/{len(runs)}':>5} {figures} {each:8.2f} s {100 * best:8.2f} %", flush=True)
    return wall


def trainings(nabla):
    """By library, how it is trained with a seed and a number of threads."""
    made = {"nabla": nabla.train} if nabla else {}
    for name in ONLY:
        if name != "nabla" and PEER:
            made[name] = lambda seed, threads, name=name: train_peer(name, seed, threads)
    return made


def compare(libraries, threads):
    """All in turn with a seed, then with the next."""
    runs = {name: [] for name in libraries}
    for seed in range(1, SEEDS + 1):
        for name in list(runs):
            try:
                runs[name].append(libraries[name](seed, threads))
                print(f"  {name}, seed {seed}: {100 * runs[name][-1][-1]['accuracy']:.2f} % in epoch "
                      f"{len(runs[name][-1])} after {runs[name][-1][-1]['wall']:.1f} s", file=sys.stderr, flush=True)
            except Failed as why:
                print(f"{threads:7} {name:18} {why}", flush=True)
                del runs[name], libraries[name]
    walls = {name: show(name, threads, of) for name, of in runs.items()}
    for name, wall in walls.items():
        if name != "nabla" and math.isfinite(wall) and math.isfinite(walls.get("nabla", math.inf)):
            print(f"{'':7} {name} takes {wall / walls['nabla']:.2f} times Nabla's time", flush=True)


def main():
    absent = [name for name in FILES if not os.path.isfile(os.path.join(FOLDER, name))]
    if absent:
        sys.exit(f"MNIST is the folder of {', '.join(FILES)}: {FOLDER or 'it is not set'}{' lacks ' + ', '.join(absent) if FOLDER else ''}")
    print(f"784-512-256-10, relu, batch_norm, {RECIPE['scaling']}, Adam, cosine from {RECIPE['learning_rate']} over "
          f"{RECIPE['epochs']} epochs, batches of {RECIPE['batch']}, {SEEDS} seeds, until {100 * RECIPE['target']:.1f} % of the test rows")
    if not PEER:
        print("PEER is not set: " + ", ".join(name for name in ONLY if name != "nabla") + " skipped")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder) if "nabla" in ONLY else None
        try:
            libraries = trainings(Nabla(server) if server else None)
            print(f"threads {'library':18} seeds {'epoch':>6} {'wall':>10} {'training':>10} {'processor':>10} {'an epoch':>10} {'best':>9}")
            for threads in THREADS:
                compare(libraries, threads)
        finally:
            if server:
                server.stop()


if __name__ == "__main__":
    main()
