"""Random networks, losses and optimisers: Keras 3 trains each a few steps in float64, and the engine must make the same
of every tensor, in double and in float.

    make build/tests/test_train_golden build/tests/test_train_golden_double
    python scripts/golden/train_random.py [cases 50] [seed 1]

Needs keras, jax and numpy (PyPI). Exit status 1 where a case is wrong; its file stays in build/train_random.
"""

import os
import subprocess
import sys

import numpy as np
from train_case import make_case
from train_file import rows_for, write_case

FOLDER = "build/train_random"
ACTIVATIONS = ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus",
               "softsign", "hard_sigmoid", "mish"]
LOSSES = {"ids": ["cross_entropy"], "pair": ["binary_cross_entropy"], "labels": ["binary_cross_entropy"],
          "numbers": ["mean_squared_error", "huber"]}


class Maker:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        # Keras constrains after each batch, we after each update: what begins beyond the limit goes another way.
        self.accumulates = self.chance(0.2)

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, values):
        return values[self.rng.integers(len(values))]

    def number(self, low, high):
        return float(f"{np.exp(self.rng.uniform(np.log(low), np.log(high))):.5g}")

    def rules(self, layer, tensors):
        for tensor in tensors:
            if self.chance(0.15):
                kind = self.pick(["l1", "l2", "l1_l2"])
                layer[f"{tensor}_regularizer"] = {"type": kind, **{part: self.number(1e-4, 0.1)
                                                                   for part in ("l1", "l2") if part in kind}}
            if self.chance(0.1) and not self.accumulates:
                layer[f"{tensor}_constraint"] = {"type": "max_norm", "max_value": self.number(0.3, 3)}
        return layer

    def dense(self, units, use_bias=True):
        return self.rules({"type": "dense", "units": units, "use_bias": use_bias},
                          ["kernel", "bias"] if use_bias else ["kernel"])

    def activation(self):
        function = self.pick(ACTIVATIONS)
        layer = {"type": "activation", "function": function}
        if function == "leaky_relu":
            layer["negative_slope"] = self.number(0.01, 0.9)
        if function == "elu":
            layer["alpha"] = self.number(0.1, 3)
        return layer

    def block(self, depth):
        if depth < 2 and self.chance(0.3):
            layers = [layer for _ in range(self.rng.integers(1, 3)) for layer in self.block(depth + 1)]
            return [self.rules({"type": "residual", "layers": layers, "projection": self.pick([None, None, True])},
                               ["kernel"])]
        norm = self.pick(["batch_norm", "layer_norm", None, None])
        layers = [self.dense(int(self.rng.integers(2, 9)), use_bias=norm != "batch_norm")]
        if norm:
            layers.append(self.rules({"type": norm, "epsilon": self.number(1e-4, 1e-2)}, ["gamma", "beta"]))
            if norm == "batch_norm":
                layers[-1]["momentum"] = round(float(self.rng.uniform(0.5, 0.99)), 3)
        return layers + [self.activation()]

    def loss(self, task, classes):
        loss = {"type": self.pick(LOSSES[task]), "convention": "keras"}
        if "cross_entropy" in loss["type"] and self.chance(0.3):
            loss["label_smoothing"] = self.number(0.01, 0.3)
        if loss["type"] == "huber":
            loss["delta"] = self.number(0.2, 3)
        if task in ("ids", "pair") and self.chance(0.4):
            loss["class_weights"] = [self.number(0.2, 4) for _ in range(classes)]
        return loss

    def optimizer(self):
        kind = self.pick(["sgd", "adam", "adamw", "amsgrad", "nadam", "rmsprop", "adagrad", "adadelta", "adamax",
                          "lion"])
        made = {"type": kind, "learning_rate": self.number(1e-4, 0.1)}
        if kind in ("sgd", "rmsprop"):
            made["momentum"] = self.pick([0.0, 0.5, 0.9])
        if kind == "sgd" and made["momentum"] > 0:
            made["nesterov"] = self.chance(0.5)
        if kind in ("rmsprop", "adadelta"):
            made["rho"] = round(float(self.rng.uniform(0.5, 0.99)), 3)
        if kind == "rmsprop":
            made["centered"] = self.chance(0.5)
        if kind in ("adam", "adamw", "amsgrad", "nadam", "adamax", "lion"):
            made["beta_1"] = round(float(self.rng.uniform(0.5, 0.95)), 3)
            made["beta_2"] = round(float(self.rng.uniform(0.8, 0.9999)), 4)
        if kind == "adagrad":
            made["initial_accumulator_value"] = self.number(1e-3, 1)
        if kind not in ("sgd", "lion"):
            made["epsilon"] = self.number(1e-8, 1e-3)
        if kind != "adamw" and self.chance(0.3):
            made["weight_decay"] = self.number(1e-4, 0.3)
        if self.chance(0.4):
            made[self.pick(["clip_value", "clip_norm", "global_clip_norm"])] = self.number(0.01, 2)
        if self.accumulates:
            made["gradient_accumulation_steps"] = int(self.rng.integers(2, 5))
        elif self.chance(0.25):
            made |= {"use_ema": True, "ema_momentum": round(float(self.rng.uniform(0.5, 0.99)), 3)}
            if self.chance(0.5):
                made["ema_overwrite_frequency"] = int(self.rng.integers(2, 5))
        return made


