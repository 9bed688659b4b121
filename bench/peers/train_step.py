"""What a training step takes in other libraries: bench/bench_train.py runs it once for each.

    train_step.py torch|torch_compile|jax|keras_tensorflow|keras_jax|sklearn SHAPE SECONDS

The networks, batches, optimiser and loss are those of bench_train.c, random data, float32, one thread. Prints the least
time of a step in microseconds. Keras and scikit-learn are timed as people use them, over whole epochs of `fit`.
"""

import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy  # noqa: E402

# inputs, hidden, classes, batch, rows, activation, batch normalisation
SHAPES = {
    "sigmoid": (4, (128, 64), 10, 32, 1024, "sigmoid", False),
    "batch_norm": (4, (128, 64), 10, 32, 1024, "relu", True),
    "mnist": (784, (512, 256), 10, 128, 4096, "relu", True),
}
CHUNK = 50


def make_data(shape):
    source = numpy.random.default_rng(1)
    features = source.random((shape[4], shape[0]), dtype=numpy.float32)
    return features, source.integers(0, shape[2], shape[4])


def least(step, seconds, chunk=CHUNK):
    """The least time of a step, over chunks of them: others on the machine only ever add to it."""
    for _ in range(chunk):
        step()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(chunk):
            step()
        best = min(best, (time.perf_counter() - start) / chunk)
    return best


def make_torch(shape, compiled):
    """The model, its optimiser, and what makes the gradients of a batch."""
    import torch

    inputs, hidden, classes, _, _, activation, norm = shape
    layers = []
    for units in hidden:
        layers.append(torch.nn.Linear(inputs, units))
        layers += [torch.nn.BatchNorm1d(units, eps=1e-3, momentum=0.01)] if norm else []
        layers.append(torch.nn.ReLU() if activation == "relu" else torch.nn.Sigmoid())
        inputs = units
    model = torch.nn.Sequential(*layers, torch.nn.Linear(inputs, classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
    loss_of = torch.nn.CrossEntropyLoss()

    def forward_backward(x, y):
        loss = loss_of(model(x), y)
        loss.backward()
        return loss

    return model, optimizer, torch.compile(forward_backward) if compiled else forward_backward


def time_torch(shape, seconds, compiled):
    import torch

    torch.set_num_threads(1)
    batch = shape[3]
    _, optimizer, work = make_torch(shape, compiled)
    features, labels = (torch.from_numpy(array) for array in make_data(shape))
    x, y = features[:batch], labels[:batch]

    def step():
        optimizer.zero_grad()
        work(x, y)
        optimizer.step()

    return least(step, seconds)


def make_jax(shape, seed=2, rate=0.001):
    """Parameters, optimiser state, and one jitted step of both. A layer's running mean and variance are its own."""
    import jax
    import jax.numpy as jnp
    import optax

    inputs, hidden, classes, _, _, activation, norm = shape
    source = numpy.random.default_rng(seed)
    parameters, averages = [], []
    for units in (*hidden, classes):
        weight = source.standard_normal((inputs, units)).astype(numpy.float32) / numpy.sqrt(inputs)
        parameters.append({"w": jnp.asarray(weight, jnp.float32), "b": jnp.zeros(units)})
        if norm and len(parameters) <= len(hidden):
            parameters[-1] |= {"gamma": jnp.ones(units), "beta": jnp.zeros(units)}
            averages.append((jnp.zeros(units), jnp.ones(units)))
        inputs = units
    optimizer = optax.adam(rate, eps=1e-7)

    def forward(parameters, averages, x, training):
        kept = []
        for i, layer in enumerate(parameters):
            x = x @ layer["w"] + layer["b"]
            if "gamma" in layer:
                mean, variance = (x.mean(0), x.var(0)) if training else averages[i]
                kept.append(tuple(0.99 * old + 0.01 * new for old, new in zip(averages[i], (mean, variance))))
                x = (x - mean) / jnp.sqrt(variance + 1e-3) * layer["gamma"] + layer["beta"]
            if i + 1 < len(parameters):
                x = jax.nn.relu(x) if activation == "relu" else jax.nn.sigmoid(x)
        return x, kept

    def loss_of(parameters, averages, x, y):
        logits, kept = forward(parameters, averages, x, True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), kept

    @jax.jit
    def advance(state, x, y):
        parameters, averages, moments = state
        (loss, averages), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, averages, x, y)
        updates, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(parameters, updates), averages, moments), loss

    classify = jax.jit(lambda state, x: forward(state[0], state[1], x, False)[0].argmax(1))
    return (parameters, averages, optimizer.init(parameters)), advance, classify


def time_jax(shape, seconds):
    import jax.numpy as jnp

    features, labels = make_data(shape)
    x, y = jnp.asarray(features[:shape[3]]), jnp.asarray(labels[:shape[3]])
    state, advance, _ = make_jax(shape)
    kept = [state]

    def step():
        kept[0], loss = advance(kept[0], x, y)
        loss.block_until_ready()

    return least(step, seconds)


def make_keras(shape, backend, threads=1, seed=0, decay_steps=0):
    os.environ["KERAS_BACKEND"] = backend
    if backend == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    import keras

    keras.utils.set_random_seed(seed)
    inputs, hidden, classes, _, _, activation, norm = shape
    model = keras.Sequential([keras.Input((inputs,))])
    for units in hidden:
        model.add(keras.layers.Dense(units))
        if norm:
            model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.Activation(activation))
    model.add(keras.layers.Dense(classes))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(0.001, decay_steps) if decay_steps else 0.001
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=["accuracy"])
    return model


def time_keras(shape, seconds, backend):
    _, _, _, batch, rows, _, _ = shape
    model = make_keras(shape, backend)
    features, labels = make_data(shape)
    return least(lambda: model.fit(features, labels, batch_size=batch, epochs=1, verbose=0), seconds, 1) / (rows // batch)


def time_sklearn(shape, seconds):
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    _, hidden, _, batch, rows, activation, norm = shape
    if norm:
        return float("nan")  # it has no batch normalisation
    model = MLPClassifier(hidden, activation="logistic" if activation == "sigmoid" else activation, batch_size=batch,
                          max_iter=1, warm_start=True)
    features, labels = make_data(shape)
    return least(lambda: model.fit(features, labels), seconds, 1) / (rows // batch)


PEERS = {
    "torch": lambda shape, seconds: time_torch(shape, seconds, False),
    "torch_compile": lambda shape, seconds: time_torch(shape, seconds, True),
    "jax": time_jax,
    "keras_tensorflow": lambda shape, seconds: time_keras(shape, seconds, "tensorflow"),
    "keras_jax": lambda shape, seconds: time_keras(shape, seconds, "jax"),
    "sklearn": time_sklearn,
}

if __name__ == "__main__":
    print(1e6 * PEERS[sys.argv[1]](SHAPES[sys.argv[2]], float(sys.argv[3])))
