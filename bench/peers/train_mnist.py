"""The MNIST network in other libraries, trained until the test rows say it is good: bench/bench_mnist.py runs it.

    train_mnist.py torch|torch_compile|jax|keras_tensorflow|keras_jax|sklearn RECIPE

RECIPE is bench_mnist.py's, as JSON, with the folder, the seed and the number of threads. After each epoch a line of JSON
says what the test rows give, and the seconds since the rows were in memory as bytes: in all, and in training alone.
Scaling, building the network and compiling it count in the first; compiling counts in both. The networks are those of
train_step.py.
"""

import gzip
import importlib.util
import json
import math
import os
import sys
import time

NEEDED = {"torch": ["torch"], "torch_compile": ["torch"], "jax": ["jax", "optax"], "keras_tensorflow": ["keras", "tensorflow"],
          "keras_jax": ["keras", "jax"], "sklearn": ["sklearn"]}


def limit_threads(threads):
    """Before any library is loaded: they read it then."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC", "PJRT_NPROC"):
        os.environ[name] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()} intra_op_parallelism_threads={threads}"
    os.environ |= {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def rate_at(recipe, step, steps):
    """A cosine, from the recipe's rate to 0 in the last step."""
    return recipe["learning_rate"] * (1 + math.cos(math.pi * step / steps)) / 2


def steps_of(recipe, rows):
    return -(-rows // recipe["batch"]) * recipe["epochs"]


def shape_of(recipe):
    """As train_step.py has it."""
    return 784, tuple(recipe["hidden"]), 10, recipe["batch"], None, "relu", True


class Torch:
    def __init__(self, recipe, train, test, compiled=False):
        import torch
        import train_step

        self.torch, self.recipe, self.step = torch, recipe, 0
        torch.set_num_threads(recipe["threads"])
        torch.manual_seed(recipe["seed"])
        self.model, self.optimizer, self.work = train_step.make_torch(shape_of(recipe), compiled)
        for layer in self.model:
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.xavier_uniform_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
        self.train, self.test = ([torch.from_numpy(array) for array in part] for part in (train, test))

    def epoch(self):
        rows, size = len(self.train[0]), self.recipe["batch"]
        for batch in self.torch.randperm(rows).split(size):
            self.optimizer.param_groups[0]["lr"] = rate_at(self.recipe, self.step, steps_of(self.recipe, rows))
            self.optimizer.zero_grad()
            self.work(self.train[0][batch], self.train[1][batch])
            self.optimizer.step()
            self.step += 1

    def accuracy(self):
        self.model.eval()
        with self.torch.no_grad():
            right = self.model(self.test[0]).argmax(1) == self.test[1]
        self.model.train()
        return float(right.double().mean())


class Jax:
    def __init__(self, recipe, train, test):
        import jax
        import numpy
        import optax
        import train_step

        self.jax, self.recipe, self.train, self.test = jax, recipe, train, test
        self.source = numpy.random.default_rng(recipe["seed"])
        rate = optax.cosine_decay_schedule(recipe["learning_rate"], steps_of(recipe, len(train[0])))
        self.state, self.advance, self.classify = train_step.make_jax(shape_of(recipe), recipe["seed"], rate)

    def epoch(self):
        order, size = self.source.permutation(len(self.train[0])), self.recipe["batch"]
        for first in range(0, len(order), size):
            rows = order[first:first + size]
            self.state, _ = self.advance(self.state, self.train[0][rows], self.train[1][rows])
        self.jax.block_until_ready(self.state)

    def accuracy(self):
        return float((self.classify(self.state, self.test[0]) == self.test[1]).mean())


class Keras:
    def __init__(self, recipe, train, test, backend):
        import train_step

        self.recipe, self.train, self.test = recipe, train, test
        self.model = train_step.make_keras(shape_of(recipe), backend, recipe["threads"], recipe["seed"],
                                           recipe["learning_rate"], steps_of(recipe, len(train[0])))

    def epoch(self):
        self.model.fit(*self.train, batch_size=self.recipe["batch"], epochs=1, verbose=0)

    def accuracy(self):
        return self.model.evaluate(*self.test, batch_size=1000, verbose=0)[1]


class Sklearn:
    """It has no batch normalisation, and schedules for sgd alone: its Adam's rate is set before each epoch."""

    def __init__(self, recipe, train, test):
        from sklearn.neural_network import MLPClassifier

        self.recipe, self.train, self.test, self.done = recipe, train, test, 0
        self.model = MLPClassifier(recipe["hidden"], batch_size=recipe["batch"], alpha=0, epsilon=1e-7,
                                   learning_rate_init=recipe["learning_rate"], random_state=recipe["seed"])

    def epoch(self):
        if self.done:
            self.model._optimizer.learning_rate_init = rate_at(self.recipe, self.done, self.recipe["epochs"])
        self.model.partial_fit(*self.train, classes=range(10))
        self.done += 1

    def accuracy(self):
        return self.model.score(*self.test)


PEERS = {
    "torch": Torch,
    "torch_compile": lambda *about: Torch(*about, compiled=True),
    "jax": Jax,
    "keras_tensorflow": lambda *about: Keras(*about, "tensorflow"),
    "keras_jax": lambda *about: Keras(*about, "jax"),
    "sklearn": Sklearn,
}


def read_rows(folder, part):
    import numpy

    def read(kind, header):
        with gzip.open(os.path.join(folder, f"{part}-{kind}-ubyte.gz")) as file:
            return numpy.frombuffer(file.read(), numpy.uint8, offset=header)

    labels = read("labels-idx1", 8)
    return read("images-idx3", 16).reshape(len(labels), -1), labels


def scale(train, test, scaling):
    """As learned on the training rows; a pixel that never changes is only moved."""
    import numpy

    images = train[0].astype(numpy.float32)
    if scaling == "standardize":
        shift, divisor = images.mean(0, dtype=numpy.float64), images.std(0, dtype=numpy.float64)
    else:
        shift, divisor = images.min(0), numpy.ptp(images, 0)
    divisor[divisor == 0] = 1
    scaled = [((part[0] - shift) / divisor).astype(numpy.float32) for part in (train, test)]
    return [(rows, part[1].astype(numpy.int64)) for rows, part in zip(scaled, (train, test))]


def load(peer):
    """The libraries themselves are not timed."""
    if peer.startswith("keras"):
        os.environ["KERAS_BACKEND"] = peer.split("_")[1]
    for name in NEEDED[peer]:
        __import__(name)


def main(peer, recipe):
    missing = [name for name in NEEDED[peer] if importlib.util.find_spec(name) is None]
    if missing:
        print(json.dumps({"missing": missing}))
        return
    limit_threads(recipe["threads"])
    load(peer)
    raw = [read_rows(recipe["folder"], part) for part in ("train", "t10k")]
    start, cpu, trained = time.perf_counter(), time.process_time(), 0.0
    network = PEERS[peer](recipe, *scale(*raw, recipe["scaling"]))
    for epoch in range(1, recipe["epochs"] + 1):
        begun = time.perf_counter()
        network.epoch()
        trained += time.perf_counter() - begun
        accuracy = network.accuracy()
        wall = time.perf_counter() - start
        print(json.dumps({"epoch": epoch, "accuracy": accuracy, "wall": wall, "training": trained,
                          "cpu": time.process_time() - cpu}), flush=True)
        if accuracy >= recipe["target"]:
            break


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
