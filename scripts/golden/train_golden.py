"""Writes tests/golden/train/*.safetensors: whole networks, step by step, by Keras 3 in float64.

    python scripts/golden/train_golden.py tests/golden/train [case …]

Needs keras, jax and numpy (PyPI). Seeded: the same versions write the same files.
"""

import os
import sys

import numpy as np
from train_case import make_case
from train_file import ROWS, rows_for, write_case


def dense(units, activation=None, **more):
    return {"type": "dense", "units": units, **({"activation": activation} if activation else {}), **more}


def act(function, **more):
    return {"type": "activation", "function": function, **more}


BN, LN = {"type": "batch_norm"}, {"type": "layer_norm"}
L1, L2 = {"type": "l1", "l1": 0.003}, {"type": "l2", "l2": 0.02}
KERAS = {"convention": "keras"}

# name: (task, layers, loss, optimizer, more)
CASES = {
    "tanh_adam": ("ids", [dense(5, "tanh"), dense(3)], {}, {"type": "adam", "learning_rate": 0.01}, {}),
    "norm_sgd": ("ids", [dense(5, use_bias=False), {**BN, "momentum": 0.9}, act("relu"), dense(3)], {},
                 {"type": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "clip_norm": 0.3}, {}),
    "residual_adamw": ("ids", [dense(4, "gelu"), {"type": "residual", "layers": [LN, dense(4, "silu")]},
                               {"type": "residual", "layers": [dense(5), act("mish"), dense(3)]}, LN, dense(3)],
                       {"label_smoothing": 0.1, **KERAS},
                       {"type": "adamw", "learning_rate": 0.01, "weight_decay": 0.1}, {}),
    "labels_rmsprop": ("labels", [dense(5, "elu", kernel_regularizer=L1), dense(3)],
                       {"type": "binary_cross_entropy", **KERAS},
                       {"type": "rmsprop", "learning_rate": 0.005, "centered": True, "momentum": 0.5},
                       {"sample_weights": True}),
    "numbers_adadelta": ("numbers", [dense(5, "softplus", kernel_constraint={"type": "max_norm", "max_value": 0.8},
                                           bias_regularizer={"type": "l1_l2", "l1": 0.01, "l2": 0.02}), dense(2)],
                         {"type": "huber", "delta": 0.7}, {"type": "adadelta", "learning_rate": 0.5}, {}),
    "numbers_adagrad": ("numbers", [dense(4, "softsign"), {"type": "residual", "projection": True,
                                                           "layers": [dense(4, "sigmoid")],
                                                           "kernel_regularizer": L2}, dense(2)],
                        {"type": "mean_squared_error"},
                        {"type": "adagrad", "learning_rate": 0.05, "initial_accumulator_value": 0.01}, {}),
    "weights_nadam": ("ids", [dense(5, "hard_sigmoid"), dense(3)], {"class_weights": [0.5, 2.0, 1.25], **KERAS},
                      {"type": "nadam", "learning_rate": {"schedule": "exponential", "initial_learning_rate": 0.01,
                                                          "decay_steps": 10, "decay_rate": 0.9}},
                      {"sample_weights": True}),
    "clip_amsgrad": ("ids", [dense(5), act("leaky_relu", negative_slope=0.1), LN, dense(3)], {},
                     {"type": "amsgrad", "learning_rate": 0.02, "beta_2": 0.9, "global_clip_norm": 0.2}, {}),
    "selu_adamax": ("ids", [dense(5, "selu", kernel_regularizer=L2), dense(4, "mish"), dense(3)], {},
                    {"type": "adamax", "learning_rate": 0.01, "clip_value": 0.05}, {}),
    "silu_lion": ("ids", [dense(5, "silu"), dense(3)], {}, {"type": "lion", "learning_rate": 0.003,
                                                            "weight_decay": 0.1}, {}),
    "accumulate_sgd": ("ids", [dense(5, use_bias=False), BN, act("tanh"), dense(3, kernel_regularizer=L2)], {},
                       {"type": "sgd", "learning_rate": 0.1, "momentum": 0.5, "gradient_accumulation_steps": 3}, {}),
    "average_adam": ("ids", [dense(5, "sigmoid", kernel_constraint={"type": "max_norm", "max_value": 1.0}), dense(3)],
                     {}, {"type": "adam", "learning_rate": 0.02, "use_ema": True, "ema_momentum": 0.8,
                          "ema_overwrite_frequency": 7}, {}),
    "bias_before_norm": ("ids", [dense(4), BN, act("sigmoid"), dense(4, "softsign"), dense(3)], {},
                         {"type": "adam", "learning_rate": 0.01}, {"excluded": ["dense_1.bias"]}),
    "single_output": ("pair", [dense(5, "tanh"), dense(1)],
                      {"type": "binary_cross_entropy", "class_weights": [0.5, 2.0], **KERAS},
                      {"type": "adam", "learning_rate": 0.01}, {}),
    "mixed": ("ids", [dense(4, use_bias=False), {**BN, "gamma_regularizer": L2, "beta_regularizer": L1}, act("relu"),
                      {"type": "residual", "layers": [
                          dense(3, "tanh"), {"type": "residual", "layers": [LN, dense(3, "gelu")]}]},
                      {"type": "residual", "layers": [dense(3, use_bias=False), BN, act("elu", alpha=0.5)]},
                      dense(3, bias_constraint="max_norm")], {},
              {"type": "adam", "learning_rate": 0.01, "weight_decay": 0.02}, {}),
}


def write(folder, name, seed):
    task, layers, loss, optimizer, more = CASES[name]
    spec = {"model": {"layers": layers, "append_output": False}, "loss": {"type": "cross_entropy", **loss},
            "optimizer": optimizer}
    features, targets, ids, rng = rows_for(task, seed)
    sample = rng.choice([0.25, 0.5, 1.0, 2.0], ROWS) if more.get("sample_weights") else None
    weights = sample
    if "class_weights" in loss:
        weights = np.array(loss["class_weights"])[ids] * (1 if sample is None else sample)
    tensors, metadata = make_case(name, spec, features, targets, ids, weights, seed,
                                  excluded=more.get("excluded", ()))
    write_case(f"{folder}/{name}.safetensors", features, targets, ids, sample, tensors, metadata)
    print(name, {key: value for key, value in metadata.items() if key.startswith("free")}, flush=True)


def main():
    folder, wanted = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    for i, name in enumerate(CASES):
        if not wanted or name in wanted:
            write(folder, name, 100 + i)


if __name__ == "__main__":
    main()
