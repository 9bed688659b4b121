#!/usr/bin/env python3
"""A model that Nabla has trained, in PyTorch: the same layers, the same outputs.

    build/nabla serve &                    # or set NABLA_URL
    pip install numpy torch --index-url https://download.pytorch.org/whl/cpu
    python3 examples/torch_model.py [JOB]  # without a job it has one trained
"""

import sys

import torch
from torch import nn

import nabla_model

ACTIVATIONS = {
    "linear": lambda layer: nn.Identity(), "sigmoid": lambda layer: nn.Sigmoid(), "tanh": lambda layer: nn.Tanh(),
    "relu": lambda layer: nn.ReLU(), "leaky_relu": lambda layer: nn.LeakyReLU(layer["negative_slope"]),
    "elu": lambda layer: nn.ELU(layer["alpha"]), "selu": lambda layer: nn.SELU(), "gelu": lambda layer: nn.GELU(),
    "silu": lambda layer: nn.SiLU(), "softplus": lambda layer: nn.Softplus(threshold=1e9),
    "softsign": lambda layer: nn.Softsign(), "hard_sigmoid": lambda layer: nn.Hardsigmoid(),
    "mish": lambda layer: nn.Mish(),
}


def tensor(array):
    return nn.Parameter(torch.tensor(array), requires_grad=False)


def dense(found):
    """PyTorch keeps a weight as outputs × inputs."""
    layer = nn.Linear(*found["weight"].shape, bias="bias" in found)
    layer.weight = tensor(found["weight"].T.copy())
    if "bias" in found:
        layer.bias = tensor(found["bias"])
    return layer


def norm(kind, layer, found):
    made = (nn.BatchNorm1d if kind == "batch_norm" else nn.LayerNorm)(len(found["gamma"]), eps=layer["epsilon"])
    made.weight, made.bias = tensor(found["gamma"]), tensor(found["beta"])
    if kind == "batch_norm":
        made.running_mean, made.running_var = (torch.tensor(found[x]) for x in ("running_mean", "running_variance"))
    return made


class Residual(nn.Module):
    def __init__(self, branch, projection):
        super().__init__()
        self.branch, self.projection = branch, projection

    def forward(self, x):
        return self.branch(x) + self.projection(x)


def build(layers, names):
    made = []
    for layer in layers:
        kind = layer["type"]
        if kind == "activation":
            made.append(ACTIVATIONS[layer["function"]](layer))
        elif kind == "residual":
            branch, found = build(layer["layers"], names), names.next(kind)
            made.append(Residual(branch, dense(found) if found else nn.Identity()))
        elif kind == "dense":
            made.append(dense(names.next(kind)))
        elif kind in ("batch_norm", "layer_norm"):
            made.append(norm(kind, layer, names.next(kind)))
    return nn.Sequential(*made)  # dropout does nothing in use


if __name__ == "__main__":
    job = nabla_model.finished_job()
    tensors, _, layers = nabla_model.read_model(nabla_model.call(f"/v1/jobs/{job}/model"))
    model = build(layers, nabla_model.Names(tensors)).eval()
    sys.exit(nabla_model.compare(job, tensors, lambda rows: model(torch.tensor(rows)).detach().numpy()))
