"""The data sets that scikit-learn ships, posted as CSV to a running server and trained there from many seeds, beside
PyTorch with seeds of its own: what both end with must come from the same distribution.

    build/nabla serve &                    # or set NABLA_URL
    python scripts/golden/served_datasets.py [seeds 20] [name of a data set ...]

Nothing is shared but the rows, their split, and the job's stored spec, whose values PyTorch takes: first weights, order of
rows and dropout are each side's own. Welch's test looks for other means, Kolmogorov and Smirnov's for other distributions;
with some hundred tests in a run, one is wrong below P_LEAST. Exact agreement is served_torch.py's. Needs torch,
scikit-learn, scipy and numpy (PyPI).
"""

import csv
import io
import json
import math
import os
import sys
import urllib.error
import urllib.request

import numpy as np
import torch
from scipy import stats
from sklearn import datasets
from torch import nn

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080")
P_LEAST = 1e-4
VALIDATION = 0.25
ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def network(*parts):
    """The layers of words: units, an activation, a normalisation, a rate of dropout."""
    layers = []
    for words in map(str.split, parts):
        for word in words:
            if word.isdigit():
                layers.append({"type": "dense", "units": int(word)})
            elif word in ACTIVATIONS:
                layers.append({"type": "activation", "function": word})
            elif word == "batch_norm":
                layers.append({"type": word, "momentum": 0.9})
            elif word == "layer_norm":
                layers.append({"type": word})
            else:
                layers.append({"type": "dropout", "rate": float(word)})
    return layers


# For each data set: how it is loaded, its networks, and the training of all of them.
CASES = {
    "digits": (datasets.load_digits, {
        "relu": network("64 relu", "32 relu"),
        "batch_norm": network("64 batch_norm relu", "32 batch_norm relu"),
        "dropout": network("128 relu 0.3", "64 relu 0.3")},
        {"type": "adam", "learning_rate": 0.001}, {"epochs": 15, "batch_size": 32}),
    "wine": (datasets.load_wine, {
        "sigmoid": network("16 sigmoid", "16 sigmoid"),
        "batch_norm": network("32 batch_norm relu")},
        {"type": "adam", "learning_rate": 0.003}, {"epochs": 25, "batch_size": 16}),
    "breast_cancer": (datasets.load_breast_cancer, {
        "relu": network("32 relu", "16 relu"),
        "layer_norm": network("32 layer_norm gelu", "16 layer_norm gelu")},
        {"type": "adamw", "learning_rate": 0.001, "weight_decay": 0.05}, {"epochs": 20, "batch_size": 32}),
    "iris": (datasets.load_iris, {
        "tanh": network("16 tanh", "8 tanh"),
        "batch_norm": network("16 batch_norm relu", "16 batch_norm relu")},
        {"type": "adam", "learning_rate": 0.005}, {"epochs": 30, "batch_size": 8}),
    "diabetes": (datasets.load_diabetes, {
        "relu": network("32 relu", "16 relu"),
        "dropout": network("64 relu 0.2", "32 relu 0.2")},
        {"type": "adam", "learning_rate": 0.005}, {"epochs": 40, "batch_size": 32}),
}


def call(path, body=None, kind="application/json", **headers):
    request = urllib.request.Request(URL + path, body, {"Content-Type": kind, **headers} if body else headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path}: {error.code} {error.read().decode()}") from None


# ---- Nabla ----


def as_csv(features, labels):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([f"x{j}" for j in range(features.shape[1])] + ["label"])
    writer.writerows([*map(repr, map(float, row)), repr(label.item())] for row, label in zip(features, labels))
    return text.getvalue().encode()


def posted(dataset, layers, optimizer, training, regression, seed):
    spec = {"dataset": dataset, "model": {"layers": layers}, "optimizer": optimizer,
            "loss": {"type": "mean_squared_error" if regression else "cross_entropy"},
            "training": training | {"seed": seed, "validation_split": VALIDATION, "split": "last"}}
    return call("/v1/jobs", json.dumps(spec).encode())


def finished(job):
    while job["state"] in ("queued", "running"):
        job = call(f"/v1/jobs/{job['id']}", Prefer="wait=30")
    if job["state"] != "succeeded":
        raise SystemExit(f"{job['id']} {job['state']}: {job['error']}")
    result = job["result"]
    figures = {"loss": result["loss"], "validation_loss": result["validation_loss"]}
    report = result["report"]["validation"]
    if result["accuracy"] is None:
        return figures | {"r2": report["r2"], "mean_absolute_error": report["mae"]}
    return figures | {"accuracy": result["accuracy"], "validation_accuracy": result["validation_accuracy"]}


# ---- PyTorch ----


def initialize(tensor, initializer):
    """By the stored spec's initializer; PyTorch's own functions, on its transposed weight."""
    kind = initializer if isinstance(initializer, str) else initializer["type"]
    made = {"glorot_uniform": nn.init.xavier_uniform_,
            "he_uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu")}
    made[kind](tensor)


class BatchNorm(nn.BatchNorm1d):
    """Ours, as Keras', averages the variances that it divides by; PyTorch averages n / (n - 1) times those."""

    def forward(self, rows):
        if not self.training:
            return super().forward(rows)
        kept = self.running_var * (1 - self.momentum)
        outputs = super().forward(rows)
        self.running_var = kept + (self.running_var - kept) * (len(rows) - 1) / len(rows)
        return outputs


