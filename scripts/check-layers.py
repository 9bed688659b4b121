#!/usr/bin/python3
"""Holds the direction of includes.

server -> api -> lib; inside lib base <- math <- data <- train and base <- store. A third-party header belongs to
one module: it may neither be included elsewhere nor arrive there through a project header.
"""

import pathlib
import re
import sys

# Which folders a folder may include from (besides itself).
LIB = ["lib/base", "lib/math", "lib/data", "lib/train", "lib/store"]
MAY_INCLUDE = {
    "lib/base": [],
    "lib/math": ["lib/base"],
    "lib/data": ["lib/base", "lib/math"],
    "lib/train": ["lib/base", "lib/math", "lib/data"],
    "lib/store": ["lib/base"],
    "api": LIB,
    "server": ["api", *LIB],
    "tests": ["server", "api", *LIB],
    "bench": ["tests", "server", "api", *LIB],
}

# Third-party header (or its folder) -> the sources that may see it. Tests may see any.
THIRD_PARTY = {
    "microhttpd.h": "server/http*.c",
    "gnutls/": "server/http*.c",
    "sqlite3.h": "lib/store/*",
    "jansson.h": "api/*",
    "curl/": "server/client.c",
    "nettle/": "lib/base/token.c",
    "zlib.h": "lib/base/gzip.c",
    "cmocka.h": "tests/*",
}

# C17, POSIX and Linux; a header that stands nowhere here is a new dependency and needs a row above.
SYSTEM = set(
    """assert complex ctype errno fenv float inttypes limits locale math setjmp signal stdalign stdarg stdatomic
    stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
    cpuid dirent dlfcn endian fcntl fnmatch ftw getopt glob grp ifaddrs immintrin libgen malloc netdb poll pthread
    pwd regex sched semaphore spawn strings syslog termios unistd utime""".split()
)
SYSTEM_FOLDERS = ("sys/", "net/", "netinet/", "arpa/", "linux/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def folder_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "lib" else parts[0]


def find_project_header(includer, name):
    beside = [f"tests/{name}"] if folder_of(includer) == "tests" else []
    for path in (f"lib/{name}", name, *beside):
        if pathlib.Path(path).is_file():
            return path
    return None


def includes_of(path):
    return INCLUDE.findall(pathlib.Path(path).read_text(encoding="utf-8"))


def is_system(name):
    return name.removesuffix(".h") in SYSTEM or name.startswith(SYSTEM_FOLDERS)


def third_party_row(name):
    for key in THIRD_PARTY:
        if name == key or (key.endswith("/") and name.startswith(key)):
            return key
    return None


def check_directions(path, problems):
    """Each include of one file: known, and from a folder below."""
    for mark, name in includes_of(path):
        if mark == '"':
            header = find_project_header(path, name)
            if header is None:
                problems.append(f'{path}: "{name}" is not found from lib/ or the root')
            elif folder_of(header) not in [folder_of(path), *MAY_INCLUDE[folder_of(path)]]:
                problems.append(f'{path}: must not include "{name}"')
        elif not is_system(name) and third_party_row(name) is None and (name.endswith(".h") or "/" in name):
            problems.append(f"{path}: <{name}> has no row in {sys.argv[0]}")


def third_party_seen(path, seen_files):
    """(row, file that includes it) for every third-party header that reaches a source, through whatever."""
    if path in seen_files:
        return
    seen_files.add(path)
    for mark, name in includes_of(path):
        header = find_project_header(path, name) if mark == '"' else None
        if header:
            yield from third_party_seen(header, seen_files)
        elif third_party_row(name):
            yield third_party_row(name), path


def check_third_party(path, problems):
    if folder_of(path) in ("tests", "bench"):
        return
    for row, where in third_party_seen(path, set()):
        if not pathlib.PurePath(path).match(THIRD_PARTY[row]):
            by = "" if where == path else f" (through {where})"
            problems.append(f"{path}: sees {row}{by}, which belongs to {THIRD_PARTY[row]}")


def main():
    files = [
        str(path)
        for folder in ("lib", "api", "server", "tests", "bench")
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.suffix in (".c", ".cc", ".h")
    ]
    problems = []
    for path in files:
        if folder_of(path) not in MAY_INCLUDE:
            problems.append(f"{path}: the folder has no row in {sys.argv[0]}")
            continue
        check_directions(path, problems)
        if not path.endswith(".h") or folder_of(path) in ("api", "lib/store"):
            check_third_party(path, problems)
    print("\n".join(problems) or f"layers: {len(files)} files, every include goes the right way")
    return 1 if problems else 0


sys.exit(main())
