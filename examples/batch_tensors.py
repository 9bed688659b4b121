#!/usr/bin/env python3
"""A batch of history as safetensors, with the standard library alone: what a client of many layers saves in text.

    build/nabla serve &                    # or set NABLA_URL
    examples/batch_tensors.py
"""

import json
import math
import os
import struct
import urllib.request
from array import array

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080") + "/v1/jobs"


def post(url, body, kind="application/json", token=None):
    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        return json.load(answer)


def safetensors(document, tensors):
    """The file's bytes; a tensor is an array of "q" (whole numbers), "d" (doubles) or "f" (floats)."""
    header, data = {"__metadata__": {"request": json.dumps(document)}}, b""
    for name, values in tensors.items():
        bytes_ = values.tobytes()
        header[name] = {"dtype": {"q": "I64", "d": "F64", "f": "F32"}[values.typecode], "shape": [len(values)],
                        "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


if __name__ == "__main__":
    job = post(URL, json.dumps({"name": "a batch of tensors", "executor": "client"}).encode())
    steps = array("q", range(1, 1001))
    batch = {"steps": steps, "loss": array("d", (2.3 * math.exp(-step / 300) for step in steps)),
             "temperature": array("f", (1 / step for step in steps))}
    for layer in range(3):
        batch[f"layers.{layer}.steps"] = steps
        batch[f"layers.{layer}.gradient_norm"] = array("d", (math.exp(layer - 3 - step / 300) for step in steps))
    layers = [{"index": layer, "name": f"dense_{layer + 1}"} for layer in range(3)]
    document = {"attempt": job["attempt"], "layers": layers, "progress": {"step": 1000, "steps": 1000}}
    ack = post(f"{URL}/{job['id']}/metrics", safetensors(document, batch), "application/safetensors", job["token"])
    post(f"{URL}/{job['id']}/state", json.dumps({"attempt": job["attempt"], "state": "succeeded"}).encode(), token=job["token"])
    with urllib.request.urlopen(f"{URL}/{job['id']}/gradients?layer=2&newest=1") as answer:
        print(job["id"], "revision", ack["revision"], json.load(answer)["layers"][0]["columns"])
