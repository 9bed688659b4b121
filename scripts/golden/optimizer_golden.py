"""Writes what Keras 3's optimisers make of a recorded sequence of gradients, in float64:

    python scripts/golden/optimizer_golden.py > tests/golden/optimizer.txt

Needs keras and jax (PyPI). Seeded: the same versions write the same file. First the parameters'
starting values and the gradients of each step, one line each; then a line for every case and looked-at step:

    case <optimiser> <options or -> | <step> | <parameters after it>

Options are name=number, joined by commas, by the names of a job's document. The gradients' magnitudes run from 1e-9 to
1e3, with zeros and changes of sign; one parameter starts at 0.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
STEPS, LOOKED_AT = 100, (1, 2, 3, 10, 30, 100)
PARAMETERS = 8
rng = np.random.default_rng(20260101)
optimizers = keras.optimizers

CASES = [
    ("sgd", optimizers.SGD, {}),
    ("sgd", optimizers.SGD, {"momentum": 0.9}),
    ("sgd", optimizers.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    ("adam", optimizers.Adam, {}),
    ("adam", optimizers.Adam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "learning_rate": 0.1}),
    ("adam", optimizers.Adam, {"weight_decay": 0.1}),
    ("adamw", optimizers.AdamW, {}),
    ("adamw", optimizers.AdamW, {"learning_rate": 0.05, "weight_decay": 0.5}),
    ("amsgrad", optimizers.Adam, {"amsgrad": True}),
    ("amsgrad", optimizers.Adam, {"amsgrad": True, "beta_2": 0.5, "learning_rate": 0.02}),
    ("nadam", optimizers.Nadam, {}),
    ("nadam", optimizers.Nadam, {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "weight_decay": 0.1}),
    ("rmsprop", optimizers.RMSprop, {}),
    ("rmsprop", optimizers.RMSprop, {"momentum": 0.5, "rho": 0.8, "learning_rate": 0.01}),
    ("rmsprop", optimizers.RMSprop, {"centered": True, "momentum": 0.9, "epsilon": 1e-3}),
    ("adagrad", optimizers.Adagrad, {}),
    ("adagrad", optimizers.Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 1e-5, "learning_rate": 0.1}),
    ("adadelta", optimizers.Adadelta, {}),
    ("adadelta", optimizers.Adadelta, {"rho": 0.5, "epsilon": 1e-3, "learning_rate": 1.0, "weight_decay": 0.01}),
    ("adamax", optimizers.Adamax, {}),
    ("adamax", optimizers.Adamax, {"beta_1": 0.5, "beta_2": 0.9, "weight_decay": 0.1}),
    ("lion", optimizers.Lion, {}),
    ("lion", optimizers.Lion, {"beta_1": 0.5, "beta_2": 0.9, "learning_rate": 0.01, "weight_decay": 0.1}),
]


def text(values):
    return " ".join(f"{float(value):.17g}" for value in values)


def make_gradients():
    scale = 10.0 ** np.array([-9, -6, -3, -1, 0, 1, 3, 0])
    gradients = rng.normal(size=(STEPS, PARAMETERS)) * scale
    gradients[:, 7] *= rng.random(STEPS) < 0.3  # sparse: exact zeros
    gradients[:, 3] += 0.3  # mostly of one sign
    return gradients


def options_text(options):
    shown = {name: float(value) for name, value in options.items() if name != "amsgrad"}
    return ",".join(f"{name}={value:g}" for name, value in shown.items()) or "-"


def run(kind, options, start, gradients):
    variable = keras.Variable(start.copy(), dtype="float64")
    optimizer = kind(**options)
    optimizer.build([variable])
    for step, gradient in enumerate(gradients, 1):
        optimizer.apply([keras.ops.convert_to_tensor(gradient, dtype="float64")], [variable])
        if step in LOOKED_AT:
            yield step, np.array(variable.value)


start = np.array([0.0, 1e-3, -0.02, 0.5, -1.0, 0.25, 3.0, -0.125])
gradients = make_gradients()
print(f"# keras {keras.__version__}")
print(f"start | {text(start)}")
for gradient in gradients:
    print(f"gradient | {text(gradient)}")
for name, kind, options in CASES:
    for step, values in run(kind, options, start, gradients):
        assert values.dtype == np.float64
        print(f"case {name} {options_text(options)} | {step} | {text(values)}")
