#!/usr/bin/env python3
"""A model that Nabla has trained, in Keras: the same layers, the same outputs.

    build/nabla serve &                    # or set NABLA_URL
    pip install numpy keras tensorflow
    python3 examples/keras_model.py [JOB]  # without a job it has one trained
"""

import sys

import keras
from keras import layers as k

import nabla_model


def dense(found):
    """Keras keeps a kernel as inputs × outputs, as Nabla does."""
    return (k.Dense(found["weight"].shape[1], use_bias="bias" in found),
            [found[x] for x in ("weight", "bias") if x in found])


def norm(kind, layer, found):
    parts = ["gamma", "beta", "running_mean", "running_variance"][:len(found)]
    made = k.BatchNormalization if kind == "batch_norm" else k.LayerNormalization
    return made(epsilon=layer["epsilon"]), [found[x] for x in parts]


def activation(layer):
    if layer["function"] == "leaky_relu":
        return k.LeakyReLU(negative_slope=layer["negative_slope"])
    if layer["function"] == "elu":
        return k.ELU(alpha=layer["alpha"])
    if layer["function"] == "gelu":
        return k.Activation(lambda x: keras.activations.gelu(x, approximate=False))
    return k.Activation(layer["function"])


def build(layers, names, x, weights):
    """Puts the layers behind x; notes which numbers are whose, for once they are built."""
    for layer in layers:
        kind = layer["type"]
        if kind == "activation":
            x = activation(layer)(x)
        elif kind == "residual":
            branch, found = build(layer["layers"], names, x, weights), names.next(kind)
            if found:
                made, numbers = dense(found)
                x = made(x)
                weights.append((made, numbers))
            x = k.Add()([branch, x])
        elif kind != "dropout":  # which does nothing in use
            made, numbers = dense(names.next(kind)) if kind == "dense" else norm(kind, layer, names.next(kind))
            x = made(x)
            weights.append((made, numbers))
    return x


if __name__ == "__main__":
    job = nabla_model.finished_job()
    tensors, _, layers = nabla_model.read_model(nabla_model.call(f"/v1/jobs/{job}/model"))
    start, weights = keras.Input((tensors["dense_1.weight"].shape[0],)), []
    model = keras.Model(start, build(layers, nabla_model.Names(tensors), start, weights))
    for layer, numbers in weights:
        layer.set_weights(numbers)
    sys.exit(nabla_model.compare(job, tensors, lambda rows: model.predict(rows, verbose=0)))
