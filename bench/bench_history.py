#!/usr/bin/env python3
"""Recording, keeping and reading histories, beside MLflow's tracking server on SQLite, in one run.

    make bench-history                              # Nabla alone; with wrk also small batches of many clients
    PEER=FOLDER/bin/mlflow make bench-history       # and the peer

Both take batches of 1,000 points over loopback from the same client, and tell 1,000,000 points of one metric in 1,000.
The peer's million is put into its database beforehand, as its own log-batch would take minutes.
"""

import http.client
import json
import math
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse

BUILD = os.environ.get("BUILD", "build")
PEER = os.environ.get("PEER")
SECONDS = float(os.environ.get("SECONDS", "3"))
MANY = int(os.environ.get("POINTS", "1000000"))
ROUNDS = 7
PORTS = {"nabla": 18421, "peer": 18422}
COLUMNS = ["gradient_norm", "gradient_max_abs", "gradient_mean", "gradient_mean_abs", "gradient_std", "weight_norm",
           "weight_mean", "weight_std", "update_norm", "update_ratio"]


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {data[:300]}")
        return data


def wait_for(port, path):
    until = time.time() + 90
    while time.time() < until:
        try:
            return Client(port).ask("GET", path)
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
    sys.exit(f"nothing listens on {port}")


def timed(action, rounds=ROUNDS):
    best = math.inf
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - begin)
    return best


# ---- Nabla


class Nabla:
    def __init__(self):
        self.client = Client(PORTS["nabla"])

    def job(self):
        made = json.loads(self.client.ask("POST", "/v1/jobs", json.dumps({"executor": "client"})))
        return made["id"], {"Authorization": "Bearer " + made["token"]}

    def post(self, job, body):
        self.client.ask("POST", f"/v1/jobs/{job[0]}/metrics", body, job[1])


def wide_batch(first, source):
    steps = list(range(first, first + 100))
    columns = {name: [source.gauss(0, 1) for _ in steps] for name in COLUMNS}
    return {"attempt": 1, "layers": [{"index": 0, "name": "dense_1", "steps": steps, "columns": columns}]}


def named_batch(first, source):
    steps = list(range(first, first + 250))
    return {"attempt": 1, "metrics": {"steps": steps,
                                      "columns": {f"mine_{i}": [source.gauss(0, 1) for _ in steps] for i in range(4)}}}


def record(nabla, make, rows):
    source = random.Random(7)
    bodies = [json.dumps(make(1 + i * rows, source)) for i in range(int(SECONDS * 500))]
    job = nabla.job()
    begin = time.perf_counter()
    for body in bodies:
        nabla.post(job, body)
        if time.perf_counter() - begin > SECONDS:
            break
    done = bodies.index(body) + 1
    return job, done * 1000 / (time.perf_counter() - begin), done * 1000


def commits(nabla, clients):
    """Batches of ten points a second, each on the disk before it is answered."""
    job, bearer = nabla.job()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
        json.dump({"attempt": 1, "metrics": {"steps": list(range(10)), "columns": {"loss": [0.5] * 10}}}, body)
        body.flush()
        told = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{SECONDS:.0f}s", "-s", os.path.join(os.path.dirname(__file__), "post.lua"),
                               "-H", f"Authorization: {bearer['Authorization']}",
                               f"http://127.0.0.1:{PORTS['nabla']}/v1/jobs/{job}/metrics", "--", body.name, "application/json"],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
    requests, microseconds, _, errors = map(int, re.search(r"figures (\d+) (\d+) (\d+) (\d+)", told).groups())
    if errors:
        sys.exit(f"{errors} batches of {requests} failed")
    return requests / microseconds * 1e6


def bytes_of(folder, table):
    """Bytes of a table's pages, with what stands beside it for all: runs and rollups."""
    database = sqlite3.connect(f"file:{folder}/nabla.db?mode=ro", uri=True)
    names = [table, "writes", "rollups", "rollups_stale"]
    marks = ",".join("?" * len(names))
    return database.execute(f"SELECT sum(pgsize) FROM dbstat WHERE name IN ({marks})", names).fetchone()[0]


def fill(nabla):
    source = random.Random(7)
    job = nabla.job()
    for first in range(1, MANY + 1, 5000):
        steps = list(range(first, min(first + 5000, MANY + 1)))
        nabla.post(job, json.dumps({"attempt": 1, "metrics": {"steps": steps, "columns": {
            "loss": [source.gauss(0, 1) for _ in steps]}}}))
    return job[0]


def settle(nabla, job):
    """Until the rollups are built: the same answer in the same time."""
    last = math.inf
    for _ in range(60):
        now = timed(lambda: nabla.client.ask("GET", f"/v1/jobs/{job}/metrics?column=loss&max_points=1000"), 1)
        if now < 0.05 and abs(now - last) < last / 4:
            return
        last = now
        time.sleep(1)


# ---- the peer


