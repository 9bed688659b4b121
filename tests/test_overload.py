#!/usr/bin/python3
"""What is full refuses with 503 and Retry-After, and everything else goes on: streams, waiting requests, the pool for
long requests, which refuses by a request's head. Against a live server with small limits. Speaks TAP.
"""
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

NABLA = os.environ.get("NABLA", "build/nabla")
DEADLINE_S = 60


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [NABLA, "serve", "--listen", "127.0.0.1:0", "--data", f"{folder}/data", "--max-streams", "2",
             "--compute-threads", "1", "--compute-queue", "1", "--log-level", "error"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline().split("127.0.0.1:")[1].split()[0])

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer, answer.read()

    def send(self, text):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
        client.sendall(text.encode())
        return client

    def gauge(self, name):
        _, text = self.ask("GET", "/metrics")
        return next(float(line.split()[1]) for line in text.decode().splitlines() if line.startswith(f"{name} "))

    def until(self, name, value):
        deadline = time.monotonic() + DEADLINE_S
        while self.gauge(name) != value:
            assert time.monotonic() < deadline, f"{name} never became {value}"


class Busy:
    """Three clients that ask for something long again and again: one runs, one waits, one is too many."""

    PATH = "/v1/losses/compare"
    BODY = json.dumps({"logits": [[i % 7 for i in range(500)]] * 50, "labels": [1] * 50})

    def __init__(self, server):
        self.server, self.ended, self.statuses = server, threading.Event(), set()
        self.threads = [threading.Thread(target=self.ask) for _ in range(3)]

    def ask(self):
        while not self.ended.is_set():
            answer, _ = self.server.ask("POST", self.PATH, self.BODY, {"Content-Type": "application/json"})
            self.statuses.add(answer.status)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def until_refused(self):
        deadline = time.monotonic() + DEADLINE_S
        lines = ("Content-Type: application/json", f"Content-Length: {len(self.BODY)}", "Expect: 100-continue")
        while time.monotonic() < deadline:
            with self.server.send(head("POST", self.PATH, *lines)) as late:
                answer = status(late)
            if b" 503 " in answer:
                return b"Retry-After" in answer
        return False


def head(method, path, *headers):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""])


def status(client):
    return client.recv(65536).split(b"\r\n\r\n")[0]


def refusals(server):
    """(name, true or false) of each case."""
    _, job = server.ask("POST", "/v1/jobs", '{"executor":"client"}', {"Content-Type": "application/json"})
    path = f"/v1/jobs/{json.loads(job)['id']}"

    streams = [server.send(head("GET", f"{path}/events")) for _ in range(2)]
    yield "as many streams as max-streams", all(b" 200 " in status(stream) for stream in streams)
    answer, _ = server.ask("GET", f"{path}/events")
    yield "one stream more", answer.status == 503 and answer.headers["Retry-After"]

    etag = server.ask("GET", path)[0].headers["ETag"]
    waiting = [server.send(head("GET", path, "Prefer: wait=50", f"If-None-Match: {etag}")) for _ in range(2)]
    server.until("nabla_http_waiting_requests", 2)
    answer, _ = server.ask("GET", path, headers={"Prefer": "wait=50", "If-None-Match": etag})
    yield "one waiting request more", answer.status == 503 and answer.headers["Retry-After"]

    # The first one's ping, or its answer, comes before the other's: it has not come, so none freed the place.
    streams[1].close()
    streams[1] = server.send(head("GET", f"{path}/events"))
    yield "a stream's place is free as soon as its client has left", b" 200 " in status(streams[1])
    yield "without a ping", is_silent(streams[0])
    waiting[1].close()
    answer, _ = server.ask("GET", path, headers={"Prefer": "wait=1", "If-None-Match": etag})
    yield "so is a waiting request's", answer.status == 304
    yield "without an answer", is_silent(waiting[0])
    waiting[1] = server.send(head("GET", path, "Prefer: wait=50", f"If-None-Match: {etag}"))
    server.until("nabla_http_waiting_requests", 2)

    crowd = [server.send(head("GET", f"{path}/events")) for _ in range(100)]
    answers = [status(client) for client in crowd]
    yield "a crowd is refused", all(b" 503 " in answer and b"Retry-After" in answer for answer in answers)
    for client in crowd:
        client.close()

    with Busy(server) as busy:
        yield "a long request more, before its body", busy.until_refused()
    yield "a short one is answered", server.ask("GET", "/healthz")[0].status == 200
    yield "the others were answered or refused, and counted", (
        busy.statuses <= {200, 503} and server.gauge("nabla_http_overload_refusals_total") >= 3
    )

    server.process.terminate()
    yield "an end with all of it open", server.process.wait(DEADLINE_S) == 0
    yield "waiting requests are told", all(b" 503 " in status(client) for client in waiting)
    yield "streams end", all(drain(stream) for stream in streams)


def is_silent(client):
    """Nothing came but what a stream begins with."""
    client.setblocking(False)
    text = b""
    try:
        while piece := client.recv(65536):
            text += piece
        return False
    except BlockingIOError:
        return b": ping" not in text and b"HTTP/1.1" not in text
    finally:
        client.settimeout(DEADLINE_S)


def drain(client):
    while client.recv(65536):
        pass
    return True


def main():
    number = missed = 0
    print("1..14")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            for number, (name, good) in enumerate(refusals(server), 1):
                missed += not good
                print(f"{'ok' if good else 'not ok'} {number} - {name}", flush=True)
        finally:
            server.process.kill()
            server.process.wait()
    return 1 if missed else 0


sys.exit(main())
