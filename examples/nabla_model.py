"""What torch_model.py and keras_model.py share: a job to load, its model's file, and its own predictions."""

import json
import os
import struct
import sys
import urllib.request

import numpy as np

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080")
JOB = {
    "name": "a model to load",
    "dataset": {"generator": "spirals", "rows": 600, "features": 2, "classes": 3, "seed": 7},
    "model": {"layers": [
        {"units": 32, "activation": "relu", "batch_norm": True, "dropout": 0.1},
        {"type": "residual", "layers": [{"units": 32, "activation": "gelu"}, {"units": 24}]},
        {"type": "layer_norm"},
        {"units": 16, "activation": "tanh"},
    ]},
    "training": {"epochs": 20, "seed": 1},
}


def call(path, body=None, kind="application/json", **headers):
    request = urllib.request.Request(URL + path, body, {"Content-Type": kind, **headers} if body else headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def finished_job():
    """The job named on the command line, or one that is trained here."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    job = json.loads(call("/v1/jobs", json.dumps(JOB).encode()))
    while job["state"] in ("queued", "running"):
        job = json.loads(call(f"/v1/jobs/{job['id']}", Prefer="wait=30"))
    assert job["state"] == "succeeded", job["error"]
    return job["id"]


def read_model(data):
    """A safetensors file: 8 bytes of header length, a JSON header, the tensors' bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    tensors = {name: np.frombuffer(data, "<f4", np.prod(at["shape"], dtype=int), 8 + length + at["data_offsets"][0])
               .reshape(at["shape"]) for name, at in header.items()}
    return tensors, metadata, json.loads(metadata["spec"])["model"]["layers"]


def standardize(tensors, rows):
    if "standardize.mean" not in tensors:
        return rows
    return (rows - tensors["standardize.mean"]) / tensors["standardize.scale"]


class Names:
    """The tensors' names: each type of layer with tensors counts from 1, a residual behind what is within it."""

    def __init__(self, tensors):
        self.tensors, self.counts = tensors, {}

    def next(self, kind):
        name = f"{kind}_{self.counts.get(kind, 0) + 1}"
        found = {key.split(".")[1]: value for key, value in self.tensors.items() if key.startswith(name + ".")}
        if found:
            self.counts[kind] = self.counts.get(kind, 0) + 1
        return found


def compare(job, tensors, outputs_of):
    """Some rows through the framework's model and through the server's."""
    rows = np.random.default_rng(0).normal(size=(200, tensors["dense_1.weight"].shape[0])).astype("float32")
    theirs = outputs_of(standardize(tensors, rows))
    body = json.dumps({"features": rows.tolist(), "return": ["outputs"]}).encode()
    ours = np.array(json.loads(call(f"/v1/jobs/{job}/predict", body))["outputs"])
    difference = np.abs(ours - theirs).max()
    print(f"{job}: outputs of 200 rows up to {np.abs(ours).max():.2f}, largest difference {difference:.1e}")
    return 0 if difference < 1e-4 * max(1, np.abs(ours).max()) else 1
