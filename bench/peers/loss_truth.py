"""The losses and gradients of a peer on the rows that bench_loss_truth wrote, for it to compare.
Arguments: torch|numpy float32|float64 ROWS ANSWERS. Rows of as many classes go as one batch."""

import collections
import sys

import numpy

peer, dtype, rows_path, answers_path = sys.argv[1:]
data = numpy.fromfile(rows_path, dtype="<f8")
heads = data.view("<i8")
groups = collections.defaultdict(list)  # classes -> where the rows' logits begin
at, out = 0, 0
while at < len(data):
    classes, label = int(heads[at]), int(heads[at + 1])
    groups[classes].append((at + 2, label, out))
    at += 2 + classes
    out += 1 + classes
answers = numpy.empty(out)


def by_torch(logits, labels):
    import torch

    x = torch.from_numpy(logits).requires_grad_()
    losses = torch.nn.functional.cross_entropy(x, torch.from_numpy(labels), reduction="none")
    losses.sum().backward()
    return losses.detach().numpy(), x.grad.numpy()


def by_numpy(logits, labels):
    rows = numpy.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = numpy.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    losses = numpy.log(sums[:, 0]) - shifted[rows, labels]
    gradients = exponentials / sums
    gradients[rows, labels] -= 1
    return losses, gradients


compute = by_torch if peer == "torch" else by_numpy
for classes, rows in groups.items():
    starts = numpy.array([start for start, _, _ in rows])
    outs = numpy.array([out for _, _, out in rows])
    logits = data[starts[:, None] + numpy.arange(classes)].astype(dtype)
    losses, gradients = compute(logits, numpy.array([label for _, label, _ in rows]))
    answers[outs] = losses
    answers[outs[:, None] + 1 + numpy.arange(classes)] = gradients
answers.tofile(answers_path)
