#!/usr/bin/python3
"""What comes at the server's edge and is no attack on any one part: clients that leave, heads full of oddities, few
descriptors, an end amid much work. Against live servers. Speaks TAP.
"""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time

NABLA = os.environ.get("NABLA", "build/nabla")
DEADLINE_S = 60
JSON = {"Content-Type": "application/json"}


class Server:
    def __init__(self, *flags, descriptors=None):
        self.folder = tempfile.TemporaryDirectory()
        self.data = pathlib.Path(self.folder.name, "data")
        self.log = pathlib.Path(self.folder.name, "log")
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors,) * 2)) if descriptors else None
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [NABLA, "serve", "--listen", "127.0.0.1:0", "--data", self.data, *flags],
                stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=limit,
            )  # fmt: skip
        said = self.process.stdout.readline()
        self.port = int(said.split("127.0.0.1:")[1].split()[0]) if said else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def stop(self):
        self.process.terminate()
        return self.process.wait()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    def send(self, text):
        """What comes back until the other side closes."""
        with self.connect() as client:
            client.sendall(text)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def ask(self, method, path, body=None, headers=None, connection=None):
        connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def metrics(self, connection=None):
        _, text = self.ask("GET", "/metrics", connection=connection)
        lines = (line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def until_queued(self, length, done, most):
        """So many long requests wait, or a machine that is quicker at work than at reading has done what there was."""
        deadline = time.monotonic() + DEADLINE_S
        seen = self.metrics()
        while seen["nabla_compute_queue_length"] < length and seen.get(done, 0) < most:
            assert time.monotonic() < deadline, f"{seen['nabla_compute_queue_length']} wait, {seen.get(done, 0)} are done"
            seen = self.metrics()

    def until(self, name, is_so):
        deadline = time.monotonic() + DEADLINE_S
        while not is_so(self.metrics()[name]):
            assert time.monotonic() < deadline, f"{name} stays {self.metrics()[name]}"


def head(line, *headers):
    return b"\r\n".join([line, b"Host: a", b"Connection: close", *headers, b"", b""])


def posted(path, body):
    length = b"Content-Length: %d" % len(body)
    return head(b"POST %s HTTP/1.1" % path.encode(), b"Content-Type: application/json", length) + body


# Takes a thread of the pool for about a fifth of a second, and is sent in no time.
SCORES = {"logits": [[i % 7 for i in range(500)]] * 200, "labels": [1] * 200, "certify": True}
LONG = posted("/v1/losses", json.dumps(SCORES).encode())


def check_long(server):
    """What is refused takes no time."""
    answer = server.send(LONG)
    assert answer.startswith(b"HTTP/1.1 200 "), f"long work is answered with {answer[:600]}"


# --- whoever changes something and leaves is in the audit log


def leave(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes by a reset
    client.close()


def leavers_are_audited():
    before, behind = 8, 20
    with Server("--compute-threads", "1", "--log-level", "error") as server:
        check_long(server)
        clients = [server.connect() for _ in range(before + behind)]
        for client in clients[:before]:
            client.sendall(LONG)
        for client in clients[before:]:
            client.sendall(posted("/v1/jobs", b'{"executor": "client"}'))
        server.until_queued(behind, 'nabla_jobs{state="running"}', behind)  # of what is read
        for client in clients:
            leave(client)
        server.until("nabla_http_requests_in_flight", lambda count: count == 1)
        made = server.metrics()['nabla_jobs{state="running"}']
        lines = [json.loads(line) for line in (server.data / "audit.jsonl").read_text().splitlines()]
        audited = sum(line["route"] == "/v1/jobs" and line["status"] == 202 for line in lines)
        assert made > 0, "no job was made"
        assert audited == made, f"{made} jobs were made, {audited} are in the audit log"


def a_part_of_a_line_spoils_no_other():
    """A power cut may leave one."""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "audit.jsonl")
        log.write_text('{"time":"20')
        with Server("--log-level", "error", "--data", folder) as server:
            status = server.ask("POST", "/v1/jobs", '{"executor": "client"}', JSON)[0]
            lines = log.read_text().splitlines()
            assert len(lines) == 2 and json.loads(lines[1])["status"] == status, lines


# --- whoever closes with the request is let go with the answer


def who_sends_no_more_is_let_go():
    with Server("--log-level", "error", "--idle-timeout", "3600") as server:
        clients = [server.connect() for _ in range(40)]
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
        for client in clients:
            client.settimeout(15)  # half of the time after which the library takes it for dead
            assert b" 200 " in b"".join(iter(lambda: client.recv(65536), b"")), "no answer"


# --- a query of many pieces


def queries_of_many_pieces_are_answered():
    with Server() as server:
        for query, status in ((b"&" * 4000, 200), (b"a&" * 4000, 400), (b"limit=2" + b"&" * 4000, 200)):
            answer = server.send(head(b"GET /v1/jobs?" + query + b" HTTP/1.1"))
            assert answer.startswith(b"HTTP/1.1 %d " % status), f"{query[:8]}: {answer[:40]}"


# --- the head of a stream is no body


def the_head_of_a_stream_is_no_body():
    with Server("--log-level", "error") as server:
        job = json.loads(server.ask("POST", "/v1/jobs", '{"executor": "client"}', JSON)[1])["id"]
        for below in ("events", "metrics", "gradients", "histograms", "log"):
            with server.connect() as client:
                client.sendall(b"HEAD /v1/jobs/%s/%s HTTP/1.1\r\nHost: a\r\n" % (job.encode(), below.encode()))
                client.sendall(b"Accept: text/event-stream\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                answer, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
            assert b"text/event-stream" in answer and body == b"", f"{below}: {answer} {body}"


# --- the folder's limit


def uploads_at_once_keep_within_the_limit():
    tables = ["a,b\n" + "".join(f"{row},{(row + number) % 2}\n" for row in range(8000)) for number in range(64)]
    tables = [f"{table}{number},1\n" for number, table in enumerate(tables)]
    with Server("--log-level", "error", "--max-disk", "2M", "--compute-threads", "8") as server:
        post = lambda table: server.ask("POST", "/v1/datasets?label=b", table, {"Content-Type": "text/csv"})[0]
        with concurrent.futures.ThreadPoolExecutor(16) as callers:
            statuses = list(callers.map(post, tables))
        sizes = [at.stat().st_size for at in (server.data / "datasets").iterdir()]
        assert set(statuses) == {201, 507}, statuses
        assert sum(sizes) <= 2 << 20, f"{sum(sizes)} bytes of data sets"


# --- whose name leads here


def strangers_names_are_refused():
    cases = [((), 421), (("--host-names", "other.example,evil.example"), 200), (("--auth",), 401)]
    for flags, status in cases:
        with Server("--log-level", "error", *flags) as server:
            asked = server.ask("GET", "/v1/jobs", headers={"Host": "evil.example:8080"})[0]
            assert asked == status, f"{flags}: {asked}"
            asked = server.ask("GET", "/v1/jobs", headers={"Host": f"localhost:{server.port}"})[0]
            assert asked == (401 if status == 401 else 200), f"{flags}, by localhost: {asked}"


def no_header_comes_twice():
    requests = {
        b"200": head(b"GET /healthz HTTP/1.1"),
        b"404": head(b"GET /nowhere HTTP/1.1"),
        b"413": head(b"POST /v1/losses HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 99999999999"),
        b"421": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"400": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    }
    with Server("--log-level", "error") as server:
        for status, request in requests.items():
            lines = server.send(request).split(b"\r\n\r\n")[0].split(b"\r\n")
            assert lines[0].split()[1] == status, lines
            names = sorted(line.split(b":")[0].lower() for line in lines[1:])
            assert names == sorted(set(names)), names


# --- the log

TARGETS = [b"/\x1b[31m", b"/\xff\xfe", b"/\x9b31m", b"/\xc2\x9b", b"/\x7f", b"/" + b"\xc3\xa9" * 600, b'/"\\']
METHODS = [b"G\x1bT", b"G\xff", b'G"T']


def log_of(form):
    with Server("--log-level", "debug", "--log-format", form) as server:
        for method, target in [(b"GET", at) for at in TARGETS] + [(method, b"/x") for method in METHODS]:
            server.send(head(method + b" " + target + b" HTTP/1.1"))
        server.stop()
        return server.log.read_bytes()


def log_lines_are_json():
    lines = [json.loads(line.decode()) for line in log_of("json").splitlines()]
    requests = sum("request_id" in line for line in lines)
    assert requests == len(TARGETS) + len(METHODS), f"{requests} requests"


def log_lines_are_text():
    text = log_of("text").decode()
    odd = re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert not odd, f"{odd[0]!r} in {text[max(0, odd.start() - 60) : odd.start() + 20]!r}"
    requests = text.count("request_id=")
    assert requests == len(TARGETS) + len(METHODS), f"{requests} requests"


# --- few descriptors


def connections_leave_descriptors():
    """As many connections come as there are descriptors, and work is done all the same."""
    with Server("--log-level", "error", descriptors=256) as server:
        first = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
        server.ask("GET", "/healthz", connection=first)
        crowd = [server.connect() for _ in range(256)]
        table = {"Content-Type": "text/csv"}
        status, text = server.ask("POST", "/v1/datasets?label=b", "a,b\n1,0\n2,1\n", table, first)
        metrics = server.metrics(first)
        assert status == 201, f"{status} {text}"
        assert metrics["process_open_fds"] < metrics["process_max_fds"] - 32, metrics["process_open_fds"]
        for client in crowd:
            client.close()


def too_few_descriptors_are_said():
    with Server(descriptors=100) as server:
        assert server.process.wait() == 1, "it runs"
        said = server.log.read_text()
        assert "100 descriptors" in said and "at least 256" in said, said


# --- the end


def a_queue_of_long_requests_does_not_hold_up_the_end():
    waiting = 40
    with Server("--compute-threads", "1", "--compute-queue", str(2 * waiting), "--log-level", "error") as server:
        check_long(server)
        clients = [server.connect() for _ in range(2 * waiting)]
        for client in clients:
            client.sendall(LONG)
        done = 'nabla_http_requests_total{method="POST",route="/v1/losses",code="200"}'
        server.until_queued(waiting, done, waiting)
        before = server.metrics().get(done, 0)
        assert server.stop() == 0, f"it ended with {server.process.returncode}"
        answers = [b"".join(iter(lambda: client.recv(65536), b""))[:12] for client in clients]
        more = answers.count(b"HTTP/1.1 200") - before
        assert more < waiting // 2, f"{more} of {len(answers)} were worked for after the end was asked for"


CASES = [
    ("whoever changes something and leaves is audited", leavers_are_audited),
    ("a part of a line of the audit log spoils no other", a_part_of_a_line_spoils_no_other),
    ("whoever sends no more is let go", who_sends_no_more_is_let_go),
    ("a query of thousands of pieces is answered", queries_of_many_pieces_are_answered),
    ("the head of a stream is no body", the_head_of_a_stream_is_no_body),
    ("uploads at once keep within max-disk", uploads_at_once_keep_within_the_limit),
    ("without tokens a stranger's name is refused", strangers_names_are_refused),
    ("no header comes twice", no_header_comes_twice),
    ("whatever comes, each line of the log is JSON", log_lines_are_json),
    ("whatever comes, each line of the log is plain text", log_lines_are_text),
    ("connections leave descriptors for the work", connections_leave_descriptors),
    ("too few descriptors are said at the start", too_few_descriptors_are_said),
    ("a queue of long requests does not hold up the end", a_queue_of_long_requests_does_not_hold_up_the_end),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (name, case) in enumerate(CASES, 1):
        try:
            case()
            print(f"ok {number} - {name}")
        except (AssertionError, OSError, ValueError) as why:
            failed += 1
            print(f"not ok {number} - {name}\n# {why!r}"[:2000])
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
