#!/usr/bin/python3
"""Requests that two readers could understand differently, sent raw: none may bring a second request with it.

    test_smuggling.py            to a server of its own
    test_smuggling.py --nginx    and to the same behind nginx

Each case ends in what would be a second request. Sent directly, the server must refuse the first, close, and never run
the second. Behind nginx, which marks every request that it sends on, no request may arrive that does not have the mark:
nginx took it for something else. Speaks TAP.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

NABLA = os.environ.get("NABLA", "build/nabla")
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
SECOND = "GET /v1/jobs?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
SIZE = str(len(SECOND))
POST = "POST /v1/losses HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"

# name, what stands before the second request
CASES = [
    ("two lengths", f"{POST}Content-Length: 0\r\nContent-Length: {SIZE}\r\n\r\n"),
    ("two lengths, the larger first", f"{POST}Content-Length: {SIZE}\r\nContent-Length: 0\r\n\r\n"),
    ("two lengths that agree", f"{POST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    ("a list of lengths", f"{POST}Content-Length: 0, {SIZE}\r\n\r\n"),
    ("a space behind the length's name", f"{POST}Content-Length : {SIZE}\r\n\r\n"),
    ("a tab behind the length's name", f"{POST}Content-Length\t: {SIZE}\r\n\r\n"),
    ("a length with a sign", f"{POST}Content-Length: +{SIZE}\r\n\r\n"),
    ("a negative length", f"{POST}Content-Length: -{SIZE}\r\n\r\n"),
    ("a hexadecimal length", f"{POST}Content-Length: 0x{int(SIZE):x}\r\n\r\n"),
    ("a length that is no number", f"{POST}Content-Length: two\r\n\r\n"),
    ("an empty length", f"{POST}Content-Length:\r\n\r\n"),
    ("a length beyond 64 bits", f"{POST}Content-Length: {2**64 + int(SIZE)}\r\n\r\n"),
    ("a length in a folded line", f"{POST}Content-Length:\r\n {SIZE}\r\n\r\n"),
    ("a length behind a bare CR", f"{POST}X: a\rContent-Length: {SIZE}\r\n\r\n"),
    ("a length behind a NUL", f"{POST}X: a\0\r\nContent-Length: 0\r\n\r\n"),
    ("length and encoding", f"{POST}Content-Length: {SIZE}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("encoding and length", f"{POST}Transfer-Encoding: chunked\r\nContent-Length: {SIZE}\r\n\r\n0\r\n\r\n"),
    ("another encoding first", f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked first", f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("two encodings", f"{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    ("two encodings that agree", f"{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("an encoding in disguise", f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("a quoted encoding", f'{POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    ("an encoding with a parameter", f"{POST}Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
    ("a vertical tab before the encoding", f"{POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("a space behind the encoding's name", f"{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a folded encoding", f"{POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in HTTP/1.0", "POST /v1/losses HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("no host", "GET /healthz HTTP/1.1\r\n\r\n"),
    ("a name that is no token", "GET /healthz HTTP/1.1\r\nHost: a\r\nX(y): 1\r\n\r\n"),
    ("a line without a colon", "GET /healthz HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"),
    ("a space before the first header", "GET /healthz HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n"),
    ("a NUL in the target", "GET /healthz\0x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a NUL behind the method", "GET\0x /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a NUL before the protocol", "GET /healthz \0HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an encoded NUL in the target", "GET /healthz%00x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("another protocol", "GET /healthz HTTP/3.1\r\nHost: a\r\n\r\n"),
    ("a chunk of a negative size", f"{CHUNKED}-1\r\n\r\n0\r\n\r\n"),
    ("a chunk with 0x before its size", f"{CHUNKED}0x0\r\n\r\n"),
    ("a chunk with a sign", f"{CHUNKED}+0\r\n\r\n"),
    ("a chunk beyond 64 bits", f"{CHUNKED}10000000000000000\r\n\r\n0\r\n\r\n"),
    ("a chunk without its line's end", f"{CHUNKED}2\r\n{{}}0\r\n\r\n"),
]


class Server:
    def __init__(self, folder):
        self.log = pathlib.Path(folder, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [NABLA, "serve", "--listen", "127.0.0.1:0", "--data", f"{folder}/data", "--log-level", "debug",
                 "--log-format", "json"],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.port = int(self.process.stdout.readline().split("127.0.0.1:")[1].split()[0])

    def requests(self):
        """(method and target, name) of each request that arrived."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [(line["message"], line["request_id"]) for line in lines if "request_id" in line]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    def __init__(self, folder, upstream):
        self.port = free_port()
        settings = pathlib.Path(folder, "nginx.conf")
        settings.write_text(
            f"""daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;
            events {{ worker_connections 64; }}
            http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
                   fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
                   upstream nabla {{ server 127.0.0.1:{upstream}; keepalive 4; }}
                   server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass http://nabla;
                       proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
                       proxy_set_header X-Request-Id front-$request_id; }} }} }}"""
        )
        self.process = subprocess.Popen([NGINX, "-c", settings, "-p", folder], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("nginx did not start")


def exchange(port, text, seconds):
    """What came back, and whether the other side closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        client.sendall(text.encode("latin-1"))
        received = b""
        try:
            while piece := client.recv(65536):
                received += piece
        except TimeoutError:
            return received, False
        except ConnectionResetError:
            pass
    return received, True


def direct(server):
    """Of each case what is wrong, or None."""
    for name, first in CASES:
        before = len(server.requests())
        received, closed = exchange(server.port, first + SECOND, 10)
        # Where the HTTP library refuses by itself, 0.9.75 sends the head of its answer twice.
        refused = received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505")) and b"HTTP/1.1 2" not in received
        ran = [message for message, _ in server.requests()[before:] if "smuggled" in message]
        yield name, None if refused and closed and not ran else f"{received[:80]!r}, closed: {closed}, ran: {ran}"


def behind(server, nginx):
    for name, first in CASES:
        before = len(server.requests())
        exchange(nginx.port, first + SECOND, 0.5)
        unmarked = [message for message, by in server.requests()[before:] if by[:6] != "front-"]
        yield f"{name}, behind nginx", f"arrived without the mark: {unmarked}" if unmarked else None


def report(outcomes):
    missed = 0
    for number, (name, wrong) in enumerate(outcomes, 1):
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        if wrong:
            missed += 1
            print(f"# {wrong}")
    return missed


def main():
    with_nginx = "--nginx" in sys.argv[1:]
    if with_nginx and not NGINX:
        sys.exit("nginx is not installed")
    print(f"1..{len(CASES) * (2 if with_nginx else 1)}")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = Server(folder)
        nginx = Nginx(folder, server.port) if with_nginx else None
        try:
            outcomes = list(direct(server)) + (list(behind(server, nginx)) if nginx else [])
        finally:
            for each in (nginx, server):
                if each:
                    each.process.terminate()
                    each.process.wait(20)
    return 1 if report(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
