#!/usr/bin/python3
"""Prints the coverage of lib and api by folder after `make coverage`, and fails where it is too low.

usage: report-coverage.py BUILD

Counted are the sources as they are shipped: what a test compiles once more (the engine in double) is not.
A template counts once, as it is written, not once for each call that it is specialised for (math/vectorised.h).
What is for AVX-512 alone (lib/*/*_avx512.*) has a line of its own, "not run", where /proc/cpuinfo knows no
avx512f: it counts neither for nor against the bars, and a machine that has AVX-512 must say how it stands.
Every branch of C counts, failed allocations too, but not the edges to handlers of exceptions (number.cc).
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

LINES_AT_LEAST = 95
BRANCHES_AT_LEAST = 85


NOT_RUN = "not run"


def processor_has_avx512():
    return re.search(r"\bavx512f\b", pathlib.Path("/proc/cpuinfo").read_text()) is not None


def run_gcovr(build):
    command = ["gcovr", "--root", ".", "--filter", "lib/", "--filter", "api/", "--exclude-throw-branches"]
    command += ["--json", f"{build}/coverage.json", "--html-details", f"{build}/index.html"]
    subprocess.run(command + [f"{build}/lib", f"{build}/api"], check=True, stdout=subprocess.DEVNULL)
    return json.loads(pathlib.Path(build, "coverage.json").read_text())["files"]


def folder_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "lib" else parts[0]


def sums_of(path):
    """What a file counts for; nobody can run what the processor has no instructions for."""
    if "_avx512." in path and not processor_has_avx512():
        return [NOT_RUN]
    return [folder_of(path), "together"]


def percent(reached, all_there):
    return 100 * reached / all_there if all_there else 100.0


def main():
    build = sys.argv[1]
    folders = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file in run_gcovr(build):
        lines = [line for line in file["lines"] if not line.get("gcovr/noncode")]
        branches = [branch for line in lines for branch in line["branches"]]
        counts = (
            sum(line["count"] > 0 for line in lines),
            len(lines),
            sum(branch["count"] > 0 for branch in branches),
            len(branches),
        )
        for key in sums_of(file["file"]):
            folders[key] = [a + b for a, b in zip(folders[key], counts)]
    _, lines, _, branches = folders.pop(NOT_RUN, [0] * 4)
    if lines:
        print(f"not run, as this processor has no AVX-512: {lines} lines, {branches} branches of lib/*/*_avx512.*")
    for name, (lines, all_lines, branches, all_branches) in sorted(folders.items()):
        print(
            f"{name:10} lines {percent(lines, all_lines):5.1f} % of {all_lines:6d}"
            f"   branches {percent(branches, all_branches):5.1f} % of {all_branches:6d}"
        )
    lines, all_lines, branches, all_branches = folders["together"]
    if percent(lines, all_lines) < LINES_AT_LEAST or percent(branches, all_branches) < BRANCHES_AT_LEAST:
        sys.exit(f"wanted: at least {LINES_AT_LEAST} % of lines and {BRANCHES_AT_LEAST} % of branches")


main()
