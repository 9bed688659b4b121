"""Writes tests/golden/train/torch_adam.safetensors: what PyTorch does otherwise than Keras, in float64: ε beside the
bias-corrected root, and a mean that divides by the rows' weights.

    python scripts/golden/train_golden_torch.py tests/golden/train

Needs torch and numpy (PyPI); in a process of its own, since TensorFlow and torch bring two LLVMs. Seeded.
"""

import json
import sys

import numpy as np
import torch
from train_file import INPUTS, ROWS, rows_for, write_case

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
features, _, ids, rng = rows_for("ids", 99)
weights = [0.5, 2.0, 1.25]
model = torch.nn.Sequential(torch.nn.Linear(INPUTS, 5), torch.nn.LayerNorm(5, eps=1e-5), torch.nn.GELU(),
                            torch.nn.Linear(5, 3))
named = {"dense_1.weight": model[0].weight, "dense_1.bias": model[0].bias, "layer_norm_1.gamma": model[1].weight,
         "layer_norm_1.beta": model[1].bias, "dense_2.weight": model[3].weight, "dense_2.bias": model[3].bias}
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(weights))
order = np.stack([rng.permutation(ROWS)[:7] for _ in range(100)])

def tensor_of(value):
    value = np.array(value.detach())
    return value.T if value.ndim == 2 else value

def state():
    kept = {}
    for name, variable in named.items():
        held = optimizer.state.get(variable, {})
        kept[f"state.{name}"] = tensor_of(variable)
        for i, part in enumerate(("exp_avg", "exp_avg_sq"), 1):
            kept[f"slot_{i}.{name}"] = tensor_of(held.get(part, torch.zeros_like(variable)))
    return kept

states = [state()]
for rows in order:
    optimizer.zero_grad()
    loss(model(torch.tensor(features[rows])), torch.tensor(ids[rows])).backward()
    optimizer.step()
    states.append(state())
spec = {"model": {"layers": [{"units": 5}, {"type": "layer_norm", "epsilon": 1e-5},
                             {"type": "activation", "function": "gelu"}, {"units": 3}],
                  "append_output": False},
        "loss": {"type": "cross_entropy", "convention": "torch", "class_weights": weights},
        "optimizer": {"type": "adam", "learning_rate": 0.01, "epsilon": 1e-8, "epsilon_placement": "corrected"}}
tensors = {key: np.stack([kept[key] for kept in states]) for key in states[0]}
tensors["order"] = order[:, None, :].astype(np.int64)
metadata = {"case": "torch_adam", "spec": json.dumps(spec), "excluded": ""}
write_case(f"{sys.argv[1]}/torch_adam.safetensors", features, None, ids, None, tensors, metadata)
