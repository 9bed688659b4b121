#!/usr/bin/env python3
"""Archives as NumPy and Python's zipfile write them, for tests/test_array_dataset.c: tests/golden/npz/*.

Four rows of three features, 10 i + j + 0.5, labels 0, 2, 1, 2; needs NumPy.
"""

import gzip
import io
import pathlib
import struct
import zipfile
import zlib

import numpy as np

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/npz"
FEATURES = np.array([[10 * i + j + 0.5 for j in range(3)] for i in range(4)])
LABELS = np.array([0, 2, 1, 2])


def npy(array):
    text = io.BytesIO()
    np.save(text, array)
    return text.getvalue()


def idx(array):
    kind = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[array.dtype.name]
    shape = b"".join(struct.pack(">I", n) for n in array.shape)
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


def zip64(entries):
    """All sizes and places in ZIP64 fields, as a writer that knows no sizes beforehand has them."""
    content, directory = b"", b""
    for name, data in entries:
        place, name = len(content), name.encode()
        head = struct.pack("<HHHHHIIIHH", 45, 0, 0, 0, 33, zlib.crc32(data), 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20)
        content += b"PK\3\4" + head + name + struct.pack("<HHQQ", 1, 16, len(data), len(data)) + data
        directory += b"PK\1\2" + struct.pack("<H", 45) + head[:-2]
        directory += struct.pack("<HHHHII", 28, 0, 0, 0, 0, 0xFFFFFFFF) + name
        directory += struct.pack("<HHQQQ", 1, 24, len(data), len(data), place)
    end64 = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, len(entries), len(entries), len(directory), len(content))
    locator = struct.pack("<IQI", 0, len(content) + len(directory), 1)
    end = struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return content + directory + b"PK\6\6" + end64 + b"PK\6\7" + locator + b"PK\5\6" + end


def archive(name, entries, method=zipfile.ZIP_STORED, comment=b""):
    with zipfile.ZipFile(OUT / name, "w", method) as file:
        file.comment = comment
        for inner, data in entries:
            file.writestr(zipfile.ZipInfo(inner), data, method)


OUT.mkdir(parents=True, exist_ok=True)
np.savez(OUT / "savez.npz", features=FEATURES, labels=LABELS)
np.savez_compressed(OUT / "savez_compressed.npz", X=FEATURES.astype("f4"), y=LABELS.astype("u1"))
np.savez(OUT / "others.npz", x_train=np.asfortranarray(FEATURES).astype(">f8"), y_train=LABELS.astype(">i4"),
         x_test=FEATURES[:2], y_test=LABELS[:2])
np.savez(OUT / "weights.npz", x=FEATURES, y=LABELS[:, None], sample_weights=np.array([1, 0.5, 2, 0]))
np.savez(OUT / "regression.npz", X=FEATURES, y=LABELS + 0.25)
np.savez(OUT / "multi_label.npz", X=FEATURES, y=np.array([[0, 1], [1, 1], [0, 0], [1, 0]]))
np.savez(OUT / "images.npz", X=FEATURES.astype("i4").reshape(4, 3, 1), y=LABELS)
images, ids = idx(np.floor(FEATURES).astype("u1").reshape(4, 1, 3)), idx(LABELS.astype("u1"))
archive("idx.zip", [("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", ids)], comment=b"MNIST's way")
archive("idx_gz.zip", [("mnist/", b""), ("mnist/train-images-idx3-ubyte.gz", gzip.compress(images, mtime=0)),
                       ("mnist/train-labels-idx1-ubyte.gz", gzip.compress(ids, mtime=0))], zipfile.ZIP_DEFLATED)
archive("idx_real.zip", [("images", idx(FEATURES.astype("f4"))), ("labels", idx(LABELS.astype("i2")))])
(OUT / "zip64.npz").write_bytes(zip64([("features.npy", npy(FEATURES)), ("labels.npy", npy(LABELS))]))
