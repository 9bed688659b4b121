"""Writes what every optimiser makes of a recorded sequence of gradients under every learning-rate schedule, in float64:

    python scripts/golden/update_golden.py > tests/golden/update.txt

Needs keras, jax and numpy (PyPI). Seeded: the same versions write the same file. First the starting values of a kernel of
3 × 2 and its bias, then the gradients and the validation losses of each step, then a line for each case and
looked-at step:

    case <optimizer as JSON> | <step> | <kernel and bias after it> [| <their averages>]

One epoch is ten steps. Learning rates are set before each step from float64 formulas, Keras' own where it takes
float64 (PyTorch's for step and one_cycle), so that its optimiser sees them unrounded. Every case has something of warm-up,
clipping, weight decay, accumulation and averaging, in turn. The gradient of a step of several batches is the mean of as
many lines.
"""

import json
import math
import os

os.environ["KERAS_BACKEND"] = "jax"

import jax

jax.config.update("jax_enable_x64", True)

import keras
import numpy as np
from keras.src.backend.common import dtypes

dtypes.BIT64_TO_BIT32_DTYPE.pop("float64", None)
keras.config.set_floatx("float64")
optimizers, schedules = keras.optimizers, keras.optimizers.schedules
STEPS, LOOKED_AT, EPOCH, BATCHES = 100, (1, 2, 10, 11, 50, 100), 10, 300
KERNEL = (3, 2)
rng = np.random.default_rng(20261126)

