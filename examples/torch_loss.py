#!/usr/bin/env python3
"""Nabla's loss and gradient inside PyTorch's autograd, beside PyTorch's own.

    build/nabla serve &                    # or set NABLA_URL
    pip install torch --index-url https://download.pytorch.org/whl/cpu
    python3 examples/torch_loss.py
"""

import json
import os
import urllib.request

import torch

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080") + "/v1/losses"


class NablaLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels, loss):
        body = {"logits": logits.tolist(), "labels": labels.tolist(), "loss": loss, "convention": "torch",
                "dtype": str(logits.dtype).removeprefix("torch.")}
        request = urllib.request.Request(URL, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            said = json.load(answer)
        ctx.save_for_backward(torch.tensor(said["gradient"], dtype=logits.dtype, device=logits.device))
        return logits.new_tensor(said["loss"])

    @staticmethod
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def train(loss_of, steps=100):
    """Trains one hidden layer on a toy problem; returns the last loss and the weights."""
    torch.manual_seed(0)
    points = torch.randn(64, 2)
    labels = (points[:, 0] * points[:, 1] > 0).long()
    model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model(points), labels)
        loss.backward()
        optimizer.step()
    return loss.item(), torch.cat([p.detach().flatten() for p in model.parameters()])


if __name__ == "__main__":
    options = {"type": "cross_entropy", "label_smoothing": 0.1}
    ours, our_weights = train(lambda logits, labels: NablaLoss.apply(logits, labels, options))
    own, own_weights = train(lambda *both: torch.nn.functional.cross_entropy(*both, label_smoothing=0.1))
    print(f"after 100 steps: Nabla {ours:.7f}, PyTorch {own:.7f}")
    print(f"largest difference between the weights: {(our_weights - own_weights).abs().max().item():.1e}")

    # Where the two part: a class with almost all of the probability.
    logits = torch.tensor([[30.0, 0.0, 0.0]], requires_grad=True)
    for name, loss_of in (("Nabla", lambda x, y: NablaLoss.apply(x, y, "cross_entropy")),
                          ("PyTorch", torch.nn.functional.cross_entropy)):
        loss = loss_of(logits, torch.tensor([0]))
        (gradient,) = torch.autograd.grad(loss, logits)
        print(f"{name:8} loss {loss.item():.7g}, gradient of the right class {gradient[0, 0].item():.7g}")
