#!/usr/bin/env python3
"""A training loop of your own that reports to Nabla: a logistic curve, fitted by plain gradient descent."""
import json, math, os, random, urllib.request

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080")

def post(path, document, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return json.load(urllib.request.urlopen(urllib.request.Request(URL + path, json.dumps(document).encode(), headers)))

job = post("/v1/jobs", {"name": "logistic curve", "executor": "client"})
place, attempt, token = f"/v1/jobs/{job['id']}", job["attempt"], job["token"]
random.seed(7)
rows = [(x, x + random.gauss(0, 1) > 0) for x in (random.uniform(-3, 3) for _ in range(200))]
weight = bias = 0.0
for step in range(1, 51):
    probabilities = [1 / (1 + math.exp(-weight * x - bias)) for x, _ in rows]
    loss = -sum(math.log(p if y else 1 - p) for p, (_, y) in zip(probabilities, rows)) / len(rows)
    accuracy = sum((p > 0.5) == y for p, (_, y) in zip(probabilities, rows)) / len(rows)
    slope = sum((p - y) * x for p, (x, y) in zip(probabilities, rows)) / len(rows)
    shift = sum(p - y for p, (_, y) in zip(probabilities, rows)) / len(rows)
    weight, bias = weight - slope, bias - shift
    acknowledged = post(place + "/metrics", {
        "attempt": attempt, "progress": {"step": step, "steps": 50},
        "metrics": {"steps": [step], "columns": {"loss": [loss], "accuracy": [accuracy]}},
        "layers": [{"index": 0, "name": "logistic", "steps": [step],
                    "columns": {"gradient_norm": [math.hypot(slope, shift)]}}],
    }, token)
    if acknowledged["requested"] == "cancel":
        break
state = "cancelled" if acknowledged["requested"] == "cancel" else "succeeded"
post(place + "/state", {"attempt": attempt, "state": state, "result": {"loss": loss, "accuracy": accuracy}}, token)
print(job["id"], state, f"loss {loss:.4f} accuracy {accuracy}")
