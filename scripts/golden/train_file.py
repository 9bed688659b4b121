"""Files of training cases, as tests/train_golden.h describes them, and rows for them. Needs numpy (PyPI)."""

import json
import struct

import numpy as np

ROWS, INPUTS = 28, 4


def safetensors(tensors, metadata):
    """The bytes of a safetensors file."""
    header, offset, blobs = {"__metadata__": metadata}, 0, []
    for key, value in tensors.items():
        value = np.ascontiguousarray(value)
        kind = {"float64": "F64", "int64": "I64"}[str(value.dtype)]
        header[key] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
        blobs.append(value.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(blobs)


def write_case(path, features, targets, ids, sample_weights, tensors, metadata):
    tensors = dict(tensors, features=features.astype(np.float64))
    tensors["labels"] = targets.astype(np.float64) if ids is None else ids.astype(np.int64)
    if sample_weights is not None:
        tensors["sample_weights"] = sample_weights.astype(np.float64)
    with open(path, "wb") as file:
        file.write(safetensors(tensors, metadata))


def rows_of(rng, rows, columns):
    """Numbers that float32 has."""
    return rng.normal(size=(rows, columns)).astype(np.float32).astype(np.float64)


def one_hot(ids, classes):
    return np.eye(classes)[ids]


def rows_for(task, seed, rows=ROWS, inputs=INPUTS, classes=3):
    """Features, targets as Keras takes them, and class ids or None."""
    rng = np.random.default_rng(seed)
    features = rows_of(rng, rows, inputs)
    if task == "numbers":
        return features, rows_of(rng, rows, 2), None, rng
    if task == "labels":
        return features, (rng.random((rows, classes)) < 0.4).astype(np.float64), None, rng
    classes = 2 if task == "pair" else classes
    ids = rng.permutation(np.arange(rows) % classes)
    targets = ids[:, None].astype(np.float64) if task == "pair" else one_hot(ids, classes)
    return features, targets, ids, rng
