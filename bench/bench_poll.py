#!/usr/bin/env python3
"""What pollers and listeners of histories cost, in one run:

    make bench-poll

a poll that finds nothing new (304) beside a bare libmicrohttpd hello, by wrk, the servers taking turns; 200 pollers at ten
polls a second each while two jobs train; 1,000 listeners on one job; 10,000 reconnects of a listener that takes one
row each time.
"""
import json
import os
import re
import shutil
import socket
import statistics
import sys
import tempfile
import time
import urllib.request

from bench_http import BUILD, CORES, PORTS, commands, cpu_seconds, pinned, start
import subprocess

ROUNDS, SECONDS = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("SECONDS", "2"))
URL = f"http://127.0.0.1:{PORTS['nabla']}"


def post(path, document, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(URL + path, json.dumps(document).encode(), headers)
    return json.load(urllib.request.urlopen(request))


def client_job():
    return post("/v1/jobs", {"executor": "client"})


def resident_megabytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s*(\d+)", file.read())[1]) / 1024


def wrk(process, url):
    before = cpu_seconds(process.pid)
    command = ["wrk", "-t1", "-c32", f"-d{SECONDS}", "-H", 'If-None-Match: "1"', url]
    text = subprocess.run(pinned("1" if CORES > 1 else "0", command), check=True, capture_output=True, text=True).stdout
    requests = int(re.search(r"(\d+) requests in", text)[1])
    return float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1]), (cpu_seconds(process.pid) - before) / requests * 1e6


def unchanged(processes):
    job = client_job()["id"]
    urls = {"hello": f"http://127.0.0.1:{PORTS['hello']}/", "job": f"{URL}/v1/jobs/{job}",
            "metrics": f"{URL}/v1/jobs/{job}/metrics?after=1"}  # fmt: skip
    rounds = [{name: wrk(processes["hello" if name == "hello" else "nabla"], url) for name, url in urls.items()}
              for _ in range(ROUNDS)]  # fmt: skip
    print("a poll that finds nothing new")
    for name in urls:
        rate, cpu = (statistics.median(each[name][i] for each in rounds) for i in (0, 1))
        ratios = [statistics.median(each[name][i] / each["hello"][i] for each in rounds) for i in (0, 1)]
        print(f"  {name:8} {rate:10,.0f}/s {cpu:6.1f} us of processor time; over hello: "
              f"{ratios[0]:.2f} by rate, {1 / ratios[1]:.2f} by processor time")  # fmt: skip


def helper(*arguments):
    return subprocess.run([f"{BUILD}/bench/bench_poll", *map(str, arguments)], capture_output=True, text=True).stdout.strip()


def while_training():
    layers = [{"units": 256, "activation": "relu"}] * 3
    spec = {"dataset": {"generator": "random", "rows": 20000, "features": 64}, "model": {"layers": layers},
            "training": {"epochs": 10000}, "telemetry": {"every": 20}}  # fmt: skip
    jobs = [post("/v1/jobs", spec | {"name": str(i)})["id"] for i in range(2)]
    for job in jobs:
        while json.load(urllib.request.urlopen(f"{URL}/v1/jobs/{job}"))["progress"]["step"] == 0:
            time.sleep(0.05)
    print(f"200 pollers, ten a second each, while two jobs train: {helper('poll', PORTS['nabla'], jobs[0], 200, 100, 5)}")
    for job in jobs:
        post(f"/v1/jobs/{job}/cancel", {})


def listeners(process):
    made = client_job()
    before = resident_megabytes(process.pid)
    print(f"1,000 listeners on one job: {helper('listen', PORTS['nabla'], made['id'], made['token'], 1000, 30)}; "
          f"memory {before:.0f} MB before, {resident_megabytes(process.pid):.0f} MB after")  # fmt: skip


def one_row(job, last):
    with socket.create_connection(("127.0.0.1", PORTS["nabla"])) as connection:
        known = f"Last-Event-ID: {last}\r\n" if last else ""
        connection.sendall(f"GET /v1/jobs/{job}/metrics?limit=1 HTTP/1.1\r\nHost: a\r\n"
                           f"Accept: text/event-stream\r\n{known}\r\n".encode())  # fmt: skip
        text = b""
        while not (found := re.search(rb"id: (\S+)\n.*?\"steps\":\[(\d+)\].*?\n\n", text, re.S)):
            piece = connection.recv(65536)
            if not piece:
                return None, None
            text += piece
        return found[1].decode(), int(found[2])


def reconnects(count=10000):
    made = client_job()
    for at in range(0, count, 1000):
        steps = list(range(at + 1, at + 1001))
        post(f"/v1/jobs/{made['id']}/metrics", {"attempt": 1, "metrics": {"steps": steps, "columns": {"loss": steps}}}, made["token"])
    last, told, begin = None, [], time.monotonic()
    for _ in range(count):
        last, step = one_row(made["id"], last)
        told.append(step)
    exact = told == list(range(1, count + 1))
    print(f"{count:,} reconnects: {'no gap, nothing twice' if exact else 'NOT EXACT'}, {time.monotonic() - begin:.1f} s")
    return exact


def main():
    folder = tempfile.mkdtemp()
    processes = {}
    try:
        found = commands(folder)
        found["nabla"] += ["--workers", "2"]
        for name in ("hello", "nabla"):
            processes[name] = start(name, found[name])
        unchanged(processes)
        exact = reconnects()
        while_training()
        listeners(processes["nabla"])  # last: those that are gone keep their places until the next event or ping
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
        shutil.rmtree(folder)
    sys.exit(not exact)


if __name__ == "__main__":
    main()
