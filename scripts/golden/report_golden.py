"""Writes what scikit-learn makes of answers, for tests/test_report.c:

    python scripts/golden/report_golden.py > tests/golden/report.txt

Needs scikit-learn and numpy (PyPI). Seeded: the same versions write the same file. A case is

    case <task> <rows> <outputs>
    scores | <rows × outputs>     logits, or a regression's answers
    labels | <ids, or rows × outputs targets>
    <figure> | <values>           as many lines as there are figures
"""

import numpy as np
import sklearn
import sklearn.metrics as metrics

rng = np.random.default_rng(20261125)
BINS = 15


def show(name, values):
    print(f"{name} | " + " ".join(f"{float(value):.17g}" for value in np.ravel(values)))


def softmax(scores):
    power = np.exp(scores - scores.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def calibration_error(confidence, right):
    """Guo et al., ICML 2017: bins open below and closed above."""
    edges = np.linspace(0, 1, BINS + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high) | ((low == 0) & (confidence == 0))
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def area(labels, scores):
    return metrics.roc_auc_score(labels, scores) if 0 < labels.sum() < len(labels) else np.nan


def tables(labels, said, labelled=None):
    """Of class ids, or of a matrix of labels."""
    for average, name in ((None, "class"), ("macro", "macro"), ("weighted", "weighted")):
        values = metrics.precision_recall_fscore_support(labels, said, labels=labelled, average=average,
                                                         zero_division=0)
        show(f"{name}_precision", values[0])
        show(f"{name}_recall", values[1])
        show(f"{name}_f1", values[2])


def start(task, scores, labels):
    print(f"case {task} {len(scores)} {scores.shape[1]}")
    show("scores", scores)
    show("labels", labels)


def classes_case(task, rows, classes, absent=None, coarse=False):
    ids = rng.integers(0, classes, rows)
    if absent is not None:
        ids[ids == absent] = (absent + 1) % classes
    outputs = 1 if task == "binary" else classes
    scores = rng.normal(size=(rows, outputs)).astype(np.float32) * 2
    if outputs == 1:
        scores[:, 0] += ids * 2 - 1
    else:
        scores[np.arange(rows), ids] += 1.5
    scores = np.round(scores) if coarse else scores
    start(task, scores, ids)
    whole = np.hstack([np.zeros_like(scores), scores]) if outputs == 1 else scores
    probabilities = softmax(whole.astype(np.float64))
    said = whole.argmax(axis=1)
    names = np.arange(classes)
    show("accuracy", metrics.accuracy_score(ids, said))
    show("confusion", metrics.confusion_matrix(ids, said, labels=names))
    if not coarse and classes > 2:
        show("top", [metrics.top_k_accuracy_score(ids, probabilities, k=k, labels=names)
                     for k in range(1, min(5, classes - 1) + 1)])
    tables(ids, said, names)
    areas = [area(ids == c, probabilities[:, c]) for c in names]
    show("class_auc", areas)
    show("auc", np.nanmean(areas))
    show("calibration_error", calibration_error(probabilities.max(axis=1), said == ids))


def labels_case(rows, outputs):
    targets = (rng.random((rows, outputs)) < np.linspace(0.2, 0.7, outputs)).astype(int)
    scores = (rng.normal(size=(rows, outputs)) + 1.2 * (targets * 2 - 1)).astype(np.float32)
    start("labels", scores, targets)
    said = (scores > 0).astype(int)
    probabilities = 1 / (1 + np.exp(-scores.astype(np.float64)))
    show("accuracy", (said == targets).mean())
    show("exact_match", metrics.accuracy_score(targets, said))
    tables(targets, said)
    areas = [area(targets[:, j], probabilities[:, j]) for j in range(outputs)]
    show("class_auc", areas)
    show("auc", metrics.roc_auc_score(targets, probabilities, average="macro"))
    show("calibration_error", calibration_error(probabilities.ravel(), targets.ravel()))


def numbers_case(rows, outputs, constant=False):
    targets = (rng.normal(size=(rows, outputs)) * 3 + 100).astype(np.float32)
    if constant:
        targets[:, 0] = 2.5
    scores = (targets + rng.normal(size=(rows, outputs))).astype(np.float32)
    start("numbers", scores, targets)
    scores, targets = scores.astype(np.float64), targets.astype(np.float64)
    show("output_r2", metrics.r2_score(targets, scores, multioutput="raw_values"))
    show("output_mae", metrics.mean_absolute_error(targets, scores, multioutput="raw_values"))
    show("output_rmse", np.sqrt(metrics.mean_squared_error(targets, scores, multioutput="raw_values")))
    show("r2", metrics.r2_score(targets, scores))
    show("mae", metrics.mean_absolute_error(targets, scores))
    show("rmse", np.sqrt(metrics.mean_squared_error(targets, scores)))


print(f"# scikit-learn {sklearn.__version__}")
classes_case("classes", 40, 3)
classes_case("classes", 200, 7)
classes_case("classes", 60, 4, absent=2)
classes_case("classes", 80, 3, coarse=True)
classes_case("classes", 50, 2)
classes_case("binary", 90, 2)
classes_case("binary", 40, 2, coarse=True)
labels_case(70, 4)
numbers_case(50, 1)
numbers_case(80, 3)
numbers_case(30, 2, constant=True)
