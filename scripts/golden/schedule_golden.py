"""Writes the learning rates of Keras 3's schedules, in float64:

    python scripts/golden/schedule_golden.py > tests/golden/schedule.txt

Needs keras and jax (PyPI). A line for each case and step, counted from 1 as ours are:

    <schedule> <options> | <step> | <learning rate>

Options are name=number, joined by commas, by the names of a job's document.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np
from keras.src.backend.common import dtypes

dtypes.BIT64_TO_BIT32_DTYPE.pop("float64", None)  # or the cosines would be taken in float32
jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
schedules = keras.optimizers.schedules

STEPS = (1, 2, 3, 7, 10, 11, 12, 20, 21, 31, 50, 71, 100, 151, 1000)
DECAYS = {
    "exponential": schedules.ExponentialDecay,
    "inverse_time": schedules.InverseTimeDecay,
    "polynomial": schedules.PolynomialDecay,
    "cosine_restarts": schedules.CosineDecayRestarts,
}
CASES = [
    ("exponential", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.96}),
    ("exponential", {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("inverse_time", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}),
    ("inverse_time", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 2.0, "staircase": True}),
    ("polynomial", {"initial_learning_rate": 0.1, "decay_steps": 50}),
    ("polynomial", {"initial_learning_rate": 0.1, "decay_steps": 30, "end_learning_rate": 0.01, "power": 2.0}),
    ("polynomial", {"initial_learning_rate": 0.1, "decay_steps": 10, "power": 0.5, "cycle": True}),
    ("cosine", {"initial_learning_rate": 0.1, "decay_steps": 50}),
    ("cosine", {"initial_learning_rate": 0.1, "decay_steps": 60, "alpha": 0.1, "warmup_steps": 10}),
    ("cosine", {"initial_learning_rate": 0.1, "decay_steps": 60, "warmup_initial_learning_rate": 0.02,
                "warmup_steps": 20}),
    ("cosine_restarts", {"initial_learning_rate": 0.1, "first_decay_steps": 10}),
    ("cosine_restarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.0, "m_mul": 0.9}),
    ("cosine_restarts", {"initial_learning_rate": 0.1, "first_decay_steps": 13, "t_mul": 1.5, "m_mul": 0.5,
                         "alpha": 0.05}),
]


def cosine(options):
    options = {name: np.float64(value) for name, value in options.items()}
    if "warmup_steps" in options:
        options["warmup_target"] = options["initial_learning_rate"]
        options["initial_learning_rate"] = options.pop("warmup_initial_learning_rate", 0.0)
    return schedules.CosineDecay(**options)


print(f"# keras {keras.__version__}")
for name, options in CASES:
    schedule = cosine(options) if name == "cosine" else DECAYS[name](**options)
    shown = ",".join(f"{key}={float(value):g}" for key, value in options.items())
    for step in STEPS:
        print(f"{name} {shown} | {step} | {float(schedule(np.float64(step - 1))):.17g}")