class Peer:
    def __init__(self):
        self.client = Client(PORTS["peer"])

    def run(self):
        self.client = Client(PORTS["peer"])  # it closes a connection that is silent for seconds
        body = json.dumps({"experiment_id": "0", "start_time": 0})
        return json.loads(self.client.ask("POST", "/api/2.0/mlflow/runs/create", body))["run"]["info"]["run_id"]


def peer_record(peer):
    source = random.Random(7)
    run, done, begin = peer.run(), 0, time.perf_counter()
    while time.perf_counter() - begin < max(SECONDS, 5):
        metrics = [{"key": f"mine_{i % 4}", "value": source.gauss(0, 1), "timestamp": 1, "step": done + i // 4}
                   for i in range(1000)]
        peer.client.ask("POST", "/api/2.0/mlflow/runs/log-batch", json.dumps({"run_id": run, "metrics": metrics}))
        done += 1000
    return done / (time.perf_counter() - begin)


def peer_fill(peer, path):
    source = random.Random(7)
    run = peer.run()
    database = sqlite3.connect(path, timeout=60)
    rows = (("loss", source.gauss(0, 1), i, run, i, 0) for i in range(1, MANY + 1))
    with database:
        database.executemany("INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?,?,?,?,?,?)", rows)
        database.execute("INSERT OR REPLACE INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)"
                         " VALUES ('loss', 0, ?, ?, 0, ?)", (MANY, MANY, run))
    database.close()
    return run


def peer_read(peer, run):
    """Downsampled by the server, as its own charts read it."""
    query = urllib.parse.urlencode({"run_ids": run, "metric_key": "loss", "max_results": 1000})
    peer.client = Client(PORTS["peer"])
    return timed(lambda: peer.client.ask("GET", f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}"), 2)


def show(name, value, target, ratio=""):
    print(f"{name:58} {value:>16} {target:>22} {ratio}", flush=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        servers = [subprocess.Popen([f"{BUILD}/nabla", "serve", "--listen", f"127.0.0.1:{PORTS['nabla']}", "--data",
                                     f"{folder}/nabla", "--log-level", "error"], stdout=subprocess.DEVNULL)]
        if PEER:
            quiet = open(os.devnull, "w")
            servers.append(subprocess.Popen(
                [PEER, "server", "--backend-store-uri", f"sqlite:///{folder}/peer.db", "--default-artifact-root",
                 f"{folder}/artifacts", "--host", "127.0.0.1", "--port", str(PORTS["peer"]), "--workers", "1"],
                stdout=quiet, stderr=quiet, start_new_session=True))
        try:
            compare(folder)
        finally:
            if PEER:
                os.killpg(servers[1].pid, 15)
            servers[0].terminate()
            for server in servers:
                server.wait()


def compare(folder):
    wait_for(PORTS["nabla"], "/healthz")
    nabla = Nabla()
    peer = None
    if PEER:
        wait_for(PORTS["peer"], "/health")
        peer = Peer()
    _, wide, wide_points = record(nabla, wide_batch, 100)
    _, named, named_points = record(nabla, named_batch, 250)
    peer_rate = peer_record(peer) if peer else None
    show("recording, wide rows, batches of 1,000 points", f"{wide:,.0f}/s", "500,000/s",
         f"{wide / peer_rate:.0f} x peer (100)" if peer else "")
    show("recording, metrics that the client names", f"{named:,.0f}/s", "",
         f"{named / peer_rate:.0f} x peer's {peer_rate:,.0f}/s" if peer else "")
    for clients in (1, 8, 32) if shutil.which("wrk") else ():
        show(f"batches of ten points on the disk, clients: {clients}", f"{commits(nabla, clients):,.0f}/s", "")
    time.sleep(2)
    show("bytes a point, wide rows of 10 columns in 19", f"{bytes_of(folder + '/nabla', 'gradient_rows') / wide_points:.1f}", "16")
    show("bytes a point, metrics that the client names",
         f"{bytes_of(folder + '/nabla', 'custom_rows') / named_points:.1f}", "32")
    small = nabla.job()
    nabla.post(small, json.dumps({"attempt": 1, "metrics": {"steps": list(range(10000)), "columns": {"loss": [1.5] * 10000}}}))
    big = fill(nabla)
    settle(nabla, big)
    read = timed(lambda: nabla.client.ask("GET", f"/v1/jobs/{big}/metrics?column=loss&max_points=1000"))
    other = peer_read(peer, peer_fill(peer, folder + "/peer.db")) if peer else None
    show(f"reading {MANY:,} points downsampled to 1,000", f"{read * 1e3:.1f} ms", "50 ms",
         f"{other / read:.0f} x peer's {other * 1e3:.0f} ms (50)" if peer else "")
    for count, job in ((10000, small[0]), (MANY, big)):
        newest = timed(lambda: nabla.client.ask("GET", f"/v1/jobs/{job}/metrics?column=loss&newest=100"), 200)
        show(f"the newest 100 points, of {count:,}", f"{newest * 1e6:.0f} us", "the same")


if __name__ == "__main__":
    main()
