#!/usr/bin/python3
"""kill -9 of a server and its workers at random points while jobs are created, trained, written to, read and deleted.
After each restart: every job that was acknowledged is there, once; every row that was acknowledged is there, once and as
it was sent; what was acknowledged as deleted is gone; the database is whole. In the end no job is stuck and each has
the weights, bit for bit, of one that nothing happened to. NABLA_KILL_CYCLES kills (make torture-kill: 1,000, where the
server must also be ready within two seconds each time). SEED chooses another run. Speaks TAP.
"""
import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

NABLA = os.environ.get("NABLA", "build/nabla")
CYCLES = int(os.environ.get("NABLA_KILL_CYCLES", 20))
IS_LONG = "NABLA_KILL_CYCLES" in os.environ
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
DEADLINE_S, READY_S, OPEN_JOBS, LOAD_S = 120, 2, 4, 0.5 if IS_LONG else 0.3
FINAL = ("succeeded", "failed", "cancelled")


def job_of(optimizer, seed, **more):
    """What is random in training is on, and checkpoints come often."""
    return {
        "dataset": {"generator": "blobs", "rows": 4000, "features": 6, "classes": 3, "seed": seed},
        "model": {"layers": [{"units": 16, "activation": "relu", "batch_norm": True, "dropout": 0.2}]},
        "optimizer": optimizer,
        "training": {"epochs": 5, "batch_size": 16, "seed": seed, "checkpoint_every_seconds": 0.02} | more,
        "retries": 10,
    }


SPECS = [job_of("adam", 1), job_of("sgd", 2, streaming=True, shuffle_buffer=500), job_of("lion", 3)]


class Server:
    def __init__(self, folder):
        self.folder, self.slowest = folder, 0.0
        self.start()

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [NABLA, "serve", "--listen", "127.0.0.1:0", "--data", f"{self.folder}/data", "--workers", "2",
             "--client-lease", "3600", "--log-level", "error"], stdout=subprocess.PIPE, text=True)  # fmt: skip
        self.port = int(self.process.stdout.readline().split("127.0.0.1:")[1].split()[0])
        status, _ = self.ask("GET", "/readyz")
        assert status == 200, f"/readyz answered {status}"
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def workers(self):
        pid = self.process.pid
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return [int(child) for child in children.read().split()]
        return []

    def kill(self, everybody):
        workers = self.workers() if everybody else []
        self.process.kill()
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def ask(self, method, path, body=None, headers=None, raw=False):
        """(status, answer); OSError or HTTPException when the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} | (headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, content if raw or not content else json.loads(content)

    def weights(self, job):
        """A digest of a model's tensors, without what the file says about itself."""
        status, file = self.ask("GET", f"/v1/jobs/{job}/model", raw=True)
        assert status == 200, f"the model of {job}: {status} {file[:200]}"
        size = int.from_bytes(file[:8], "little")
        tensors = json.loads(file[8 : 8 + size])
        tensors.pop("__metadata__", None)
        return hashlib.sha256(json.dumps(tensors, sort_keys=True).encode() + file[8 + size :]).hexdigest()

    def await_final(self, job):
        deadline = time.monotonic() + DEADLINE_S
        etag = ""
        while time.monotonic() < deadline:
            headers = {"Prefer": "wait=5", **({"If-None-Match": etag} if etag else {})}
            status, answer = self.ask("GET", f"/v1/jobs/{job}", headers=headers)
            assert status in (200, 304), f"{job}: {status} {answer}"
            if status == 200 and answer["state"] in FINAL:
                return answer
            etag = f'"{answer["revision"]}"' if status == 200 else etag
        raise AssertionError(f"{job} is stuck")