def make_layer(layer, width):
    kind = layer["type"]
    if kind == "dense":
        made = nn.Linear(width, layer["units"])
        initialize(made.weight, layer["initializer"])
        nn.init.zeros_(made.bias)
        return made, layer["units"]
    if kind == "batch_norm":
        return BatchNorm(width, eps=layer["epsilon"], momentum=1 - layer["momentum"]), width
    if kind == "layer_norm":
        return nn.LayerNorm(width, eps=layer["epsilon"]), width
    if kind == "dropout":
        return nn.Dropout(layer["rate"]), width
    return ACTIVATIONS[layer["function"]](), width


def scaled(features, train):
    rows = features.astype(np.float32).astype(np.float64)
    mean, deviation = rows[:train].mean(0), rows[:train].std(0)
    deviation[deviation == 0] = 1
    return torch.tensor((rows - mean) / deviation, dtype=torch.float32)


def judge(model, features, labels, regression):
    """Mean loss, and what is said of how good the answers are."""
    model.eval()
    with torch.no_grad():
        outputs = model(features)
    if not regression:
        return nn.functional.cross_entropy(outputs, labels).item(), (outputs.argmax(1) == labels).double().mean().item()
    errors = (outputs - labels).double()
    square = errors.square().mean().item()
    spread = (labels - labels.mean()).double().square().mean().item()
    return square, {"r2": 1 - square / spread, "mean_absolute_error": errors.abs().mean().item()}


def train_torch(spec, features, labels, regression, seed):
    torch.manual_seed(1_000_003 + seed)
    train, size = math.floor(len(features) * (1 - VALIDATION)), spec["training"]["batch_size"]
    layers, width = [], features.shape[1]
    for layer in spec["model"]["layers"]:
        made, width = make_layer(layer, width)
        layers.append(made)
    model = nn.Sequential(*layers)
    asked = spec["optimizer"]
    options = {"weight_decay": asked["weight_decay"]} if asked["type"] == "adamw" else {}
    optimizer = OPTIMIZERS[asked["type"]](model.parameters(), lr=asked["learning_rate"], eps=asked["epsilon"],
                                          betas=(asked["beta_1"], asked["beta_2"]), **options)
    x = scaled(features, train)
    y = torch.tensor(labels, dtype=torch.float32)[:, None] if regression else torch.tensor(labels)
    loss_of = nn.MSELoss() if regression else nn.CrossEntropyLoss()
    for _ in range(spec["training"]["epochs"]):
        for batch in torch.randperm(train).split(size):
            optimizer.zero_grad()
            loss_of(model(x[batch]), y[batch]).backward()
            optimizer.step()
    loss, quality = judge(model, x[:train], y[:train], regression)
    validation_loss, validation_quality = judge(model, x[train:], y[train:], regression)
    figures = {"loss": loss, "validation_loss": validation_loss}
    return figures | (validation_quality if regression else {"accuracy": quality, "validation_accuracy": validation_quality})


# ---- both ----


def compare(title, ours, theirs):
    """Whether each figure's two samples may be of one distribution."""
    right = True
    for figure in ours[0]:
        a, b = (np.array([run[figure] for run in runs], dtype=float) for runs in (ours, theirs))
        spread = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
        apart = abs(a.mean() - b.mean()) / spread if spread else float(a.mean() != b.mean()) * math.inf
        alike = np.ptp(np.concatenate([a, b])) == 0
        means = 1.0 if alike else stats.ttest_ind(a, b, equal_var=False).pvalue if spread else 0.0
        shapes = 1.0 if alike else stats.ks_2samp(a, b).pvalue
        fits = min(means, shapes) >= P_LEAST
        right = right and fits
        print(f"{title:26} {'ok   ' if fits else 'WRONG'} {figure:20} {a.mean():11.5g} ± {a.std(ddof=1):<9.3g}"
              f" {b.mean():11.5g} ± {b.std(ddof=1):<9.3g} {0 if alike else apart:5.2f} spreads  p {means:.2g} {shapes:.2g}", flush=True)
    return right


def run_case(name, seeds):
    load, networks, optimizer, training = CASES[name]
    features, labels = load(return_X_y=True)
    order = np.random.default_rng(2).permutation(len(labels))
    features, labels, regression = features[order], labels[order], name == "diabetes"
    query = f"/v1/datasets?label=label&task={'regression' if regression else 'classification'}"
    dataset = call(query, as_csv(features, labels), "text/csv")["id"]
    right = []
    for kind, layers in networks.items():
        jobs = [posted(dataset, layers, optimizer, training, regression, seed) for seed in range(seeds)]
        theirs = [train_torch(jobs[0]["spec"], features, labels, regression, seed) for seed in range(seeds)]
        right.append(compare(f"{name} {kind}", [finished(job) for job in jobs], theirs))
    return right


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.set_num_threads(1)
    print(f"{seeds} seeds each; ours, PyTorch, means apart in spreads, p of the means and of the distributions")
    right = [one for name in sys.argv[2:] or CASES for one in run_case(name, seeds)]
    print(f"{len(right)} networks, {len(right) - sum(right)} wrong")
    sys.exit(not all(right))


if __name__ == "__main__":
    main()
