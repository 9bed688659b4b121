#!/usr/bin/env python3
"""Requests per second of POST /v1/losses, beside a bare libmicrohttpd server and FastAPI with PyTorch, in one run.

    make bench-http                                 # hello and Nabla
    PEER=FOLDER/bin/python make bench-http          # and the peer, from a venv of bench/peers/requirements.txt

Each server has the first core for itself, wrk has the others. The servers take turns, ROUNDS times; medians are printed,
and the ratio of what stands in the same round. Beside the rate stands the processor time that the server took for a request:
the steadier figure where the machine has other work.
"""

import json
import os
import random
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
PEER = os.environ.get("PEER")
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "3"))
PORTS = {"hello": 18411, "nabla": 18412, "peer": 18413}
TICK = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


# ---- bodies ----


def matrix(rows, classes, digits):
    source = random.Random(7)
    return [[round(source.gauss(0, 3), digits) for _ in range(classes)] for _ in range(rows)]


def json_body(rows, classes, digits):
    labels = [i % classes for i in range(rows)]
    return json.dumps({"logits": matrix(rows, classes, digits), "labels": labels}).encode()


def safetensors_body(rows, classes):
    source = random.Random(7)
    row = struct.pack(f"<{classes}f", *(source.gauss(0, 3) for _ in range(classes)))
    logits = row * rows
    labels = struct.pack(f"<{rows}q", *(i % classes for i in range(rows)))
    header = {
        "logits": {"dtype": "F32", "shape": [rows, classes], "data_offsets": [0, len(logits)]},
        "labels": {"dtype": "I64", "shape": [rows], "data_offsets": [len(logits), len(logits) + len(labels)]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + logits + labels


# name, content type, body, connections, servers
CASES = [
    ("8x10 as JSON", "application/json", json_body(8, 10, 4), 32, ["hello", "nabla", "peer"]),
    ("1000x1000 as JSON", "application/json", json_body(1000, 1000, 6), 1, ["nabla", "peer"]),
    ("4096x1000 as safetensors", "application/safetensors", safetensors_body(4096, 1000), 1, ["nabla", "peer"]),
]


# ---- servers ----


def pinned(cores, command):
    return ["taskset", "-c", cores, *command] if CORES > 1 else command


def commands(folder):
    found = {
        "hello": [f"{BUILD}/bench/bench_hello", str(PORTS["hello"])],
        "nabla": [f"{BUILD}/nabla", "serve", "--listen", f"127.0.0.1:{PORTS['nabla']}", "--data", folder,
                  "--http-threads", "1", "--compute-threads", "1", "--log-level", "error"],
    }  # fmt: skip
    if PEER:
        found["peer"] = [PEER, "-m", "uvicorn", "--app-dir", f"{HERE}/peers", "fastapi_torch:app",
                         "--port", str(PORTS["peer"]), "--no-access-log"]  # fmt: skip
    return found


def await_server(name, process):
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORTS[name]}/healthz", timeout=5)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"{name} ended with status {process.returncode}")
            time.sleep(0.1)
    sys.exit(f"{name} does not answer")


def start(name, command, cores="0"):
    process = subprocess.Popen(pinned(cores, command), stdout=subprocess.DEVNULL)
    await_server(name, process)
    return process


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_megabytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s*(\d+)", file.read())[1]) / 1024


# ---- measuring ----


def measure(name, process, case, path):
    _, media, _, connections, _ = case
    url = f"http://127.0.0.1:{PORTS[name]}/" + ("" if name == "hello" else "v1/losses")
    # The bare server answers GETs: nothing is less.
    script = ["-s", f"{HERE}/post.lua", url, "--", path, media] if name != "hello" else [url]
    others = f"1-{CORES - 1}" if CORES > 2 else "1"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}", "--timeout", "60", *script]
    before = cpu_seconds(process.pid)
    text = subprocess.run(pinned(others, command), check=True, capture_output=True, text=True).stdout
    cpu = cpu_seconds(process.pid) - before
    if name == "hello":
        requests = int(re.search(r"(\d+) requests in", text)[1])
        return {"rate": float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1]), "cpu": cpu / requests, "answer": 0}
    requests, duration, answered, errors = map(int, re.search(r"figures (\d+) (\d+) (\d+) (\d+)", text).groups())
    if errors or not requests:
        sys.exit(f"{name}: {errors} of {requests} requests failed\n{text}")
    return {"rate": requests / duration * 1e6, "cpu": cpu / requests, "answer": answered / requests}


def median(rounds, name, what):
    return statistics.median(each[name][what] for each in rounds)


def ratio(rounds, one, other, what="rate"):
    return statistics.median(each[one][what] / each[other][what] for each in rounds)


def report(case, rounds, names):
    title, _, body, _, _ = case
    print(f"\n{title} ({len(body):,} bytes)")
    for name in names:
        rate, cpu = median(rounds, name, "rate"), median(rounds, name, "cpu")
        line = f"  {name:6} {rate:10,.1f} requests/s  {cpu * 1e6:12,.1f} us of processor time each"
        if len(body) > 1e6:
            both = rate * (len(body) + median(rounds, name, "answer")) / 1e9
            line += f"  {rate * len(body) / 1e9:.2f} GB/s in, {both:.2f} GB/s in and out"
        print(line)
    for other in names:
        if other != "nabla":
            print(f"  nabla / {other}: {ratio(rounds, 'nabla', other):.2f} by rate, "
                  f"{1 / ratio(rounds, 'nabla', other, 'cpu'):.2f} by processor time")  # fmt: skip
    sys.stdout.flush()


def run_case(case, processes, folder):
    title, _, body, _, servers = case
    names = [name for name in servers if name in processes]
    path = os.path.join(folder, "body")
    with open(path, "wb") as file:
        file.write(body)
    for name in names:  # once unmeasured
        measure(name, processes[name], case, path)
    report(case, [{name: measure(name, processes[name], case, path) for name in names} for _ in range(ROUNDS)], names)


def main():
    if not shutil.which("wrk"):
        sys.exit("wrk is needed: apt-get install wrk")
    folder = tempfile.mkdtemp()
    processes = {}
    try:
        for name, command in commands(folder).items():
            processes[name] = start(name, command)
        for case in CASES:
            run_case(case, processes, folder)
        for name, process in processes.items():
            print(f"{'' if name != 'hello' else chr(10)}peak memory of {name}: {peak_megabytes(process.pid):,.0f} MB")
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
