#!/usr/bin/python3
"""Reads Prometheus' text format (0.0.4) from standard input by its rules: HELP and TYPE once before each metric,
names and units, counters that end in _total, histograms whose buckets grow and end in +Inf as their count.
"""
import re
import sys

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)\Z')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"')


def read(lines):
    """[(name, labels, value)], {name: type}; fails on a line that is none."""
    samples, types, helped = [], {}, set()
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helped, f"two HELP for {name}"
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in types, f"TYPE of {name} stands wrong"
            assert kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, f"no sample: {line}"
            samples.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))
    return samples, types


def family(name, types):
    if name in types:
        return name
    base = re.sub(r"_(bucket|sum|count)\Z", "", name)
    assert types.get(base) == "histogram", f"{name} has no TYPE"
    return base


def check_histogram(name, samples):
    series = {}
    for sample, labels, value in samples:
        key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        series.setdefault(key, []).append((sample.removeprefix(name), labels.get("le"), value))
    for key, points in series.items():
        buckets = [(float(le), value) for suffix, le, value in points if suffix == "_bucket"]
        assert buckets == sorted(buckets), f"{name} {key}: buckets shrink"
        count = [value for suffix, _, value in points if suffix == "_count"]
        assert buckets[-1][0] == float("inf") and [buckets[-1][1]] == count, f"{name} {key}: +Inf is not the count"
        assert [suffix for suffix, _, _ in points].count("_sum") == 1, f"{name} {key}: no sum"


def main():
    text = sys.stdin.read()
    assert text.endswith("\n"), "the last line has no end"
    samples, types = read(text.splitlines())
    seen = [(name, tuple(sorted(labels.items()))) for name, labels, _ in samples]
    assert len(seen) == len(set(seen)), "a series stands twice"
    grouped = {}
    for name, labels, value in samples:
        grouped.setdefault(family(name, types), []).append((name, labels, value))
    for name, kind in types.items():
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
        assert not re.search(r"_(ms|milliseconds|kb|mb|percent)\b", name), f"{name}: not a base unit"
        if kind == "histogram":
            check_histogram(name, grouped.get(name, []))
    print(f"{len(types)} metrics, {len(samples)} samples")


main()
