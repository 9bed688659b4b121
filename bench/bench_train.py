#!/usr/bin/env python3
"""Training, in one run: steps beside the sum of their parts, beside other libraries, and whole jobs through the server.

    make bench-train                              # Nabla alone
    PEER=FOLDER/bin/python make bench-train       # and what of torch, jax, keras, tensorflow, scikit-learn that venv has

A step's time is the least over SECONDS; a job's the least of ROUNDS, which take turns with the same training alone.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
PEER = os.environ.get("PEER")
SECONDS = os.environ.get("SECONDS", "1")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PORT = 18414
URL = f"http://127.0.0.1:{PORT}"
SHAPES = ["sigmoid", "batch_norm", "mnist"]  # in the order of bench_train.c
PEERS = ["torch", "torch_compile", "jax", "keras_tensorflow", "keras_jax", "sklearn"]


# ---- steps ----


def own_steps():
    """For each shape its name, step, step without telemetry and sum of parts, in microseconds."""
    text = subprocess.run([f"{BUILD}/bench/bench_train", SECONDS], check=True, capture_output=True, text=True).stdout
    shapes = []
    for line in text.splitlines():
        found = re.match(r"  (\w+) +([\d.]+) us(.*)", line)
        if not found and re.match(r"\d", line):
            shapes.append({"name": line})
        elif found:
            label = "bare" if "without telemetry" in found[3] else found[1]
            shapes[-1][label] = float(found[2])
    print(text)
    return shapes


def peer_step(peer, shape):
    """Microseconds, or why there are none."""
    command = [PEER, os.path.join(HERE, "peers/train_step.py"), peer, shape, SECONDS]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return float(done.stdout.split()[-1])
    why = (done.stderr.strip().splitlines() or ["?"])[-1]
    missing = re.match(r"ModuleNotFoundError: No module named '(\w+)", why)
    return f"skipped: {missing[1]} is not installed" if missing else f"skipped: {why}"


def print_steps():
    for shape, step in zip(SHAPES, own_steps()):
        print(f"{step['name']}: {step['step']:.1f} us, {step['step'] / step['sum']:.2f} of its parts, "
              f"telemetry {100 * (step['step'] / step['bare'] - 1):+.1f} %")
        for peer in PEERS if PEER else []:
            taken = peer_step(peer, shape)
            figures = taken if isinstance(taken, str) else f"{taken:10.1f} us {taken / step['step']:8.1f} times"
            print(f"  {peer:18} {figures}", flush=True)
    if not PEER:
        print(f"PEER is not set: {', '.join(PEERS)} skipped")


# ---- jobs ----


def send(method, path, document=None, headers=()):
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(URL + path, body, {"Content-Type": "application/json", **dict(headers)}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def job_seconds(epochs):
    """From the POST until the end is known, and until the history is read; and the training alone, as its worker saw it."""
    hidden = [{"units": units, "activation": "sigmoid"} for units in (128, 64)]
    data = {"generator": "random", "rows": 1000, "features": 4, "classes": 10, "seed": 1}
    start = time.perf_counter()
    job = send("POST", "/v1/jobs", {"dataset": data, "model": {"layers": hidden}, "training": {"epochs": epochs}})
    while job["state"] not in ("succeeded", "failed"):
        job = send("GET", f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=10"})
    ended = time.perf_counter()
    assert job["state"] == "succeeded", job
    send("GET", f"/v1/jobs/{job['id']}/metrics")
    return ended - start, time.perf_counter() - start


def serve(folder):
    server = subprocess.Popen([f"{BUILD}/nabla", "serve", "--listen", f"127.0.0.1:{PORT}", "--data", folder],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            urllib.request.urlopen(URL + "/healthz")
            return server
        except OSError:
            time.sleep(0.02)
    server.kill()
    raise SystemExit("the server did not start")


def step_back():
    """As workers do: on a busy machine the training alone must not go before the job's."""
    os.nice(10)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def print_jobs():
    with tempfile.TemporaryDirectory() as folder:
        server = serve(folder)
        try:
            small = min(job_seconds(10)[0] for _ in range(ROUNDS + 2))
            alone, whole = [], []
            for _ in range(ROUNDS):
                command = [f"{BUILD}/bench/bench_train", "whole"]
                alone.append(float(subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=step_back).stdout))
                whole.append(job_seconds(4000)[1])
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    print(f"small job, 10 epochs of 1,000 x 4: {1000 * small:.0f} ms from POST to succeeded")
    print(f"100,000 steps: {min(alone):.2f} s alone, {min(whole):.2f} s from POST until its history is read, "
          f"{min(whole) / min(alone):.2f} times")


if __name__ == "__main__":
    print_steps()
    print_jobs()
