#!/usr/bin/python3
"""Prints the coverage of lib and api by folder after `make coverage`, and fails where it is too low.

usage: report-coverage.py BUILD

Counted are the sources as they are shipped: what a test compiles once more (the engine in double) is not.
Left out are the kernels of processors that this machine has not, by one rule: a source whose whole code is
compiled for AVX-512 (`#pragma GCC target("avx512…")`), where /proc/cpuinfo knows no avx512f.
Every branch of C counts, failed allocations too, but not the edges to handlers of exceptions (number.cc).
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys

LINES_AT_LEAST = 95
BRANCHES_AT_LEAST = 85


def unreachable_sources():
    if re.search(r"\bavx512f\b", pathlib.Path("/proc/cpuinfo").read_text()):
        return []
    return [
        str(source)
        for source in sorted(pathlib.Path("lib").glob("*/*.c"))
        if '#pragma GCC target("avx512' in source.read_text()
    ]


def run_gcovr(build, excluded):
    command = ["gcovr", "--root", ".", "--filter", "lib/", "--filter", "api/", "--exclude-throw-branches"]
    for source in excluded:
        command += ["--exclude", re.escape(source)]
    command += ["--json", f"{build}/coverage.json", "--html-details", f"{build}/index.html"]
    subprocess.run(command + [f"{build}/lib", f"{build}/api"], check=True, stdout=subprocess.DEVNULL)
    return json.loads(pathlib.Path(build, "coverage.json").read_text())["files"]


def folder_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "lib" else parts[0]


def percent(reached, all_there):
    return 100 * reached / all_there if all_there else 100.0


def main():
    build = sys.argv[1]
    excluded = unreachable_sources()
    folders = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file in run_gcovr(build, excluded):
        lines = [line for line in file["lines"] if not line.get("gcovr/noncode")]
        branches = [branch for line in lines for branch in line["branches"]]
        counts = (
            sum(line["count"] > 0 for line in lines),
            len(lines),
            sum(branch["count"] > 0 for branch in branches),
            len(branches),
        )
        for key in (folder_of(file["file"]), "together"):
            folders[key] = [a + b for a, b in zip(folders[key], counts)]
    for name, (lines, all_lines, branches, all_branches) in sorted(folders.items()):
        print(
            f"{name:10} lines {percent(lines, all_lines):5.1f} % of {all_lines:6d}"
            f"   branches {percent(branches, all_branches):5.1f} % of {all_branches:6d}"
        )
    if excluded:
        print("left out, as this machine has no AVX-512:", " ".join(map(os.path.basename, excluded)))
    lines, all_lines, branches, all_branches = folders["together"]
    if percent(lines, all_lines) < LINES_AT_LEAST or percent(branches, all_branches) < BRANCHES_AT_LEAST:
        sys.exit(f"wanted: at least {LINES_AT_LEAST} % of lines and {BRANCHES_AT_LEAST} % of branches")


main()
