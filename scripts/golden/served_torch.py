"""Random networks trained by a running server, as any client would have them trained, beside PyTorch: the same first
weights, the same rows in the same order. Compared are the model, every step's loss, and every layer's telemetry.

    build/nabla serve &                    # or set NABLA_URL
    python scripts/golden/served_torch.py [cases 20] [seed 1]

The truth is PyTorch in float64; PyTorch in float32, with the rows of each batch in another order, shows how far float32
strays from it. A figure is right within 10 times that, or within 1e-5. Needs torch and numpy (PyPI).
"""

import copy
import json
import os
import sys
import urllib.error
import urllib.request

import numpy as np
import torch
from torch import nn
from train_file import safetensors

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080")
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": lambda: nn.LeakyReLU(0.2),
               "elu": nn.ELU, "selu": nn.SELU, "gelu": nn.GELU, "silu": nn.SiLU, "softplus": nn.Softplus,
               "softsign": nn.Softsign, "mish": nn.Mish}
# PyTorch's parts of a layer, ours, and whether the one is the other's transpose.
PARTS = {nn.Linear: ("dense", [("weight", "weight", True), ("bias", "bias", False)]),
         nn.BatchNorm1d: ("batch_norm", [("weight", "gamma", False), ("bias", "beta", False),
                                         ("running_mean", "running_mean", False)]),
         nn.LayerNorm: ("layer_norm", [("weight", "gamma", False), ("bias", "beta", False)])}
ALLOWED = 10  # times what PyTorch's float32 strays
STRAYS = 8
FLOOR = 1e-5


def call(path, body=None, kind="application/json", **headers):
    request = urllib.request.Request(URL + path, body, {"Content-Type": kind, **headers} if body else headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path}: {error.code} {error.read().decode()}") from None


class Case:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.inputs, self.outputs = int(self.rng.integers(1, 65)), int(self.rng.integers(2, 21))
        self.task = self.pick(["classes", "classes", "labels", "numbers"])
        self.batch = int(self.pick([1, 7, 16, 32, 33, 100, 128]))
        self.rows = self.batch * int(self.rng.integers(2, 8)) + int(self.rng.integers(0, self.batch))
        self.rows = max(self.rows, self.outputs)  # a data set has a row of each class
        self.epochs = int(self.rng.integers(1, 4))
        self.layers, modules = [], []
        width = self.inputs
        norms = [None, None, "layer_norm"] if self.batch == 1 or self.rows % self.batch == 1 else \
            [None, "layer_norm", "batch_norm"]
        for _ in range(self.rng.integers(0, 5)):
            width = self.add_block(modules, width, self.pick(norms))
        self.layers.append({"type": "dense", "units": self.outputs})
        modules.append(nn.Linear(width, self.outputs))
        self.model = nn.Sequential(*modules)
        self.make_rows()
        self.make_loss()
        self.make_optimizer()

    def pick(self, values):
        return values[self.rng.integers(len(values))]

    def number(self, low, high):
        return float(f"{np.exp(self.rng.uniform(np.log(low), np.log(high))):.4g}")

    def add_block(self, modules, width, norm):
        units = int(np.exp(self.rng.uniform(0, np.log(300))))
        bias = norm != "batch_norm" and self.rng.random() < 0.8
        self.layers.append({"type": "dense", "units": units, "use_bias": bias})
        modules.append(nn.Linear(width, units, bias=bias))
        if norm and units > 1:
            epsilon = self.number(1e-5, 1e-2)
            self.layers.append({"type": norm, "epsilon": epsilon})
            if norm == "batch_norm":
                self.layers[-1]["momentum"] = 0.9
                modules.append(nn.BatchNorm1d(units, eps=epsilon, momentum=1 - 0.9))
            else:
                modules.append(nn.LayerNorm(units, eps=epsilon))
        function = self.pick(list(ACTIVATIONS))
        self.layers.append({"type": "activation", "function": function})
        modules.append(ACTIVATIONS[function]())
        return units

    def make_rows(self):
        self.features = self.rng.normal(size=(self.rows, self.inputs)).astype(np.float32).astype(np.float64)
        if self.task == "classes":
            self.labels = self.rng.permutation(np.arange(self.rows) % self.outputs)
        elif self.task == "labels":
            self.labels = (self.rng.random((self.rows, self.outputs)) < 0.3).astype(np.float64)
        else:
            self.labels = self.rng.normal(size=(self.rows, self.outputs)).astype(np.float32).astype(np.float64)

    def make_loss(self):
        if self.task == "numbers":
            self.loss = {"type": "mean_squared_error"}
            self.criterion = lambda dtype: nn.MSELoss()
            return
        if self.task == "labels":
            self.loss = {"type": "binary_cross_entropy", "convention": "torch"}
            self.criterion = lambda dtype: nn.BCEWithLogitsLoss()
            return
        self.loss = {"type": "cross_entropy", "convention": "torch"}
        weights, smoothing = None, 0.0
        if self.rng.random() < 0.4:
            weights = self.loss["class_weights"] = [self.number(0.2, 4) for _ in range(self.outputs)]
        if self.rng.random() < 0.4:
            smoothing = self.loss["label_smoothing"] = self.number(0.01, 0.3)
        self.criterion = lambda dtype: nn.CrossEntropyLoss(
            weight=None if weights is None else torch.tensor(weights, dtype=dtype), label_smoothing=smoothing)

    def make_optimizer(self):
        kind = self.pick(["sgd", "adam", "adamw", "amsgrad"])
        rate = self.number(1e-4, 0.05)
        self.optimizer = {"type": kind, "learning_rate": rate}
        if kind == "sgd":
            momentum = self.pick([0.0, 0.9])
            nesterov = bool(momentum and self.rng.random() < 0.5)
            self.optimizer |= {"momentum": momentum, "nesterov": nesterov}
            # Ours has the rate within the velocity, as Keras; at a constant rate that is the same.
            self.update = lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=momentum, nesterov=nesterov)
        else:
            betas = (round(float(self.rng.uniform(0.5, 0.95)), 3), round(float(self.rng.uniform(0.9, 0.9999)), 4))
            epsilon, decay = self.number(1e-8, 1e-4), self.number(1e-3, 0.1) if kind == "adamw" else 0.0
            self.optimizer |= {"beta_1": betas[0], "beta_2": betas[1], "epsilon": epsilon,
                               "epsilon_placement": "corrected"} | ({"weight_decay": decay} if decay else {})
            made = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
            options = {"weight_decay": decay} if decay else {}
            self.update = lambda parameters: made(parameters, lr=rate, betas=betas, eps=epsilon,
                                                  amsgrad=kind == "amsgrad", **options)
        self.clip = self.number(0.05, 2) if self.rng.random() < 0.3 else 0.0
        if self.clip:
            self.optimizer["global_clip_norm"] = self.clip

    def spec(self, dataset):
        return {"dataset": dataset, "model": {"layers": self.layers, "append_output": False}, "loss": self.loss,
                "optimizer": self.optimizer, "telemetry": {"every": 1}, "initial_weights": {"posted": True},
                "training": {"epochs": self.epochs, "batch_size": self.batch, "validation_split": 0, "shuffle": False,
                             "scaling": "none"}}