def idle_tensors(tensors, kind):
    """Those whose gradient is 0 but for rounding, as that of a bias on its way to batch_norm."""
    squared = kind in ("rmsprop", "adagrad", "adadelta")
    for name in [name[7:] for name in tensors if name.startswith("slot_1.")]:
        moment = np.abs(tensors[f"slot_1.{name}"]).max()
        if (np.sqrt(moment) if squared else moment) < 1e-13:
            yield name


def run_case(number, seed):
    maker = Maker(seed)
    task = maker.pick(["ids", "ids", "pair", "labels", "numbers"])
    classes = 2 if task == "pair" else int(maker.rng.integers(2, 6))
    rows = int(maker.rng.integers(20, 50))
    features, targets, ids, rng = rows_for(task, seed, rows, int(maker.rng.integers(2, 9)), classes)
    layers = [layer for _ in range(maker.rng.integers(1, 4)) for layer in maker.block(0)]
    loss = maker.loss(task, classes)
    spec = {"model": {"layers": layers + [maker.dense(targets.shape[1])], "append_output": False},
            "loss": loss, "optimizer": maker.optimizer()}
    sample = rng.choice([0.25, 0.5, 1.0, 3.0], rows) if maker.chance(0.3) else None
    weights = sample
    if "class_weights" in loss:
        weights = np.array(loss["class_weights"])[ids] * (1 if sample is None else sample)
    path = f"{FOLDER}/{number}.safetensors"
    # Without momentum Keras keeps no velocity.
    idle = {"sgd": ["slot_1."], "rmsprop": ["slot_2."]} if spec["optimizer"].get("momentum") == 0 else {}
    tensors, metadata = make_case(f"random {number}", spec, features, targets, ids, weights, seed, steps=6,
                                  batch=int(maker.rng.integers(3, 20)), free=False,
                                  excluded=idle.get(spec["optimizer"]["type"], ()))
    metadata["excluded"] += "".join("," + name for name in idle_tensors(tensors, spec["optimizer"]["type"]))
    write_case(path, features, targets, ids, sample, tensors, metadata)
    outputs = [subprocess.run([f"build/tests/{program}", path], capture_output=True, text=True)
               for program in ("test_train_golden_double", "test_train_golden")]
    worst = [float(output.stdout.split(" steps, ")[1].split()[0]) for output in outputs]
    # In float as far as rounding allows: what it is off by in double is how ill-conditioned the step is.
    right = worst[0] <= 1e-10 and worst[1] <= max(1e-5, 4 * 2.0**29 * worst[0])
    print(spec["optimizer"]["type"], loss["type"], len(layers), *[output.stdout.strip() for output in outputs],
          sep=" | ", flush=True)
    if right:
        os.remove(path)
    else:
        print("   ", metadata["spec"], *[output.stderr.strip() for output in outputs], flush=True)
    return right


def main():
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    os.makedirs(FOLDER, exist_ok=True)
    wrong = sum(not run_case(number, 1000 * seed + number) for number in range(cases))
    print(f"{cases} cases, {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
