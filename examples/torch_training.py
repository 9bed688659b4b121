#!/usr/bin/env python3
"""A PyTorch training loop that reports every layer's gradient to Nabla, with the standard library alone."""
import json, os, urllib.request
import torch
from torch import nn

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080")

def post(path, document, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return json.load(urllib.request.urlopen(urllib.request.Request(URL + path, json.dumps(document).encode(), headers)))

job = post("/v1/jobs", {"name": "PyTorch, six sigmoid layers", "executor": "client"})
place, attempt, token, steps = f"/v1/jobs/{job['id']}", job["attempt"], job["token"], 200
torch.manual_seed(7)
features = torch.randn(512, 8)
labels = (features[:, 0] * features[:, 1] > 0).long()
hidden = [module for i in range(6) for module in (nn.Linear(8 if i == 0 else 32, 32), nn.Sigmoid())]
model, loss_of = nn.Sequential(*hidden, nn.Linear(32, 2)), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
dense = [layer for layer in model if isinstance(layer, nn.Linear)]
for step in range(1, steps + 1):
    optimizer.zero_grad()
    scores = model(features)
    loss = loss_of(scores, labels)
    loss.backward()
    optimizer.step()
    norms = [torch.cat([p.grad.flatten() for p in layer.parameters()]).norm().item() for layer in dense]
    accuracy = (scores.argmax(1) == labels).float().mean().item()
    post(place + "/metrics", {
        "attempt": attempt, "progress": {"step": step, "steps": steps},
        "metrics": {"steps": [step], "columns": {"loss": [loss.item()], "accuracy": [accuracy]}},
        "layers": [{"index": i, "name": f"linear_{i + 1}", "steps": [step], "columns": {"gradient_norm": [norm]}}
                   for i, norm in enumerate(norms)]}, token)
post(place + "/state", {"attempt": attempt, "state": "succeeded", "result": {"loss": loss.item()}}, token)
print(job["id"], f"loss {loss.item():.4f}", "gradient norms", " ".join(f"{norm:.1e}" for norm in norms))
