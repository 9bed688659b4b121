"""Trains a job's network with Keras 3 (or PyTorch) in float64 and writes what every step made of every tensor, for
tests/train_golden.h, which describes the file. Needs keras, jax, torch and numpy (PyPI)."""

import json
import os

os.environ["KERAS_BACKEND"] = "jax"

import jax

jax.config.update("jax_enable_x64", True)

import keras
import numpy as np
from keras.src.backend.common import dtypes

dtypes.BIT64_TO_BIT32_DTYPE.pop("float64", None)  # or tanh and others answer float32 to float64

LAYERS = keras.layers
RENAMED = {"clip_value": "clipvalue", "clip_norm": "clipnorm", "global_clip_norm": "global_clipnorm"}
OPTIMIZERS = {
    "sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW,
    "amsgrad": keras.optimizers.Adam, "nadam": keras.optimizers.Nadam, "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad, "adadelta": keras.optimizers.Adadelta,
    "adamax": keras.optimizers.Adamax, "lion": keras.optimizers.Lion,
}
# What our slots hold, by the names of Keras' lists.
SLOTS = {
    "sgd": ["momentums"], "adam": ["_momentums", "_velocities"], "adamw": ["_momentums", "_velocities"],
    "amsgrad": ["_momentums", "_velocities", "_velocity_hats"], "nadam": ["_momentums", "_velocities"],
    "rmsprop": ["_velocities", "_momentums", "_average_gradients"], "adagrad": ["_accumulators"],
    "adadelta": ["_accumulated_grads", "_accumulated_delta_vars"], "adamax": ["_m", "_u"], "lion": ["_momentums"],
}
SCHEDULES = {
    "exponential": keras.optimizers.schedules.ExponentialDecay,
    "inverse_time": keras.optimizers.schedules.InverseTimeDecay,
    "polynomial": keras.optimizers.schedules.PolynomialDecay,
}
ACTIVATIONS = {"leaky_relu": lambda layer: lambda x: keras.activations.leaky_relu(x, layer.get("negative_slope", 0.2)),
               "elu": lambda layer: lambda x: keras.activations.elu(x, layer.get("alpha", 1.0)),
               "gelu": lambda layer: lambda x: keras.activations.gelu(x, approximate=False)}


def regularizer(rule):
    if rule is None:
        return None
    rule = {"type": rule} if isinstance(rule, str) else rule
    absent = 0.0 if rule["type"] == "l1_l2" else 0.01
    return keras.regularizers.L1L2(l1=rule.get("l1", absent if "l1" in rule["type"] else 0.0),
                                   l2=rule.get("l2", absent if "l2" in rule["type"] else 0.0))


def constraint(rule):
    if rule is None:
        return None
    return keras.constraints.MaxNorm(max_value=rule.get("max_value", 2) if isinstance(rule, dict) else 2, axis=0)


def rules(layer, tensors):
    made = {}
    for tensor in tensors:
        made[f"{tensor}_regularizer"] = regularizer(layer.get(f"{tensor}_regularizer"))
        made[f"{tensor}_constraint"] = constraint(layer.get(f"{tensor}_constraint"))
    return made


class Network:
    """The functional model of a list of layers, and our names for its variables."""

    def __init__(self, layers, inputs, dtype):
        self.dtype, self.numbers, self.named = dtype, {}, []
        source = keras.Input((inputs,), dtype=dtype)
        self.model = keras.Model(source, self.add_all(layers, source))

    def name(self, kind):
        self.numbers[kind] = self.numbers.get(kind, 0) + 1
        return f"{kind}_{self.numbers[kind]}"

    def take(self, kind, layer, parts):
        name = self.name(kind)
        self.named += [(f"{name}.{ours}", lambda layer=layer, theirs=theirs: getattr(layer, theirs))
                       for ours, theirs in parts if getattr(layer, theirs, None) is not None]

    def add_all(self, layers, x):
        for layer in layers:
            x = getattr(self, "add_" + layer.get("type", "dense"))(layer, x)
        return x

    def add_dense(self, layer, x):
        dense = LAYERS.Dense(layer["units"], use_bias=layer.get("use_bias", True), dtype=self.dtype,
                             **rules(layer, ["kernel", "bias"]))
        x = dense(x)
        self.take("dense", dense, [("weight", "kernel"), ("bias", "bias")])
        if "activation" in layer:
            x = self.add_activation({"function": layer["activation"]}, x)
        return x

    def add_batch_norm(self, layer, x):
        norm = LAYERS.BatchNormalization(momentum=layer.get("momentum", 0.99), epsilon=layer.get("epsilon", 1e-3),
                                         dtype=self.dtype, **rules(layer, ["gamma", "beta"]))
        x = norm(x)
        self.take("batch_norm", norm, [("gamma", "gamma"), ("beta", "beta"), ("running_mean", "moving_mean"),
                                       ("running_variance", "moving_variance")])
        return x

    def add_layer_norm(self, layer, x):
        norm = LAYERS.LayerNormalization(epsilon=layer.get("epsilon", 1e-3), dtype=self.dtype,
                                         **rules(layer, ["gamma", "beta"]))
        x = norm(x)
        self.take("layer_norm", norm, [("gamma", "gamma"), ("beta", "beta")])
        return x

    def add_activation(self, layer, x):
        function = layer["function"]
        made = ACTIVATIONS[function](layer) if function in ACTIVATIONS else getattr(keras.activations, function)
        return LAYERS.Activation(made, dtype=self.dtype)(x)

    def add_residual(self, layer, x):
        out = self.add_all(layer["layers"], x)
        if layer.get("projection") or out.shape[-1] != x.shape[-1]:
            dense = LAYERS.Dense(out.shape[-1], use_bias=False, dtype=self.dtype, **rules(layer, ["kernel"]))
            x = dense(x)
            self.take("residual", dense, [("weight", "kernel")])
        return LAYERS.Add(dtype=self.dtype)([out, x])


