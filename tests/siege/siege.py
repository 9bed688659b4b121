#!/usr/bin/python3
"""Lays siege to a server of its own and says how others fare meanwhile.

    siege.py [slow] [load] [--seconds N]

slow: 1,000 and 4,000 clients at a time that send their head, or their body, or read their answer by a byte a second,
      and come again when they are shut out. Legitimate requests beside them: 99.9 % succeed, p99 below 100 ms.
load: twice the requests that the server can take. It keeps 90 % of its peak; what it refuses it refuses within 50 ms
      with Retry-After; /healthz has a p99 below 10 ms.

Exit status 1 when a figure is missed. The server and what besieges it share the machine; where it has two processors
or more, each side has its own.
"""
import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time

NABLA = os.environ.get("NABLA", "build/nabla")
LOSS = json.dumps({"logits": [[1, 2, 0.1, -1]] * 8, "labels": [1] * 8})


def pin(first):
    """The server on the first processor, everything else on the others."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        os.sched_setaffinity(0, cpus[:1] if first else cpus[1:])


class Server:
    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory()
        arguments = [NABLA, "serve", "--listen", "127.0.0.1:0", "--data", f"{self.folder.name}/data", *flags]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: pin(True))
        self.port = int(self.process.stdout.readline().split("127.0.0.1:")[1].split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(20) == 0, "the server did not end in order"
        self.folder.cleanup()

    def gauge(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def post(self, path, body, media):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, body, {"Content-Type": media})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text)


# ---- slow clients ----


class Slow:
    """A client that takes its time; `talk` is called once a second."""

    def __init__(self, port, opening, receives):
        self.port, self.opening, self.receives = port, opening, receives
        self.socket = None
        self.come()

    def come(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if self.receives:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect_ex(("127.0.0.1", self.port))
        self.is_open = False

    def talk(self):
        try:
            if not self.is_open:
                self.socket.send(self.opening)
                self.is_open = True
            elif self.receives:
                if not self.socket.recv(1):
                    raise ConnectionError
            else:
                self.socket.send(b"a")
                if self.socket.recv(4096) == b"":
                    raise ConnectionError
        except BlockingIOError:
            pass
        except OSError:
            self.socket.close()
            self.come()
            return 1
        return 0


def besiege(port, opening, receives, count, ready, ended, returned):
    pin(False)
    os.nice(5)
    clients = [Slow(port, opening, receives) for _ in range(count)]
    rounds = 0
    while not ended.is_set():
        begun = time.monotonic()
        for client in clients:
            returned.value += client.talk()
        rounds += 1
        if rounds == 2:
            ready.set()
        ended.wait(max(0.0, begun + 1 - time.monotonic()))


def legitimate(port, seconds, results):
    """A request after the other: a new connection for each second one."""
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    kinds = [("GET", "/healthz", None), ("POST", "/v1/losses", LOSS), ("GET", "/v1/jobs", None)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        method, path, body = random.choice(kinds)
        fresh = random.random() < 0.5
        begun = time.monotonic()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10) if fresh else kept
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            answer.read()
            good = answer.status == 200
            if fresh:
                connection.close()
        except OSError:
            good = False
            kept.close()
        results.append((good, time.monotonic() - begun))
        time.sleep(0.015)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def slow(seconds):
    head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "
    body = b"POST /v1/losses HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{"
    met = True
    with Server() as server:
        rows = "".join(",".join("0.12345" for _ in range(100)) + f",{'ab'[i % 2]}\n" for i in range(10000))
        large = server.post("/v1/datasets", ",".join(f"x{i}" for i in range(100)) + ",y\n" + rows, "text/csv")["id"]
        read = f"GET /v1/datasets/{large}/data HTTP/1.1\r\nHost: a\r\nAccept: application/safetensors\r\n\r\n".encode()
        for name, opening, receives in (("heads", head, False), ("bodies", body, False), ("readers", read, True)):
            for count in (1000, 4000):
                met &= slow_case(server, name, opening, receives, count, seconds)
    return met


def slow_case(server, name, opening, receives, count, seconds):
    ready, ended = multiprocessing.Event(), multiprocessing.Event()
    returned = multiprocessing.Value("i", 0)
    attack = multiprocessing.Process(
        target=besiege, args=(server.port, opening, receives, count, ready, ended, returned)
    )
    attack.start()
    ready.wait()
    results = []
    threads = [threading.Thread(target=legitimate, args=(server.port, seconds, results)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = server.gauge("nabla_http_connections")
    ended.set()
    attack.join()
    good = sum(ok for ok, _ in results) / len(results)
    p99 = percentile([took for _, took in results], 0.99)
    met = good >= 0.999 and p99 < 0.1 and held >= 0.9 * count  # some are on their way back
    print(
        f"slow {name:8} {count:5}: {len(results):5} legitimate requests, {100 * good:6.2f} % succeed, "
        f"p50 {1000 * percentile([t for _, t in results], 0.5):5.1f} ms, p99 {1000 * p99:5.1f} ms, "
        f"{held:.0f} connections held, {returned.value} came again{'' if met else '   MISSED'}",
        flush=True,
    )
    return met


# ---- twice the load ----


class Caller:
    """A connection with at most one request on it."""

    def __init__(self, port, request):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.request = request
        self.begun = None

    def call(self):
        self.begun = time.monotonic()
        self.received = b""
        self.socket.send(self.request)

    def receive(self):
        """(status, has Retry-After) once the answer is whole."""
        self.received += self.socket.recv(1 << 20)
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.received[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self.received) < end + 4 + length:
            return None
        return int(head[9:12]), b"retry-after:" in head


def drive(port, request, seconds, rate, callers):
    """Open loop at `rate` a second, or with None as fast as the callers go: the outcomes (status, seconds, header)."""
    selector = selectors.DefaultSelector()
    idle = [Caller(port, request) for _ in range(callers)]
    for caller in idle:
        selector.register(caller.socket, selectors.EVENT_READ, caller)
    outcomes, late = [], 0
    begun = time.monotonic()
    sent = 0
    while (now := time.monotonic()) < begun + seconds:
        due = callers if rate is None else int((now - begun) * rate) - sent
        while due > 0 and idle:
            idle.pop().call()
            sent += 1
            due -= 1
        if rate is not None and due > 0:
            late += due
            sent += due
        for key, _ in selector.select(0.001):
            outcome = key.data.receive()
            if outcome:
                outcomes.append((outcome[0], time.monotonic() - key.data.begun, outcome[1]))
                idle.append(key.data)
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    return outcomes, late


def probe(port, ended, times):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while not ended.is_set():
        begun = time.monotonic()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        times.append(time.monotonic() - begun)
        time.sleep(0.005)


@contextlib.contextmanager
def probed(port, times):
    ended = multiprocessing.Event()
    prober = multiprocessing.Process(target=probe, args=(port, ended, times))
    prober.start()
    try:
        yield
    finally:
        ended.set()
        prober.join()


def load(seconds):
    body = json.dumps({"logits": [[random.gauss(0, 3) for _ in range(100)] for _ in range(200)], "labels": [1] * 200})
    request = (
        f"POST /v1/losses/compare HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    # In turns, so that what else the machine does hits both alike; each with the same prober beside it.
    peaks, goods, rounds = [], [], 4
    outcomes, times, late = [], multiprocessing.Manager().list(), 0
    with Server("--compute-queue", "16") as server:
        drive(server.port, request, 1, None, 8)
        for _ in range(rounds):
            with probed(server.port, []):
                answers, _ = drive(server.port, request, seconds / rounds, None, 8)
            peaks.append(sum(status == 200 for status, _, _ in answers) / seconds * rounds)
            with probed(server.port, times):
                answers, missing = drive(server.port, request, seconds / rounds, 2 * peaks[-1], 200)
            goods.append(sum(status == 200 for status, _, _ in answers) / seconds * rounds)
            outcomes += answers
            late += missing
    peak, good = sum(peaks) / rounds, sum(goods) / rounds
    times = list(times)
    refused = [(took, header) for status, took, header in outcomes if status == 503]
    other = sum(status not in (200, 503) for status, _, _ in outcomes)
    refusal = max((took for took, _ in refused), default=0)
    refusal99 = percentile([took for took, _ in refused], 0.99) if refused else 0
    health = percentile(times, 0.99)
    met = (
        good >= 0.9 * peak and refused and all(header for _, header in refused) and not other
        and refusal99 < 0.05 and health < 0.01
    )
    print(
        f"twice the load: peak {peak:.0f}/s, goodput {good:.0f}/s ({100 * good / peak:.0f} %; by turns "
        f"{', '.join(f'{100 * g / p:.0f}' for g, p in zip(goods, peaks))}), {len(refused)} refused, "
        f"p99 {1000 * refusal99:.1f} ms, most {1000 * refusal:.1f} ms, all with Retry-After: "
        f"{all(header for _, header in refused)}; /healthz p99 {1000 * health:.1f} ms of {len(times)}; "
        f"not sent for want of callers: {late}{'' if met else '   MISSED'}"
    )
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["slow", "load", []], default=[])
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pin(False)
    parts = arguments.parts or ["slow", "load"]
    met = [{"slow": slow, "load": load}[part](arguments.seconds) for part in parts]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
