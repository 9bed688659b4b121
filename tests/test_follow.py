#!/usr/bin/python3
"""Whoever follows a history misses nothing: writers that send their batches out of order and twice, a server that is
killed again and again, pollers by `after` and listeners by Last-Event-ID that are cut off at random; in the end each of
them has exactly the rows that the store has. SEED chooses another run; it is printed when a run fails.
"""
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

NABLA = os.environ.get("NABLA", "build/nabla")
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
STEPS, LAYERS, WRITERS, KILLS = int(os.environ.get("STEPS", 480)), 3, 3, int(os.environ.get("KILLS", 4))
DEADLINE = time.monotonic() + 60


class Server:
    def __init__(self, folder):
        self.folder, self.port = folder, 0
        self.start()

    def start(self):
        file = os.path.join(self.folder, "port")
        if os.path.exists(file):
            os.unlink(file)
        self.process = subprocess.Popen(
            [NABLA, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", os.path.join(self.folder, "data"),
             "--port-file", file, "--log-level", "error"], stdout=subprocess.DEVNULL)  # fmt: skip
        while not os.path.exists(file) or not open(file, encoding="ascii").read().endswith("\n"):
            if self.process.poll() is not None or time.monotonic() > DEADLINE:
                raise SystemExit("the server does not start")
            time.sleep(0.005)
        self.port = int(open(file, encoding="ascii").read())

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.start()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method, path, body=None, headers=()):
        """An answer, however often the server has to be asked."""
        while time.monotonic() < DEADLINE:
            try:
                connection = self.connect()
                text = None if body is None else json.dumps(body)
                connection.request(method, path, text, {"Content-Type": "application/json"} | dict(headers))
                answer = connection.getresponse()
                text = answer.read()
                if answer.status < 500:
                    return answer.status, json.loads(text) if text else None
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
        raise SystemExit("no answer")


def batch(steps):
    """Rows whose numbers tell where they belong."""
    return {
        "attempt": 1,
        "metrics": {"steps": steps, "columns": {"loss": [step * 10 for step in steps]}},
        "layers": [{"index": index, "name": f"dense_{index}", "steps": steps,
                    "columns": {"gradient_norm": [step * 10 + index + 1 for step in steps]}}
                   for index in range(LAYERS)],
    }  # fmt: skip


def write(server, job, token, pieces, source, progress):
    for piece in pieces:
        source.shuffle(piece)
        for _ in range(1 + (source.random() < 0.2)):
            status, answer = server.ask("POST", f"/v1/jobs/{job}/metrics", batch(piece),
                                        {"Authorization": f"Bearer {token}"})  # fmt: skip
            assert status == 200, answer
        progress.release()


def take(rows, answer):
    for table in answer["layers"] if "layers" in answer else [answer | {"index": -1}]:
        name = "gradient_norm" if "layers" in answer else "loss"
        for step, value in zip(table["steps"], table["columns"].get(name, [])):
            rows[table["index"], step] = value


def poll(server, path, rows, source):
    """Follows `after` until the job is over and nothing is left."""
    after = None
    while True:
        over = server.ask("GET", path.rpartition("/")[0])[1]["state"] == "succeeded"
        limit = source.choice([1, 7, 50, 1000])
        target = f"{path}?limit={limit}" + (f"&after={after}" if after else "")
        status, answer = server.ask("GET", target, headers={"Prefer": "wait=1"} if source.random() < 0.5 else {})
        assert status == 200, answer
        take(rows, answer)
        after = answer["after"]
        if over and not answer["more"]:
            return


def events_of(answer, cut_after):
    """The events of a stream, as (id, event, data), up to where it is cut."""
    event = {}
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value
        elif "data" in event:
            yield event
            cut_after -= 1
            event = {}
        if cut_after <= 0:
            return


def listen(server, path, rows, source):
    """Follows a stream, comes back with the id of the last event seen, until there is nothing more (204)."""
    last = None
    while time.monotonic() < DEADLINE:
        connection = server.connect()
        try:
            connection.request("GET", path, headers={"Accept": "text/event-stream"} |
                               ({"Last-Event-ID": last} if last else {}))  # fmt: skip
            answer = connection.getresponse()
            if answer.status == 204:
                return
            for event in events_of(answer, source.randrange(1, 12)):
                take(rows, json.loads(event["data"]))
                last = event["id"]
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
        finally:
            connection.close()
    raise SystemExit("a stream does not end")


def follow(work, failures):
    def run():
        try:
            work()
        except BaseException as error:  # told by the main thread
            failures.append(repr(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def run(folder, source):
    server = Server(folder)
    _, made = server.ask("POST", "/v1/jobs", {"executor": "client", "name": "followed"})
    job, token, failures = made["id"], made["token"], []
    steps = list(range(1, STEPS + 1))
    source.shuffle(steps)
    pieces = [steps[at : at + 4] for at in range(0, STEPS, 4)]
    progress = threading.Semaphore(0)
    seeds = [random.Random(source.random()) for _ in range(16)]
    writers = [follow(lambda i=i: write(server, job, token, pieces[i::WRITERS], seeds[i], progress), failures)
               for i in range(WRITERS)]  # fmt: skip
    followers = {}
    threads = []
    for number, (way, what) in enumerate([(poll, "metrics"), (poll, "gradients"), (listen, "metrics"),
                                          (listen, "gradients"), (listen, "gradients")]):  # fmt: skip
        rows = followers[f"{way.__name__} {what} {number}"] = {}
        path = f"/v1/jobs/{job}/{what}"
        threads.append(follow(lambda w=way, p=path, r=rows, s=seeds[8 + number]: w(server, p, r, s), failures))
    for _ in range(KILLS):  # spread over the writing
        for _ in range(source.randrange(1, len(pieces) // (KILLS + 1))):
            progress.acquire(timeout=20)
        server.kill()
    for thread in writers:
        thread.join()
    status, answer = server.ask("POST", f"/v1/jobs/{job}/state", {"attempt": 1, "state": "succeeded"},
                                {"Authorization": f"Bearer {token}"})  # fmt: skip
    assert status == 200, answer
    for thread in threads:
        thread.join()
    stored = {what: {} for what in ("metrics", "gradients")}
    for what, rows in stored.items():
        take(rows, server.ask("GET", f"/v1/jobs/{job}/{what}")[1])
    assert len(stored["metrics"]) == STEPS and len(stored["gradients"]) == STEPS * LAYERS
    for name, rows in followers.items():
        expected = stored[name.split()[1]]
        if rows != expected:
            missing, foreign = expected.keys() - rows.keys(), rows.keys() - expected.keys()
            failures.append(f"{name}: {len(missing)} rows missing, as {sorted(missing)[:5]}, {len(foreign)} foreign")
    server.process.terminate()
    server.process.wait()
    return failures


def main():
    folder = tempfile.mkdtemp(prefix="nabla-test-")
    try:
        failures = run(folder, random.Random(SEED))
    finally:
        shutil.rmtree(folder)
    for failure in failures:
        print(f"SEED={SEED}: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