def loss_of(spec, outputs):
    loss = {"type": "cross_entropy", **spec.get("loss", {})}
    smoothing = loss.get("label_smoothing", 0.0)
    return {
        "cross_entropy": lambda: keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing),
        "binary_cross_entropy": lambda: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing),
        "mean_squared_error": keras.losses.MeanSquaredError,
        "huber": lambda: keras.losses.Huber(delta=loss.get("delta", 1.0)),
    }[loss["type"]]()


def optimizer_of(spec):
    options = dict(spec["optimizer"])
    kind = options.pop("type")
    options = {RENAMED.get(name, name): value for name, value in options.items()}
    rate = options.get("learning_rate")
    if isinstance(rate, dict):
        rate = dict(rate)
        options["learning_rate"] = SCHEDULES[rate.pop("schedule")](**rate)
    if kind == "amsgrad":
        options["amsgrad"] = True
    return OPTIMIZERS[kind](**options)


class Run:
    def __init__(self, case, dtype, start=None):
        keras.config.set_floatx(dtype)
        keras.utils.set_random_seed(case["seed"])
        self.case, self.spec, self.dtype = case, case["spec"], dtype
        self.network = Network(self.spec["model"]["layers"], case["features"].shape[1], dtype)
        self.optimizer = optimizer_of(self.spec)
        self.network.model.compile(optimizer=self.optimizer, loss=loss_of(self.spec, case["targets"].shape[1]))
        self.optimizer.build(self.network.model.trainable_variables)
        if start:
            for name, variable in self.variables():
                variable.assign(start[f"state.{name}"].astype(dtype))

    def variables(self):
        return [(name, get()) for name, get in self.network.named]

    def slot(self, part, variable):
        index = self.optimizer._get_variable_index(variable)
        held = getattr(self.optimizer, part, None)
        value = np.array(held[index].value) if held and index < len(held) else np.zeros(variable.shape)
        if part == "_accumulators":
            value = value - self.spec["optimizer"].get("initial_accumulator_value", 0.1)
        return value

    def state(self):
        kept = {}
        trainable = {id(v) for v in self.network.model.trainable_variables}
        for name, variable in self.variables():
            kept[f"state.{name}"] = np.array(variable.value)
            if id(variable) not in trainable:
                continue
            for i, part in enumerate(SLOTS[self.spec["optimizer"]["type"]], 1):
                kept[f"slot_{i}.{name}"] = self.slot(part, variable)
            if self.spec["optimizer"].get("use_ema"):
                kept[f"average.{name}"] = np.array(self.optimizer._model_variables_moving_average[
                    self.optimizer._get_variable_index(variable)].value)
        return kept

    def step(self, batches, permute=None):
        for rows in batches:
            rows = rows if permute is None else rows[permute.permutation(len(rows))]
            weights = self.case["row_weights"]
            self.network.model.train_on_batch(
                self.case["features"][rows].astype(self.dtype), self.case["targets"][rows].astype(self.dtype),
                sample_weight=None if weights is None else weights[rows].astype(self.dtype))


def all_weights(state):
    return np.concatenate([np.ravel(v).astype(np.float64) for name, v in sorted(state.items())
                           if name.startswith("state.")])


def free_run(case, dtype, start, steps, permute=None):
    run = Run(case, dtype, start)
    for batches in steps:
        run.step(batches, permute)
    return run.state()


def make_case(name, spec, features, targets, ids=None, row_weights=None, seed=1, steps=100, batch=7, free=True,
              excluded=()):
    """Runs a spec: returns the tensors and the metadata of its file. `ids` where the labels are classes, `targets`
    always: one-hot for them. `row_weights`: sample weights times class weights, as Keras takes them."""
    rng = np.random.default_rng(seed)
    per_step = spec["optimizer"].get("gradient_accumulation_steps", 1)
    order = np.concatenate([rng.permutation(len(features)) for _ in range(steps * per_step * batch // len(features) + 1)])
    order = order[:steps * per_step * batch].reshape(steps, per_step, batch)
    case = {"spec": spec, "features": features, "targets": targets, "row_weights": row_weights, "seed": seed}
    run = Run(case, "float64")
    jitter = np.random.default_rng(seed + 1)
    for _, variable in run.variables():  # off the starting values that would hide mistakes
        variable.assign(np.array(variable.value) + 0.1 * np.abs(jitter.normal(size=variable.shape)))
    states = [run.state()]
    for batches in order:
        run.step(batches)
        states.append(run.state())
    tensors = {key: np.stack([state[key] for state in states]) for key in states[0]}
    tensors["order"] = order.astype(np.int64)
    metadata = {"case": name, "spec": json.dumps(spec), "excluded": ",".join(excluded)}
    if free:
        for bits in (32, 64):
            whole = all_weights(free_run(case, f"float{bits}", states[0], order))
            moved = [free_run(case, f"float{bits}", states[0], order, np.random.default_rng(seed + 10 + i))
                     for i in range(3)]
            deviation = max(np.linalg.norm(all_weights(m) - whole) for m in moved) / np.linalg.norm(whole)
            metadata[f"free_{bits}"] = repr(float(deviation))
    return tensors, metadata
