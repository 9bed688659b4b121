#!/usr/bin/env python3
"""Nabla's loss and gradient as a JAX function with a derivative of its own, beside optax' formula.

    build/nabla serve &                    # or set NABLA_URL
    pip install jax
    python3 examples/jax_loss.py
"""

import json
import os
import urllib.request

import jax
import jax.numpy as jnp
import numpy as np

URL = os.environ.get("NABLA_URL", "http://127.0.0.1:8080") + "/v1/losses"


def ask(logits, labels):
    body = {"logits": np.asarray(logits).tolist(), "labels": np.asarray(labels).tolist(), "convention": "optax",
            "dtype": "float32"}
    request = urllib.request.Request(URL, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        said = json.load(answer)
    return np.float32(said["loss"]), np.asarray(said["gradient"], np.float32)


def loss_and_gradient(logits, labels):
    shapes = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct(logits.shape, jnp.float32)
    return jax.pure_callback(ask, shapes, logits, labels)


@jax.custom_vjp
def nabla_loss(logits, labels):
    return loss_and_gradient(logits, labels)[0]


nabla_loss.defvjp(lambda logits, labels: loss_and_gradient(logits, labels),
                  lambda gradient, upstream: (upstream * gradient, None))


def own_loss(logits, labels):
    """What optax.softmax_cross_entropy_with_integer_labels(...).mean() computes."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()


def train(loss_of, steps=100):
    """Trains one hidden layer on a toy problem; returns the last loss and the weights."""
    keys = jax.random.split(jax.random.key(0), 3)
    points = jax.random.normal(keys[0], (64, 2))
    labels = (points[:, 0] * points[:, 1] > 0).astype(jnp.int32)
    weights = (jax.random.normal(keys[1], (2, 16)), 0.3 * jax.random.normal(keys[2], (16, 2)))

    @jax.jit
    def step(weights):
        loss, gradient = jax.value_and_grad(lambda w: loss_of(jnp.tanh(points @ w[0]) @ w[1], labels))(weights)
        return loss, jax.tree.map(lambda w, g: w - g, weights, gradient)

    for _ in range(steps):
        loss, weights = step(weights)
    return float(loss), jnp.concatenate([w.ravel() for w in weights])


if __name__ == "__main__":
    ours, our_weights = train(nabla_loss)
    own, own_weights = train(own_loss)
    print(f"after 100 steps: Nabla {ours:.7f}, JAX {own:.7f}")
    print(f"largest difference between the weights: {float(jnp.abs(our_weights - own_weights).max()):.1e}")

    # Where the two part: a class with almost all of the probability.
    logits, labels = jnp.array([[30.0, 0.0, 0.0]]), jnp.array([0])
    for name, loss_of in (("Nabla", nabla_loss), ("JAX", own_loss)):
        loss, gradient = jax.value_and_grad(loss_of)(logits, labels)
        print(f"{name:8} loss {float(loss):.7g}, gradient of the right class {float(gradient[0, 0]):.7g}")
