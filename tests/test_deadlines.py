#!/usr/bin/python3
"""Whoever is slow is shut out at a deadline, though a byte comes now and then: heads, bodies, readers, and connections
that bring nothing more. Whoever is fast enough is served, however long it takes. Against live servers with deadlines of
a second. Speaks TAP.
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
GIVE_UP_S = 60
LOSS = json.dumps({"logits": [[1, 2, 3]] * 500, "labels": [1] * 500}).encode()


class Server:
    def __init__(self, folder, least_rate):
        seconds = [word for name in ("head", "body", "answer", "idle") for word in (f"--{name}-timeout", "1")]
        self.process = subprocess.Popen(
            [NABLA, "serve", "--listen", "127.0.0.1:0", "--data", folder, "--log-level", "error",
             "--least-rate", str(least_rate), *seconds], stdout=subprocess.PIPE, text=True)  # fmt: skip
        self.port = int(self.process.stdout.readline().split("127.0.0.1:")[1].split()[0])

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=GIVE_UP_S)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def connect(self, receive_buffer=0):
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(GIVE_UP_S)
        client.connect(("127.0.0.1", self.port))
        return client

    def is_well(self):
        """It answers, and has nobody left but whoever asks."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            status, text = self.ask("GET", "/metrics")
            if status == 200 and "\nnabla_http_connections 1" in text.decode():
                return True
        return False

    def stop(self):
        self.process.terminate()
        return self.process.wait(GIVE_UP_S) == 0


def is_closed(client):
    """Without waiting."""
    client.setblocking(False)
    try:
        return client.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def is_shut_out(client, opening):
    """Sends a byte now and then, until the server closes; that it answers would not count."""
    client.sendall(opening)
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        try:
            client.send(b"a")
        except ConnectionError:
            return True
        if is_closed(client):
            return True
        time.sleep(0.05)
    return False


def head_of(path, length):
    return (f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()  # fmt: skip


def slow_head(server):
    with server.connect() as client:
        return is_shut_out(client, b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ")


def slow_body(server):
    with server.connect() as client:
        return is_shut_out(client, head_of("/v1/losses", len(LOSS)) + LOSS[:10])


def body_that_becomes_slow(server):
    """What it has sent fast would pay for hours of a byte now and then."""
    length = 1 << 24
    with server.connect() as client:
        return is_shut_out(client, head_of("/v1/losses", length) + b" " * (length - (1 << 16)))


def slow_refused_body(server):
    with server.connect() as client:
        return is_shut_out(client, head_of("/nowhere", len(LOSS)) + LOSS[:10])


def slow_second_head(server):
    """The first request of a connection does not buy time for the second."""
    with server.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        good = client.recv(4096).startswith(b"HTTP/1.1 200")
        return good and is_shut_out(client, b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ")


def idle(server):
    with server.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.recv(4096).startswith(b"HTTP/1.1 200") and client.recv(1) == b""


def steady_body(server):
    """Takes longer than the body's deadline, but is faster than the least rate."""
    with server.connect() as client:
        client.sendall(head_of("/v1/losses", len(LOSS)))
        pieces = 12
        for piece in range(pieces):
            client.sendall(LOSS[piece * len(LOSS) // pieces : (piece + 1) * len(LOSS) // pieces])
            time.sleep(0.15)
        return client.recv(65536).startswith(b"HTTP/1.1 200")


def slow_reader(server):
    made = '{"generator":"blobs","rows":200000,"features":10}'
    _, dataset = server.ask("POST", "/v1/datasets", made)
    with server.connect(4096) as client:
        path = f"/v1/datasets/{json.loads(dataset)['id']}/data"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept: application/safetensors\r\n\r\n".encode())
        good = client.recv(12) == b"HTTP/1.1 200"
        deadline = time.monotonic() + GIVE_UP_S
        while server.ask("GET", "/healthz")[0] == 200 and time.monotonic() < deadline:
            text = server.ask("GET", "/metrics")[1].decode()
            if "\nnabla_http_connections 1" in text:
                return good  # only the asker is left
            client.recv(1)
            time.sleep(0.05)
    return False


def answer_of(case, server, results):
    try:
        results[case] = case(server)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        results[case] = False
        print(f"# {case.__name__}: {problem!r}")


def main():
    together = [slow_head, slow_body, body_that_becomes_slow, slow_refused_body, slow_second_head, idle, steady_body]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        server, fast = Server(f"{folder}/a", 1000), Server(f"{folder}/b", 16 << 20)
        try:
            threads = [threading.Thread(target=answer_of, args=(case, server, results)) for case in together]
            threads.append(threading.Thread(target=answer_of, args=(slow_reader, fast, results)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            cases = [(case.__name__.replace("_", " "), results[case]) for case in (*together, slow_reader)]
            cases += [("nobody is left", server.is_well()), ("the ends", server.stop() and fast.stop())]
        finally:
            for process in (server.process, fast.process):
                process.kill()
                process.wait()
    print(f"1..{len(cases)}")
    for number, (name, good) in enumerate(cases, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    return 0 if all(good for _, good in cases) else 1


sys.exit(main())