def named_layers(model):
    """Our name of each layer with tensors, PyTorch's module, and its parts."""
    numbers = {}
    for module in model:
        if type(module) in PARTS:
            kind, parts = PARTS[type(module)]
            numbers[kind] = numbers.get(kind, 0) + 1
            yield (f"{kind}_{numbers[kind]}", module,
                   [part for part in parts if getattr(module, part[0], None) is not None])


def tensors_of(model):
    made = {}
    for name, module, parts in named_layers(model):
        for theirs, ours, turned in parts:
            value = getattr(module, theirs).detach().double().numpy().copy()
            made[f"{name}.{ours}"] = value.T if turned else value
        if isinstance(module, nn.BatchNorm1d):
            made[f"{name}.running_variance"] = module.running_var.double().numpy().copy()
    return made


def flat(values):
    return torch.cat([value.detach().double().reshape(-1) for value in values])


def layer_figures(before, module):
    """What telemetry says of a layer in the step that has just been made."""
    parameters = [p for p in module.parameters()]
    gradient, weights = flat([p.grad for p in parameters]), flat(parameters)
    change = weights - before
    return {"gradient_norm": gradient.norm(), "gradient_max_abs": gradient.abs().max(), "gradient_mean": gradient.mean(),
            "gradient_mean_abs": gradient.abs().mean(), "gradient_std": gradient.std(correction=0),
            "weight_norm": weights.norm(), "weight_std": weights.std(correction=0), "update_norm": change.norm(),
            "update_max_abs": change.abs().max(), "update_ratio": change.norm() / before.norm()}