class Load:
    """What was asked for, and what of it was acknowledged. Each thread changes its own part alone."""

    def __init__(self, server, references):
        self.server, self.references = server, references
        self.draw = random.Random(SEED)
        self.made = 0  # keys of jobs that were asked for
        self.pending = None  # (key, spec) that was not acknowledged yet
        self.trained = {}  # job id -> index of its spec, of jobs that are not deleted
        self.final = set()  # those of them that were looked at
        self.client = None  # (job, token)
        self.sent, self.acknowledged = 0, 0  # steps of the client's job
        self.dying, self.deleted = None, set()
        self.checked = self.deletions = self.rows = 0
        self.wrong = None

    # ---- threads; each ends when the server does ----

    def create(self):
        while True:
            if len(self.trained) - len(self.final) >= OPEN_JOBS and not self.pending:
                self.look()
                continue
            if not self.pending:
                self.pending = (f"job-{self.made}", self.made % len(SPECS))
                self.made += 1
            key, spec = self.pending
            status, job = self.server.ask("POST", "/v1/jobs", SPECS[spec] | {"name": key}, {"Idempotency-Key": key})
            assert status in (200, 202), f"a job was answered {status}: {job}"
            self.trained[job["id"]] = spec
            self.pending = None

    def look(self):
        """At jobs until one is new at its end; then at its weights."""
        for job, spec in list(self.trained.items()):
            if job in self.final or job not in self.trained:  # a deletion leaves them in the other order
                continue
            status, answer = self.server.ask("GET", f"/v1/jobs/{job}")
            assert status == 200, f"{job} was acknowledged and is answered {status}"
            if answer["state"] in FINAL:
                self.settle(job, spec, answer)

    def settle(self, job, spec, answer):
        assert answer["state"] == "succeeded", f"{job} is {answer['state']}: {answer.get('error')}"
        assert self.server.weights(job) == self.references[spec], f"the weights of {job} are not those undisturbed"
        self.checked += 1
        self.final.add(job)

    def write(self):
        """A client's job: batches of ten rows, sent again until they are acknowledged."""
        if not self.client:
            key = f"client-{self.draw.random()}"
            status, job = self.server.ask("POST", "/v1/jobs", {"executor": "client", "name": key})
            assert status == 202, f"a client's job was answered {status}: {job}"
            self.client, self.sent, self.acknowledged = (job["id"], job["token"]), 0, 0
        job, token = self.client
        while True:
            steps = list(range(self.acknowledged + 1, self.acknowledged + 11))
            self.sent = steps[-1]
            batch = {"attempt": 1, "metrics": {"steps": steps, "columns": {"loss": [1 / step for step in steps]}}}
            status, answer = self.server.ask(
                "POST", f"/v1/jobs/{job}/metrics", batch, {"Authorization": f"Bearer {token}"})  # fmt: skip
            assert status == 200, f"rows were answered {status}: {answer}"
            self.acknowledged = self.sent

    def delete(self):
        while True:
            ended = [job for job in self.final if job in self.trained]
            if not self.dying and ended:
                self.dying = self.draw.choice(ended)
            if not self.dying:
                self.server.ask("GET", "/v1/jobs")
                continue
            status, answer = self.server.ask("DELETE", f"/v1/jobs/{self.dying}")
            assert status in (200, 202, 204, 404), f"a deletion was answered {status}: {answer}"
            del self.trained[self.dying]
            self.final.discard(self.dying)
            self.deleted.add(self.dying)
            self.deletions += 1
            self.dying = None

    def read(self):
        paths = ["/v1/jobs", "/v1/datasets", "/metrics", "/readyz"]
        while True:
            if self.client:
                self.server.ask("GET", f"/v1/jobs/{self.client[0]}/metrics", raw=True)
            for path in paths:
                status, _ = self.server.ask("GET", path, raw=True)
                assert status == 200, f"{path} was answered {status}"

    def run(self, work):
        try:
            work()
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            if self.server.process.poll() is None and not self.is_over:
                self.wrong = self.wrong or "the server cut a connection while nobody killed it"
        except AssertionError as wrong:
            self.wrong = self.wrong or str(wrong)

    def until_killed(self, seconds, everybody):
        self.is_over = False
        works = [self.create, self.write, self.delete, self.read]
        threads = [threading.Thread(target=self.run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        threads[0].join(seconds)
        self.is_over = True
        self.server.kill(everybody)
        for thread in threads:
            thread.join()
        assert not self.wrong, self.wrong

    # ---- what must hold once the server is back ----

    def check(self):
        self.check_rows()
        store = sqlite3.connect(f"file:{self.server.folder}/data/nabla.db?mode=ro", uri=True, timeout=60)
        with contextlib.closing(store):
            whole = store.execute("PRAGMA integrity_check").fetchall()
            assert whole == [("ok",)], f"the database: {whole}"
            twice = store.execute("SELECT name FROM jobs GROUP BY name HAVING count(*) > 1").fetchall()
            assert not twice, f"jobs that are there twice: {twice}"
            jobs = {job for (job,) in store.execute("SELECT id FROM jobs")}
        lost = [job for job in self.trained if job not in jobs and job != self.dying]
        assert not lost, f"jobs that were acknowledged and are lost: {lost}"
        assert not self.deleted & jobs, f"jobs that were deleted and are back: {self.deleted & jobs}"

    def check_rows(self):
        if not self.client:
            return
        job, token = self.client
        status, answer = self.server.ask("GET", f"/v1/jobs/{job}/metrics?limit=10000")
        assert status == 200, f"the history of {job}: {status}"
        steps, loss = answer["steps"], answer["columns"]["loss"] if answer["steps"] else []
        known = f"{self.acknowledged} acknowledged, {self.sent} sent"
        assert steps == list(range(1, len(steps) + 1)), f"rows are missing or twice ({known}): {steps}"
        assert len(steps) in (self.acknowledged, self.sent), f"{len(steps)} rows, {known}"
        assert loss == [1 / step for step in steps], "rows are not as they were sent"
        if len(steps) < 2000 and self.draw.random() < 0.7:
            return  # it goes on writing to this one
        end = {"attempt": 1, "state": "succeeded"}
        status, answer = self.server.ask(
            "POST", f"/v1/jobs/{job}/state", end, {"Authorization": f"Bearer {token}"})  # fmt: skip
        assert status == 200, f"the end of {job}: {status} {answer}"
        assert self.server.ask("DELETE", f"/v1/jobs/{job}")[0] < 300
        self.deleted.add(job)
        self.rows += len(steps)
        self.client = None


def undisturbed(server):
    digests = []
    for spec in SPECS:
        status, job = server.ask("POST", "/v1/jobs", spec | {"name": f"undisturbed-{len(digests)}"})
        assert status == 202, f"a job was answered {status}: {job}"
        assert server.await_final(job["id"])["state"] == "succeeded"
        digests.append(server.weights(job["id"]))
    return digests


def torture(folder):
    server = Server(folder)
    try:
        load = Load(server, undisturbed(server))
        for cycle in range(CYCLES):
            load.until_killed(load.draw.random() * LOAD_S, load.draw.random() < 0.5)
            server.start()
            load.check()
            if IS_LONG and (cycle + 1) % 50 == 0:
                print(f"# {cycle + 1} kills: {load.checked} models the same, {load.made} jobs, {load.deletions} deleted, "
                      f"{load.rows} rows, the slowest start {server.slowest:.2f} s", flush=True)  # fmt: skip
        for job, spec in load.trained.items():
            if job not in load.final and job != load.dying:
                load.settle(job, spec, server.await_final(job))
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == 0, "the server did not stop well"
        sound = subprocess.run([NABLA, "check", "--all", "--data", f"{folder}/data"], capture_output=True, text=True)
        assert sound.returncode == 0, f"nabla check: {sound.stdout}{sound.stderr}"
        assert not IS_LONG or server.slowest < READY_S, f"the server was ready after {server.slowest:.2f} s"
        assert load.checked > 0 and load.rows + load.acknowledged > 0, "the load did nothing"
    finally:
        server.process.kill()
        server.process.wait()
    return (f"{CYCLES} kills, {load.made} jobs, {load.checked} models the same, {load.deletions} deletions, "
            f"{load.rows + load.acknowledged} rows")  # fmt: skip


def main():
    print("1..1")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            print(f"ok 1 - {torture(folder)}")
        except AssertionError as wrong:
            print(f"# SEED={SEED}: {wrong}\nnot ok 1 - kills")
            return 1
    return 0


sys.exit(main())
