"""The manifest of a model version: what it takes, gives, was trained on and measured."""

import datetime
import importlib.metadata
from collections.abc import Callable

import numpy as np
import torch
from sklearn import metrics as sk

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from kan_model.onnx_runtime import Session, open_session
from kan_model.transform import InputTransform, OutputTransform
from training.config import Recipe
from training.data import Dataset
from training.encoding import Feature, Numbers
from training.export import Exported, describe, explanation
from training.preparation import feature_ranges
from training.split import Rows

_HISTOGRAM_BINS = 20
_TASKS = {"regression": pb.TASK_REGRESSION, "classification": pb.TASK_CLASSIFICATION}


def build_manifest(recipe: Recipe, dataset: Dataset, exported: Exported, *, formula: str = "") -> pb.ModelManifest:
    """Everything but version and files, which :mod:`training.publish` fills in."""
    kan, graph = exported.trained.kan, exported.lowered.model.graph
    metrics, precision_loss = _metrics(dataset, exported)
    outputs = len(dataset.classes) or dataset.y.shape[1]
    manifest = pb.ModelManifest(
        created=timestamp(),
        library_version=library_version(),
        inputs=[pb.TensorSpec(name=graph.input[0].name, datatype="FP32", shape=[-1, dataset.x.shape[1]])],
        outputs=[pb.TensorSpec(name=graph.output[0].name, datatype="FP32", shape=[-1, outputs])],
        network=pb.Network(
            width=kan.width,
            grid_size=kan.layers[0].grid_size,
            degree=kan.layers[0].degree,
            outside=kan.layers[0].outside,
            parameters=sum(parameter.numel() for parameter in kan.parameters()),
        ),
        lowering=describe(exported, precision_loss),
        explanation=explanation(kan),
        preferred_rows=exported.lowered.preferred_rows,
        metrics=metrics,
        data=pb.DataSummary(
            source=dataset.source,
            fingerprint=dataset.fingerprint,
            train_rows=len(dataset.train),
            validation_rows=len(dataset.validation),
            test_rows=len(dataset.test),
            dropped_rows=dataset.dropped_rows,
        ),
        recipe=recipe.text,
        formula=formula,
    )
    manifest.MergeFrom(outline(recipe, dataset))
    return manifest


def timestamp() -> str:
    """Now, as manifests say it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def library_version() -> str:
    """Version of this distribution."""
    return importlib.metadata.version("kan-serving")


def outline(recipe: Recipe, dataset: Dataset) -> pb.ModelManifest:
    """What is known of a version before it is trained: name, task, classes, columns, features."""
    return pb.ModelManifest(
        name=recipe.model.name,
        task=_TASKS[dataset.task],
        target=dataset.target,
        classes=dataset.classes,
        columns=[pb.Column(name=column.name, categories=column.categories) for column in dataset.columns],
        features=_features(dataset),
    )


def _metrics(dataset: Dataset, exported: Exported) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics of what will be served, and how much better those of the float32 network are where it is not that."""
    trained = exported.trained
    metrics = evaluate(dataset, lambda rows: predict(dataset, rows, trained.kan, trained.inputs, trained.outputs))
    if exported.plan.precision == "float32":
        return metrics, {}
    session = open_session(exported.lowered.model)
    served = evaluate(dataset, lambda rows: _served(session, dataset, rows))
    return served, {name: value - served[name] for name, value in metrics.items()}


def _served(session: Session, dataset: Dataset, rows: Rows) -> Numbers:
    answers = session.run(dataset.x[rows].astype(np.float32))[0].astype(np.float64)
    # scikit-learn wants probabilities that sum to one in float64.
    return answers / answers.sum(axis=1, keepdims=True) if dataset.task == "classification" else answers


def evaluate(dataset: Dataset, predict: Callable[[Rows], Numbers]) -> dict[str, float]:
    """Metrics on the rows that were held out, by name; targets in raw units.

    Args:
        dataset: The table.
        predict: Which rows of it -> answers ``[rows, outputs]``.
    """
    parts = {"validation": dataset.validation, "test": dataset.test}
    return {
        f"{part}_{name}": value
        for part, rows in parts.items()
        for name, value in _scores(dataset, rows, predict(rows)).items()
    }


def predict(
    dataset: Dataset, rows: Rows, kan: KAN, inputs: InputTransform | None, outputs: OutputTransform | None
) -> Numbers:
    """Probabilities ``[rows, classes]`` or raw predictions ``[rows, targets]`` by torch, in the network's own type."""
    with torch.no_grad():
        x = torch.from_numpy(dataset.x[rows]).to(kan.dtype)
        # In float64 after the network: scikit-learn wants probabilities that sum to one.
        y = kan(x if inputs is None else inputs(x)).double()
        result: Numbers = (y if outputs is None else outputs(y)).numpy()
    return result


def _scores(dataset: Dataset, rows: Rows, predicted: Numbers) -> dict[str, float]:
    truth = dataset.y[rows]
    if dataset.task == "classification":
        labels = range(len(dataset.classes))
        return {
            "accuracy": float(sk.accuracy_score(truth, predicted.argmax(axis=1))),
            "log_loss": float(sk.log_loss(truth, predicted, labels=list(labels))),
        }
    scores = {
        "rmse": float(sk.root_mean_squared_error(truth, predicted)),
        "mae": float(sk.mean_absolute_error(truth, predicted)),
    }
    # R² compares with the variance of the truth: it needs two rows that differ.
    return scores | ({"r2": float(sk.r2_score(truth, predicted))} if np.ptp(truth) > 0 else {})


def _features(dataset: Dataset) -> list[pb.Feature]:
    low, high = feature_ranges(dataset)
    return [
        _feature(dataset, place, feature, low[place], high[place]) for place, feature in enumerate(dataset.features)
    ]


def _feature(dataset: Dataset, place: int, feature: Feature, low: float, high: float) -> pb.Feature:
    values = dataset.x[dataset.train, place]
    values = values[~np.isnan(values)]
    message = pb.Feature(
        name=feature.name,
        column=feature.column,
        category=feature.category or "",
        low=low,
        high=high,
        constant=dataset.constant[place],
    )
    imputed = dataset.imputed[place]
    if imputed is not None:
        message.imputed = imputed
    # Of a constant there is nothing to count, and numpy cannot part a huge one into bins.
    if len(values) and not dataset.constant[place]:
        counts, edges = np.histogram(values, bins=min(_HISTOGRAM_BINS, max(1, len(np.unique(values)))))
        message.histogram.CopyFrom(pb.Histogram(edges=edges, counts=counts))
    return message