OPTIMIZERS = {
    "sgd": (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (optimizers.Adam, {}),
    "adamw": (optimizers.AdamW, {"beta_2": 0.99}),
    "amsgrad": (optimizers.Adam, {"beta_2": 0.9}),
    "nadam": (optimizers.Nadam, {}),
    "rmsprop": (optimizers.RMSprop, {"momentum": 0.5, "centered": True, "epsilon": 1e-4}),
    "adagrad": (optimizers.Adagrad, {}),
    "adadelta": (optimizers.Adadelta, {"rho": 0.9}),
    "adamax": (optimizers.Adamax, {}),
    "lion": (optimizers.Lion, {}),
}
RATES = {"sgd": 0.01, "adadelta": 1.0}
SCHEDULES = {
    "constant": {},
    "step": {"decay_steps": 13, "decay_rate": 0.5},
    "exponential": {"decay_steps": 20, "decay_rate": 0.8},
    "polynomial": {"decay_steps": 60, "end_learning_rate": 1e-4, "power": 1.5},
    "inverse_time": {"decay_steps": 15, "decay_rate": 0.7, "staircase": True},
    "cosine": {"decay_steps": 70, "alpha": 0.1},
    "cosine_restarts": {"first_decay_steps": 12, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.05},
    "one_cycle": {"total_steps": 90, "pct_start": 0.25},
    "reduce_on_plateau": {"factor": 0.5, "patience": 2, "cooldown": 1},
}
EXTRAS = [{}, {"clip_value": 0.5}, {"clip_norm": 0.7}, {"global_clip_norm": 0.9}]
RENAMED = {"clip_value": "clipvalue", "clip_norm": "clipnorm", "global_clip_norm": "global_clipnorm"}


def text(values):
    return " ".join(f"{float(value):.17g}" for value in np.ravel(values))


def rate_of(name, options, rate, losses):
    """The learning rate by steps since the warm-up, from 0."""
    if name in ("exponential", "polynomial", "inverse_time"):
        kind = {"exponential": schedules.ExponentialDecay, "polynomial": schedules.PolynomialDecay,
                "inverse_time": schedules.InverseTimeDecay}[name]
        schedule = kind(initial_learning_rate=rate, **options)
        return lambda n: float(schedule(np.float64(n)))
    if name == "cosine":
        schedule = schedules.CosineDecay(initial_learning_rate=np.float64(rate), **options)
        return lambda n: float(schedule(np.float64(n)))
    if name == "cosine_restarts":
        schedule = schedules.CosineDecayRestarts(initial_learning_rate=np.float64(rate), **options)
        return lambda n: float(schedule(np.float64(n)))
    if name == "step":
        return lambda n: rate * options["decay_rate"] ** (n // options["decay_steps"])
    if name == "one_cycle":
        return lambda n: one_cycle(rate, options, n)
    return lambda n: rate


def one_cycle(rate, options, n):
    """torch.optim.lr_scheduler.OneCycleLR with its defaults."""
    first, last = rate / 25, rate / 25 / 1e4
    turn, end = options["pct_start"] * options["total_steps"] - 1, options["total_steps"] - 1
    cosine = lambda start, stop, share: stop + (start - stop) / 2 * (1 + math.cos(math.pi * share))
    return cosine(first, rate, n / turn) if n <= turn else cosine(rate, last, (min(n, end) - turn) / (end - turn))


class Plateau:
    """keras.callbacks.ReduceLROnPlateau on an optimiser alone."""

    def __init__(self, optimizer, options):
        self.callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **options)
        self.callback.set_model(type("Model", (), {"optimizer": optimizer})())
        self.callback.on_train_begin()

    def epoch(self, number, loss):
        self.callback.on_epoch_end(number, {"val_loss": loss})


def make_case(name, schedule, number):
    kind, options = OPTIMIZERS[name]
    rate = RATES.get(name, 0.003)
    extra = dict(EXTRAS[number % len(EXTRAS)])
    if number % 3 == 0:
        extra["weight_decay"] = 0.05
    warmup = {"warmup_steps": 8, "warmup_initial_learning_rate": rate / 10} if number % 2 else {}
    average = {"use_ema": True, "ema_momentum": 0.9} if number % 5 == 1 else {}
    if average and number % 10 == 1:
        average["ema_overwrite_frequency"] = 15
    per_step = 3 if number % 4 == 2 else 1
    spec = {"type": name, **options, **extra, **average}
    learning_rate = {"schedule": schedule, **SCHEDULES[schedule], **warmup}
    learning_rate["max_learning_rate" if schedule == "one_cycle" else "initial_learning_rate"] = rate
    spec["learning_rate"] = learning_rate
    if per_step > 1:
        spec["gradient_accumulation_steps"] = per_step
    theirs = {RENAMED.get(key, key): value for key, value in {**options, **extra, **average}.items()}
    if name == "amsgrad":
        theirs["amsgrad"] = True
    return spec, kind(learning_rate=rate, **theirs), warmup, per_step


def run_case(name, schedule, number):
    spec, optimizer, warmup, per_step = make_case(name, schedule, number)
    variables = [keras.Variable(part.copy(), dtype="float64") for part in (KERNEL_START, BIAS_START)]
    optimizer.build(variables)
    rate = spec["learning_rate"].get("max_learning_rate", spec["learning_rate"].get("initial_learning_rate"))
    of_step = rate_of(schedule, SCHEDULES[schedule], rate, losses)
    plateau = Plateau(optimizer, SCHEDULES[schedule]) if schedule == "reduce_on_plateau" else None
    warm = warmup.get("warmup_steps", 0)
    reduced = rate
    for step in range(1, STEPS + 1):
        n = step - 1 - warm
        target = reduced if plateau else of_step(max(n, 0))
        first = warmup.get("warmup_initial_learning_rate", 0.0)
        optimizer.learning_rate = target if n >= 0 else first + (target - first) * ((step - 1) / warm)
        rows = gradients[(step - 1) * per_step:step * per_step]
        mean = rows[0] if per_step == 1 else np.add.reduce(rows) / per_step
        optimizer.apply([keras.ops.convert_to_tensor(part, dtype="float64")
                         for part in (mean[:6].reshape(KERNEL), mean[6:])], variables)
        if plateau and step % EPOCH == 0:
            optimizer.learning_rate = reduced
            plateau.epoch(step // EPOCH - 1, losses[step // EPOCH - 1])
            reduced = float(optimizer.learning_rate)
        if step in LOOKED_AT:
            parts = [text([*np.ravel(variables[0].value), *np.ravel(variables[1].value)])]
            if spec.get("use_ema"):
                kept = optimizer._model_variables_moving_average
                parts.append(text([*np.ravel(kept[0].value), *np.ravel(kept[1].value)]))
            print(f"case {json.dumps(spec)} | {step} | " + " | ".join(parts))


KERNEL_START = np.array([[0.5, -1.0], [0.25, 3.0], [-0.125, 1e-3]])
BIAS_START = np.array([0.0, -0.02])
scale = 10.0 ** np.array([-3, -2, -1, 0, 0, -6, -1, -4])
gradients = rng.normal(size=(BATCHES, 8)) * scale
gradients[:, 3] *= rng.random(BATCHES) < 0.4  # sparse: exact zeros
losses = [1.0, 0.8, 0.81, 0.805, 0.9, 0.7, 0.71, 0.72, 0.73, 0.74]

print(f"# keras {keras.__version__}")
print(f"start | {text([*np.ravel(KERNEL_START), *BIAS_START])}")
print(f"losses | {text(losses)}")
for gradient in gradients:
    print(f"gradient | {text(gradient)}")
for i, name in enumerate(OPTIMIZERS):
    for j, schedule in enumerate(SCHEDULES):
        run_case(name, schedule, i * 7 + j)