def train(case, model, dtype, permute=None):
    """Every step's loss, each layer's figures by step, and the model."""
    model = copy.deepcopy(model).to(dtype).train()
    criterion, optimizer = case.criterion(dtype), case.update(model.parameters())
    features, labels = torch.tensor(case.features, dtype=dtype), torch.tensor(case.labels)
    labels = labels if case.task == "classes" else labels.to(dtype)
    losses, figures = [], []
    for _ in range(case.epochs):
        for first in range(0, case.rows, case.batch):
            rows = np.arange(first, min(first + case.batch, case.rows))
            rows = rows if permute is None else permute.permutation(rows)
            optimizer.zero_grad()
            loss = criterion(model(features[rows]), labels[rows])
            loss.backward()
            before = [flat(list(module.parameters())) for _, module, _ in named_layers(model)]
            grads = [[p.grad.clone() for p in module.parameters()] for _, module, _ in named_layers(model)]
            if case.clip:
                norm = flat([p.grad for p in model.parameters()]).norm()
                for p in model.parameters():
                    p.grad *= case.clip / max(float(norm), case.clip)
            optimizer.step()
            losses.append(float(loss.detach()))
            for (_, module, _), kept in zip(named_layers(model), grads):
                for p, grad in zip(module.parameters(), kept):
                    p.grad = grad
            figures.append([{key: float(value) for key, value in layer_figures(b, module).items()}
                            for b, (_, module, _) in zip(before, named_layers(model))])
    return losses, figures, tensors_of(model)


def read_model(data):
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    return {name: np.frombuffer(data, "<f4", int(np.prod(at["shape"])), 8 + length + at["data_offsets"][0])
            .reshape(at["shape"]).astype(np.float64) for name, at in header.items() if name != "__metadata__"}


def served(case):
    """The same from the server."""
    dataset = json.loads(call("/v1/datasets", safetensors(
        {"features": case.features, "labels": np.asarray(case.labels)}, {}), "application/safetensors"))["id"]
    posted = safetensors(tensors_of(case.model), {"request": json.dumps(case.spec(dataset))})
    job = json.loads(call("/v1/jobs", posted, "application/safetensors"))
    while job["state"] in ("queued", "running"):
        job = json.loads(call(f"/v1/jobs/{job['id']}", Prefer="wait=30"))
    if job["state"] != "succeeded":
        raise SystemExit(f"{job['id']} {job['state']}: {job['error']}")
    path = f"/v1/jobs/{job['id']}"
    losses = json.loads(call(f"{path}/metrics?column=loss&max_points=100000"))["columns"]["loss"]
    layers = json.loads(call(f"{path}/gradients?max_points=100000"))["layers"]
    steps = len(layers[0]["steps"])
    figures = [[{key: layer["columns"][key][step] for key in layer["columns"]} for layer in layers]
               for step in range(steps)]
    return losses, figures, read_model(call(f"{path}/model"))


def distances(truth, other):
    """By what: how far `other` is from the truth, relative to the size of what is compared."""
    made = {"loss": np.max(np.abs(np.array(truth[0]) - other[0]) / np.maximum(np.abs(truth[0]), 1e-3))}
    for key in truth[1][0][0]:
        a, b = (np.array([[layer[key] for layer in step] for step in run[1]], dtype=float) for run in (truth, other))
        # A mean may be next to 0 where what it is of is not.
        size = np.array([[layer["gradient_mean_abs" if key == "gradient_mean" else key] for layer in step]
                         for step in truth[1]])
        made[key] = np.max(np.abs(a - b) / np.maximum(np.abs(size), 1e-12))
    made["model"] = max(np.linalg.norm(truth[2][name] - other[2][name]) / max(np.linalg.norm(truth[2][name]), 1e-3)
                        for name in truth[2] if not name.endswith("running_variance"))
    return made


def run_case(number, seed):
    case = Case(seed)
    for module in case.model:  # off the starting values that would hide mistakes
        if isinstance(module, (nn.BatchNorm1d, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    truth = train(case, case.model.double(), torch.float64)
    strays = [distances(truth, train(case, case.model, torch.float32, np.random.default_rng(seed + i)))
              for i in range(STRAYS)]
    ours = distances(truth, served(case))
    ratios = {key: value / max(FLOOR / ALLOWED, *(stray[key] for stray in strays)) for key, value in ours.items()}
    worst = max(ratios, key=ratios.get)
    right = ratios[worst] <= ALLOWED
    print(f"{number:3d} {'ok   ' if right else 'WRONG'} {case.optimizer['type']:8s} {case.loss['type']:20s} "
          f"batch {case.batch:3d} layers {len(case.layers):2d} parameters "
          f"{sum(p.numel() for p in case.model.parameters()):6d}  model {ours['model']:.1e} "
          f"({ratios['model']:.1f} strayings)  worst {worst} {ours[worst]:.1e} ({ratios[worst]:.1f})", flush=True)
    if not right:
        print("   ", json.dumps(case.spec("…")), flush=True)
    return right, ratios[worst]


def main():
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.set_num_threads(1)
    results = [run_case(number, 1000 * seed + number) for number in range(cases)]
    wrong = sum(not right for right, _ in results)
    print(f"{cases} cases, {wrong} wrong, the worst {max(worst for _, worst in results):.1f} of the {ALLOWED} strayings allowed")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
