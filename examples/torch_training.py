#!/usr/bin/env python3
"""A PyTorch training loop that reports every layer's gradient to Nabla, with the standard library alone."""
import json, os, urllib.request
import torch
from torch import nn

def post(path, document, headers={}):
    url = os.environ.get("NABLA_URL", "http://127.0.0.1:8080") + path
    headers = {"Content-Type": "application/json", **headers}
    return json.load(urllib.request.urlopen(urllib.request.Request(url, json.dumps(document).encode(), headers)))

job = post("/v1/jobs", {"name": "PyTorch, six sigmoid layers", "executor": "client"})
path, bearer = f"/v1/jobs/{job['id']}", {"Authorization": f"Bearer {job['token']}"}
features = torch.randn(512, 8, generator=torch.manual_seed(7))
labels = (features[:, 0] * features[:, 1] > 0).long()
hidden = [module for width in [8] + 5 * [32] for module in (nn.Linear(width, 32), nn.Sigmoid())]
model = nn.Sequential(*hidden, nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(1, 201):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(features), labels)
    loss.backward()
    optimizer.step()
    norms = [torch.cat([p.grad.flatten() for p in layer.parameters()]).norm().item() for layer in model[::2]]
    layers = [{"index": i, "name": f"linear_{i + 1}", "steps": [step], "columns": {"gradient_norm": [norm]}}
              for i, norm in enumerate(norms)]
    post(path + "/metrics", {"attempt": 1, "progress": {"step": step, "steps": 200}, "layers": layers,
                             "metrics": {"steps": [step], "columns": {"loss": [loss.item()]}}}, bearer)
post(path + "/state", {"attempt": 1, "state": "succeeded", "result": {"loss": loss.item()}}, bearer)
print(job["id"], f"loss {loss.item():.4f} gradient norms", " ".join(f"{norm:.1e}" for norm in norms))
