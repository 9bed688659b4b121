#!/usr/bin/env python3
"""What pollers and listeners of histories cost, in one run:

    make bench-poll

a poll that finds nothing new (304) beside a bare libmicrohttpd hello, by wrk, the servers taking turns; 200 pollers at ten
polls a second each while two jobs train; 1,000 listeners on one job, all places taken; 1,000 listeners that hang up 10,000
times, and come back at once, while it is written to. BENCH=training,listeners chooses some of: unchanged, training,
listeners; OWN_GROUP=1 has the scheduler hand this run's processes the cores before all other work (Linux' autogroup; as
root), which tells apart what others on a busy machine cost.
"""
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request

from bench_http import BUILD, CORES, PORTS, commands, cpu_seconds, pinned, start
import subprocess

ROUNDS, SECONDS = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("SECONDS", "2"))
CHOSEN = os.environ.get("BENCH", "unchanged,training,listeners").split(",")
URL = f"http://127.0.0.1:{PORTS['nabla']}"


def post(path, document, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(URL + path, json.dumps(document).encode(), headers)
    return json.load(urllib.request.urlopen(request))


def client_job():
    return post("/v1/jobs", {"executor": "client"})


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
    return subprocess.run([f"{BUILD}/bench/bench_poll", *map(str, arguments)], capture_output=True, text=True)


def while_training(folder):
    """On all cores, which the two jobs fill."""
    process = start("nabla", commands(folder)["nabla"] + ["--workers", "2"], f"0-{CORES - 1}")
    layers = [{"units": 256, "activation": "relu"}] * 3
    spec = {"dataset": {"generator": "random", "rows": 20000, "features": 64}, "model": {"layers": layers},
            "training": {"epochs": 10000}, "telemetry": {"every": 20}}  # fmt: skip
    jobs = [post("/v1/jobs", spec | {"name": str(i)})["id"] for i in range(2)]
    for job in jobs:
        while json.load(urllib.request.urlopen(f"{URL}/v1/jobs/{job}"))["progress"]["step"] == 0:
            time.sleep(0.05)
    for _ in range(ROUNDS):
        told = helper("poll", PORTS["nabla"], jobs[0], 200, 100, SECONDS).stdout.strip()
        print(f"200 pollers, ten a second each, while two jobs train: {told}", flush=True)
    process.terminate()
    process.wait()


def resident_megabytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s*(\d+)", file.read())[1]) / 1024


def listeners(process, events, cuts):
    """True when every listener was told every row once."""
    made, before = client_job(), resident_megabytes(process.pid)
    told = helper("listen", PORTS["nabla"], made["id"], made["token"], 1000, events, cuts)
    print(f"1,000 listeners on one job: {told.stdout.strip()}; "
          f"memory {before:.0f} MB before, {resident_megabytes(process.pid):.0f} MB after", flush=True)  # fmt: skip
    return told.returncode == 0


def stand_apart():
    os.setsid()
    with open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write("-20")


def main():
    if os.environ.get("OWN_GROUP"):
        stand_apart()
    folder = tempfile.mkdtemp()
    processes = {}
    try:
        found = commands(folder)
        if "training" in CHOSEN:
            while_training(f"{folder}/training")
        for name in ("hello", "nabla"):
            processes[name] = start(name, found[name])
        if "unchanged" in CHOSEN:
            unchanged(processes)
        exact = "listeners" not in CHOSEN or all([listeners(processes["nabla"], 30, 0), listeners(processes["nabla"], 100, 10000)])
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
        shutil.rmtree(folder)
    sys.exit(not exact)


if __name__ == "__main__":
    main()
