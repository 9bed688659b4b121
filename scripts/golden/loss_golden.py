"""Writes golden losses and gradients of PyTorch, Keras 3 on TensorFlow, and optax, in float64:

    python scripts/golden/loss_golden.py > tests/golden/loss.txt    the kept file
    python scripts/golden/loss_golden.py 7 8 9 > loss.txt           every case of other seeds

Needs torch, keras, tensorflow-cpu, optax and jax (CPU builds from PyPI). Seeded: the same versions write the same
file. The kept one has every case of its own seed and a share of those of others. One case a line:

    convention loss input reduction labels rows classes options | scores | labels | loss | gradient

`labels` is ids or targets; options are name=number or name=a:b:c, joined by commas, or "-". Edges: probabilities
of 0, 1, 1e-8, 1e-30 and 1e-45, one or all of a row; logits of ±1e4, ±1e38 and ±Infinity, NaN, shifts by 1e8; weights
of 0, also of rows with an infinite loss; ties; all rows ignored; one class. What a framework leaves to its caller
(softcap, temperature, z_loss, torch's binary smoothing) is written with its own operations.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import tensorflow as tf
import torch
import torch.nn.functional as F

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
KEPT_SEED, OTHER_SEEDS, SHARE = 20240607, range(1, 7), 40  # of the other seeds, a case in so many is kept

rng = None  # of the seed at work
SHORT = 4  # significant digits of the inputs: the file stays small


def short(values):
    return np.array([float(f"{v:.{SHORT}g}") for v in np.ravel(values)]).reshape(np.shape(values))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# Inputs -------------------------------------------------------------------------------------------


def logits(kind, rows, classes):
    x = short(rng.normal(size=(rows, classes)) * rng.choice([0.5, 3, 20]))
    where = (rng.integers(rows), rng.integers(classes))
    if kind == "large":
        x[where] = rng.choice([1e4, -1e4, 1e38, -1e38])
    elif kind == "shift":
        x = np.round(x * 8) / 8 + 1e8
    elif kind in ("minus_inf", "silenced"):
        x[where] = -np.inf
    elif kind == "ties":
        x = rng.integers(-1, 2, size=(rows, classes)).astype(float)
    elif kind == "nan":
        x[where] = np.nan
    elif kind == "plus_inf":
        x[where] = np.inf
    elif kind == "huge":
        x = rng.choice([1e4, -1e4, 1e38, -1e38, 0, 1], size=(rows, classes))
    return x


def probabilities(kind, rows, classes, binary):
    p = rng.uniform(0.01, 0.99, size=(rows, classes)) if binary else softmax(rng.normal(size=(rows, classes)) * 3)
    p = short(p)
    if kind == "edge":
        where = (rng.integers(rows), rng.integers(classes))
        p[where] = rng.choice([0, 1, 1e-8, 1e-30, 1e-45])
    elif kind == "edges":
        p = rng.choice([0, 1, 1e-8, 1e-30, 1e-45, 0.25], size=(rows, classes))
    return p


def targets(kind, rows, classes, ids):
    if kind == "hot":
        return np.eye(classes)[ids]
    if kind == "soft":
        return short(softmax(rng.normal(size=(rows, classes))))
    if kind == "binary":
        return rng.integers(0, 2, size=(rows, classes)).astype(float)
    if kind == "shares":
        return short(rng.uniform(size=(rows, classes)))
    return short(rng.normal(size=(rows, classes)) * 2)


# Frameworks: (loss, gradient) of scores under `f` ---------------------------------------------------


def with_torch(f, x):
    t = torch.tensor(x, requires_grad=True)
    value = f(t)
    value.backward()
    return value.item(), t.grad.numpy()


def with_keras(f, x):
    t = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(t)
        value = f(t)
    return float(value), tf.convert_to_tensor(tape.gradient(value, t)).numpy()


def with_optax(f, x):
    value, gradient = jax.value_and_grad(f)(jnp.asarray(x))
    return float(value), np.asarray(gradient)


def torch_shaped(c, t):
    """Logits capped, then divided."""
    if "softcap" in c:
        t = c["softcap"] * torch.tanh(t / c["softcap"])
    return t / c.get("temperature", 1.0)


def torch_case(c):
    y = torch.tensor(c["y"])
    w = torch.tensor(c["class_weights"]) if "class_weights" in c else None
    smoothing, reduction = c.get("label_smoothing", 0.0), c["reduction"]
    ignore = int(c.get("ignore_index", -100))

    def cross_entropy(t):
        if c["input"] == "probabilities":
            return F.nll_loss(t.log(), y, weight=w, ignore_index=ignore, reduction=reduction)
        t = torch_shaped(c, t)
        loss = F.cross_entropy(t, y, weight=w, ignore_index=ignore, label_smoothing=smoothing, reduction=reduction)
        if "z_loss" in c:
            squares = c["z_loss"] * torch.logsumexp(t, -1) ** 2
            loss = loss + (squares.mean() if reduction == "mean" else squares.sum())
        return loss

    def binary(t):
        if c["input"] == "probabilities":
            return F.binary_cross_entropy(t, y, weight=w, reduction=reduction)
        pos = torch.tensor(c["pos_weight"]) if "pos_weight" in c else None
        share = y * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(t, share, weight=w, pos_weight=pos, reduction=reduction)

    return with_torch({
        "cross_entropy": cross_entropy,
        "binary_cross_entropy": binary,
        "kl_divergence": lambda t: F.kl_div(
            t.log() if c["input"] == "probabilities" else F.log_softmax(torch_shaped(c, t), -1), y, reduction=reduction),
        "hinge": lambda t: F.multi_margin_loss(t, y, margin=c.get("margin", 1.0), weight=w, reduction=reduction),
        "squared_hinge": lambda t: F.multi_margin_loss(t, y, p=2, margin=c.get("margin", 1.0), weight=w,
                                                       reduction=reduction),
        "mean_squared_error": lambda t: F.mse_loss(t, y, reduction=reduction),
        "huber": lambda t: F.huber_loss(t, y, delta=c.get("delta", 1.0), reduction=reduction),
    }[c["loss"]], c["x"])


def keras_case(c):
    L = keras.losses
    reduction = {"mean": "sum_over_batch_size", "sum": "sum"}[c["reduction"]]
    from_logits = c["input"] == "logits"
    smoothing = c.get("label_smoothing", 0.0)
    y, x = c["y"], c["x"]
    hot = np.eye(x.shape[1])[y] if c["labels"] == "ids" else y
    weights = None
    if "class_weights" in c:  # as fit() makes them: a row has the weight of its class
        weights = np.asarray(c["class_weights"])[y if c["labels"] == "ids" else np.argmax(y, 1)]
    sparse = c["labels"] == "ids" and (from_logits or c["convention"] == "keras_tf_sparse") and not smoothing
    focal = dict(gamma=c.get("gamma", 2.0), from_logits=from_logits, label_smoothing=smoothing, reduction=reduction)
    if c["loss"] == "focal":
        loss = L.CategoricalFocalCrossentropy(alpha=c.get("alpha", 1.0), **focal)
    elif c["loss"] == "binary_focal":
        loss = L.BinaryFocalCrossentropy(apply_class_balancing="alpha" in c, alpha=c.get("alpha", 0.25), **focal)
    elif c["loss"] == "cross_entropy" and sparse:
        ignore = int(c["ignore_index"]) if "ignore_index" in c else None
        loss = L.SparseCategoricalCrossentropy(from_logits=from_logits, ignore_class=ignore, reduction=reduction)
        hot = y
    else:
        loss = {
            "cross_entropy": lambda: L.CategoricalCrossentropy(
                from_logits=from_logits, label_smoothing=smoothing, reduction=reduction),
            "binary_cross_entropy": lambda: L.BinaryCrossentropy(
                from_logits=from_logits, label_smoothing=smoothing, reduction=reduction),
            "kl_divergence": lambda: L.KLDivergence(reduction=reduction),
            "hinge": lambda: L.CategoricalHinge(reduction=reduction),
            "mean_squared_error": lambda: L.MeanSquaredError(reduction=reduction),
            "huber": lambda: L.Huber(delta=c.get("delta", 1.0), reduction=reduction),
        }[c["loss"]]()
    if "sample_weights" in c:
        weights = c["sample_weights"] * (1 if weights is None else weights)
    return with_keras(lambda t: loss(hot, t, sample_weight=weights), x)


def optax_case(c):
    y = jnp.asarray(c["y"])
    reduce = {"mean": jnp.mean, "sum": jnp.sum}[c["reduction"]]
    smoothing = c.get("label_smoothing", 0.0)

    def cross_entropy(t):
        if c["labels"] == "ids" and not smoothing:
            return reduce(optax.losses.softmax_cross_entropy_with_integer_labels(t, y))
        hot = jnp.eye(t.shape[1])[y] if c["labels"] == "ids" else y
        return reduce(optax.losses.safe_softmax_cross_entropy(t, optax.smooth_labels(hot, smoothing)))

    def divergence(t):
        log_p = jnp.log(t) if c["input"] == "probabilities" else jax.nn.log_softmax(t)
        return reduce(optax.losses.kl_divergence(log_p, y))

    def per_row(values):  # a sample's value is the mean over its outputs
        return reduce(values.mean(-1))

    return with_optax({
        "cross_entropy": cross_entropy,
        "binary_cross_entropy": lambda t: per_row(optax.losses.sigmoid_binary_cross_entropy(t, y)),
        "binary_focal": lambda t: per_row(optax.losses.sigmoid_focal_loss(t, y, alpha=c.get("alpha"), gamma=c.get("gamma", 2.0))),
        "poly": lambda t: reduce(optax.losses.poly_loss_cross_entropy(t, y, epsilon=c.get("epsilon", 2.0))),
        "kl_divergence": divergence,
        "hinge": lambda t: reduce(optax.losses.multiclass_hinge_loss(t, y)),
        "mean_squared_error": lambda t: per_row(optax.losses.squared_error(t, y)),
        "huber": lambda t: per_row(optax.losses.huber_loss(t, y, delta=c.get("delta", 1.0))),
    }[c["loss"]], c["x"])


FRAMEWORKS = {"torch": torch_case, "keras": keras_case, "keras_tf_sparse": keras_case, "optax": optax_case}

# What exists: convention, loss, input, kinds of labels, options to try ---------------------------------

W, P, S = "class_weights", "pos_weight", "sample_weights"
PLAN = [
    ("torch", "cross_entropy", "logits", ["ids", "hot", "soft"], [{}, {W: 1}, {"label_smoothing": 0.1},
                                                                 {W: 1, "label_smoothing": 0.25}]),
    ("torch", "cross_entropy", "logits", ["ids"], [{"ignore_index": 1}, {"ignore_index": 0, W: 1}]),
    ("torch", "cross_entropy", "probabilities", ["ids"], [{}, {W: 1}]),
    ("torch", "binary_cross_entropy", "logits", ["binary", "shares"], [{}, {W: 1}, {P: 1}, {W: 1, P: 1}]),
    ("torch", "binary_cross_entropy", "probabilities", ["binary", "shares"], [{}, {W: 1}]),
    ("torch", "kl_divergence", "logits", ["soft"], [{}]),
    ("torch", "kl_divergence", "probabilities", ["soft"], [{}]),
    ("torch", "hinge", "logits", ["ids"], [{}, {"margin": 0.5}, {W: 1}]),
    ("torch", "squared_hinge", "logits", ["ids"], [{}, {"margin": 0.5}, {W: 1}]),
    ("torch", "mean_squared_error", "logits", ["numbers"], [{}]),
    ("torch", "huber", "logits", ["numbers"], [{}, {"delta": 0.4}]),
    ("keras", "cross_entropy", "logits", ["ids", "hot", "soft"], [{}, {"label_smoothing": 0.1}, {W: 1}]),
    ("keras", "cross_entropy", "logits", ["ids"], [{"ignore_index": 1}]),
    ("keras", "cross_entropy", "probabilities", ["ids", "hot", "soft"], [{}, {"label_smoothing": 0.1}, {W: 1}]),
    ("keras_tf_sparse", "cross_entropy", "logits", ["ids"], [{}, {"ignore_index": 1}, {W: 1}]),
    ("keras_tf_sparse", "cross_entropy", "probabilities", ["ids"], [{}, {"ignore_index": 1}, {W: 1}]),
    ("keras", "binary_cross_entropy", "logits", ["binary", "shares"], [{}, {"label_smoothing": 0.2}]),
    ("keras", "binary_cross_entropy", "probabilities", ["binary", "shares"], [{}, {"label_smoothing": 0.2}]),
    ("keras", "focal", "logits", ["hot", "soft"], [{}, {"alpha": 0.25}, {"gamma": 0.5}, {"label_smoothing": 0.1}]),
    ("keras", "focal", "probabilities", ["hot", "soft"], [{}, {"alpha": 0.25}, {"gamma": 1.5}]),
    ("keras", "binary_focal", "logits", ["binary", "shares"], [{}, {"alpha": 0.25}, {"gamma": 3.0}]),
    ("keras", "binary_focal", "probabilities", ["binary", "shares"], [{}, {"alpha": 0.25}, {"gamma": 3.0}]),
    ("keras", "kl_divergence", "probabilities", ["hot", "soft"], [{}]),
    ("keras", "hinge", "logits", ["ids", "hot"], [{}]),
    ("keras", "mean_squared_error", "logits", ["numbers"], [{}]),
    ("keras", "huber", "logits", ["numbers"], [{}, {"delta": 0.4}]),
    ("optax", "cross_entropy", "logits", ["ids", "hot", "soft"], [{}, {"label_smoothing": 0.1}]),
    ("optax", "binary_cross_entropy", "logits", ["binary", "shares"], [{}]),
    ("optax", "binary_focal", "logits", ["binary", "shares"], [{}, {"alpha": 0.25}, {"gamma": 3.0}]),
    ("optax", "poly", "logits", ["hot", "soft"], [{}, {"epsilon": -0.5}]),
    ("optax", "kl_divergence", "logits", ["hot", "soft"], [{}]),
    ("optax", "kl_divergence", "probabilities", ["soft"], [{}]),
    ("optax", "hinge", "logits", ["ids"], [{}]),
    ("optax", "mean_squared_error", "logits", ["numbers"], [{}]),
    ("optax", "huber", "logits", ["numbers"], [{}, {"delta": 0.4}]),
]
# Kinds of scores of their own, behind the others so that these stay as they were
MORE = [
    ("torch", "cross_entropy", "logits", ["ids", "hot"], [{W: 1}, {W: 1, "label_smoothing": 0.3}], "silenced"),
    ("torch", "hinge", "logits", ["ids"], [{}, {W: 1, "margin": 2.0}], "ties"),
    ("torch", "squared_hinge", "logits", ["ids"], [{"margin": 2.0}], "ties"),
    ("torch", "kl_divergence", "probabilities", ["hot"], [{}], "edge"),
    ("keras", "cross_entropy", "logits", ["ids", "hot"], [{W: 1}], "silenced"),
    ("keras", "hinge", "logits", ["ids", "hot"], [{}, {W: 1}], "ties"),
    ("keras", "focal", "logits", ["hot", "soft"], [{"gamma": 0.0}, {"gamma": 3.3, "alpha": 0.7, "label_smoothing": 0.2}], "ties"),
    ("keras", "focal", "probabilities", ["hot", "soft"], [{"gamma": 0.0}, {"gamma": 0.5}, {"label_smoothing": 0.2, W: 1}], "edge"),
    ("optax", "hinge", "logits", ["ids"], [{}], "ties"),
    ("optax", "poly", "logits", ["hot", "soft"], [{"epsilon": 0.0}, {"epsilon": -1.0}], "plain"),
    ("optax", "kl_divergence", "probabilities", ["hot"], [{}], "edge"),
]
SHAPED = {"softcap": 5.0, "temperature": 2.0, "z_loss": 0.01}
# The same with edges that the first kinds lack, six cases each. Left out, as rounding and overflow inside the
# framework decide: optax' ids with 1e38 or Infinity (log Σ less the label's logit: 0 in place of ln 2, Infinity in
# place of NaN), binary focal losses with infinite logits, and with a power below 1 of a 1-p that has underflowed.
EDGES = [
    ("torch", "cross_entropy", "logits", ["ids", "hot"], [{}, {W: 1}], "plus_inf"),
    ("torch", "cross_entropy", "logits", ["ids"], [{"ignore_index": 0}, {"ignore_index": 1, W: 1}], "nan"),
    ("torch", "cross_entropy", "logits", ["ids"], [{"ignore_index": 0}, {"ignore_index": 1, W: 1}], "ignored"),
    ("torch", "cross_entropy", "logits", ["ids", "hot", "soft"], [{}, {"label_smoothing": 0.1}], "huge"),
    ("torch", "cross_entropy", "logits", ["ids", "hot"], [{}, {W: 1}, {"label_smoothing": 0.1}], "one"),
    ("torch", "cross_entropy", "logits", ["soft"], [{}, {W: 1}], "minus_inf"),
    ("torch", "cross_entropy", "logits", ["ids", "soft"], [SHAPED, {"softcap": 2.0}, {"temperature": 0.3},
                                                          {"z_loss": 0.1}, {**SHAPED, "label_smoothing": 0.1}], "plain"),
    ("torch", "cross_entropy", "logits", ["ids"], [SHAPED, {"softcap": 30.0, "temperature": 0.5}], "large"),
    ("torch", "cross_entropy", "probabilities", ["ids"], [{}, {W: 1}, {"ignore_index": 0}], "edges"),
    ("torch", "cross_entropy", "probabilities", ["ids"], [{"ignore_index": 0}, {"ignore_index": 1, W: 1}], "ignored"),
    ("torch", "cross_entropy", "probabilities", ["ids"], [{}], "one"),
    ("torch", "binary_cross_entropy", "logits", ["binary", "shares"],
     [{P: 1, "label_smoothing": 0.1}, {P: 1, W: 1, "label_smoothing": 0.3}, {"label_smoothing": 0.2}], "plain"),
    ("torch", "binary_cross_entropy", "logits", ["binary", "shares"], [{}, {P: 1, "label_smoothing": 0.1}], "large"),
    ("torch", "binary_cross_entropy", "logits", ["binary", "shares"], [{}, {W: 1}], "nan"),
    ("torch", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "plus_inf"),
    ("torch", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "minus_inf"),
    ("torch", "binary_cross_entropy", "logits", ["binary"], [{}, {P: 1}], "one"),
    ("torch", "binary_cross_entropy", "probabilities", ["binary", "shares"], [{}, {W: 1}], "edges"),
    ("torch", "kl_divergence", "logits", ["soft"], [{"temperature": 2.0, "softcap": 3.0}], "plain"),
    ("torch", "kl_divergence", "logits", ["soft", "hot"], [{}], "huge"),
    ("torch", "kl_divergence", "probabilities", ["soft", "hot"], [{}], "edges"),
    ("torch", "hinge", "logits", ["ids"], [{}, {W: 1}], "large"),
    ("keras", "cross_entropy", "logits", ["ids", "hot", "soft"], [{S: 1}, {S: 1, W: 1}], "plain"),
    ("keras", "cross_entropy", "logits", ["ids"], [{"ignore_index": 1}], "ignored"),
    ("keras", "cross_entropy", "logits", ["ids"], [{"ignore_index": 1}, {"ignore_index": 1, S: 1}], "nan"),
    ("keras", "cross_entropy", "logits", ["ids", "hot"], [{}], "huge"),
    ("keras", "cross_entropy", "logits", ["ids", "hot"], [{}], "plus_inf"),
    ("keras", "cross_entropy", "logits", ["ids", "hot"], [{}], "one"),
    ("keras", "cross_entropy", "probabilities", ["ids", "hot", "soft"], [{}, {"label_smoothing": 0.1}, {S: 1}], "edges"),
    ("keras", "cross_entropy", "probabilities", ["ids", "hot"], [{}], "one"),
    ("keras_tf_sparse", "cross_entropy", "probabilities", ["ids"], [{}, {"ignore_index": 1}, {S: 1}], "edges"),
    ("keras_tf_sparse", "cross_entropy", "probabilities", ["ids"], [{"ignore_index": 0}], "ignored"),
    ("keras_tf_sparse", "cross_entropy", "probabilities", ["ids"], [{}], "one"),
    ("keras", "binary_cross_entropy", "logits", ["binary", "shares"], [{}, {"label_smoothing": 0.2}], "large"),
    ("keras", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "nan"),
    ("keras", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "plus_inf"),
    ("keras", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "minus_inf"),
    ("keras", "binary_cross_entropy", "probabilities", ["binary", "shares"], [{}, {S: 1}], "edges"),
    ("keras", "focal", "logits", ["hot", "soft"], [{}, {"gamma": 0.5}], "huge"),
    ("keras", "focal", "probabilities", ["hot", "soft"], [{}, {"alpha": 0.25, "gamma": 0.5}], "edges"),
    ("keras", "binary_focal", "logits", ["binary", "shares"], [{}, {"alpha": 0.25}], "large"),
    ("keras", "binary_focal", "probabilities", ["binary", "shares"], [{}, {"alpha": 0.25}], "edges"),
    ("keras", "kl_divergence", "probabilities", ["hot", "soft"], [{}], "edges"),
    ("keras", "hinge", "logits", ["ids"], [{}, {S: 1}], "large"),
    ("keras", "mean_squared_error", "logits", ["numbers"], [{S: 1}], "plain"),
    ("keras", "huber", "logits", ["numbers"], [{S: 1}], "large"),
    ("optax", "cross_entropy", "logits", ["hot", "soft"], [{}], "huge"),
    ("optax", "cross_entropy", "logits", ["hot"], [{}], "plus_inf"),
    ("optax", "cross_entropy", "logits", ["ids", "hot"], [{}], "one"),
    ("optax", "cross_entropy", "logits", ["soft"], [{}], "minus_inf"),
    ("optax", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "large"),
    ("optax", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "nan"),
    ("optax", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "plus_inf"),
    ("optax", "binary_cross_entropy", "logits", ["binary", "shares"], [{}], "minus_inf"),
    ("optax", "binary_focal", "logits", ["binary", "shares"], [{}, {"alpha": 0.25}], "large"),
    ("optax", "poly", "logits", ["hot", "soft"], [{}, {"epsilon": -1.0}], "large"),
    ("optax", "kl_divergence", "logits", ["hot", "soft"], [{}], "huge"),
    ("optax", "kl_divergence", "probabilities", ["soft", "hot"], [{}], "edges"),
    ("optax", "hinge", "logits", ["ids"], [{}], "large"),
]
REGRESSION = ("mean_squared_error", "huber")


def score_kinds(loss, inputs, labels):
    if inputs == "probabilities":
        return ["plain"] * 8 + ["edge"] * 16
    if loss in REGRESSION:
        return ["plain"] * 12
    kinds = ["plain"] * 12 + ["shift"] * 4
    if loss == "cross_entropy":
        kinds += ["large"] * 6 + ["nan"]
        if labels in ("ids", "hot"):
            kinds += ["minus_inf"] * 3
    return kinds


def make_case(convention, loss, inputs, label_kind, options, score_kind):
    rows, classes = int(rng.integers(1, 4)), 1 if score_kind == "one" else int(rng.integers(2, 5))
    binary = "binary" in loss
    ids = rng.integers(0, classes, size=rows)
    if score_kind == "ignored":
        ids[:] = options["ignore_index"]
    c = {"convention": convention, "loss": loss, "input": inputs, "labels": "ids" if label_kind == "ids" else "targets",
         "reduction": str(rng.choice(["mean", "sum"]))}
    c["x"] = (probabilities(score_kind, rows, classes, binary) if inputs == "probabilities"
              else logits(score_kind, rows, classes))
    c["y"] = ids if label_kind == "ids" else targets(label_kind, rows, classes, ids)
    for name, value in options.items():
        if name in (W, P):
            value = short(rng.uniform(0.1, 3, size=classes))
            if rng.integers(4) == 0 or score_kind == "silenced":
                value[rng.integers(classes)] = 0
        if name == S:
            value = short(rng.uniform(0.1, 3, size=rows)) * (rng.integers(4, size=rows) > 0)
        c[name] = value
    return c


def write(c, value, gradient):
    options = ",".join(f"{k}={':'.join(map(repr, map(float, np.ravel(c[k]))))}" for k in
                       (W, P, S, "label_smoothing", "softcap", "temperature", "z_loss", "ignore_index", "alpha", "gamma", "epsilon", "margin", "delta")
                       if k in c) or "-"
    numbers = lambda v: " ".join(f"{x:.14g}" for x in np.ravel(v))
    rows, classes = c["x"].shape
    print(c["convention"], c["loss"], c["input"], c["reduction"], c["labels"], rows, classes, options, "|",
          numbers(c["x"]), "|", numbers(c["y"]), "|", numbers(value), "|", numbers(gradient))


def plan():
    """Every case that is to be made: convention, loss, input, kind of labels, options, kind of scores."""
    for convention, loss, inputs, label_kinds, option_sets in PLAN:
        for label_kind in label_kinds:
            for options in option_sets:
                for score_kind in score_kinds(loss, inputs, label_kind):
                    yield convention, loss, inputs, label_kind, options, score_kind
    for table, times in (MORE, 10), (EDGES, 6):
        for convention, loss, inputs, label_kinds, option_sets, score_kind in table:
            for label_kind in label_kinds:
                for options in option_sets:
                    for _ in range(times):
                        yield convention, loss, inputs, label_kind, options, score_kind


def write_seed(seed, share):
    """Of the seed's cases every `share`th, beginning with another at each seed."""
    global rng
    rng = np.random.default_rng(seed)
    for index, kind in enumerate(plan()):
        case = make_case(*kind)
        if index % share == seed % share:
            write(case, *FRAMEWORKS[case["convention"]](case))
    print(f"seed {seed}", file=sys.stderr)


print(f"# torch {torch.__version__}, keras {keras.__version__} on tensorflow {tf.__version__}, "
      f"optax {optax.__version__}")
seeds = [int(seed) for seed in sys.argv[1:]]
for seed in seeds or [KEPT_SEED]:
    write_seed(seed, 1)
for seed in () if seeds else OTHER_SEEDS:
    write_seed(seed, SHARE)
