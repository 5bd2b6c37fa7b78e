"""The manifest of a model version: inputs, outputs, training data, graph and metrics."""

import datetime
import importlib.metadata
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from kan_model.monotone.promise import promised_directions
from kan_model.network.transform import count_features
from kan_model.onnx_runtime import Session, open_session
from training.data.dataset import Dataset
from training.data.encoding import Numbers, gap_input_name
from training.data.images import image_shape
from training.data.split import RowNumbers
from training.explaining import attribution_message
from training.fitting.evaluation import answers, block_rows
from training.publishing.export import Exported, Trained, describe, explanation
from training.publishing.message.columns import column_message
from training.publishing.message.features import feature_messages
from training.publishing.message.network import network_message
from training.publishing.message.pairs import pair_messages
from training.publishing.metrics import UNANSWERED as UNANSWERED
from training.publishing.metrics import evaluate as evaluate
from training.publishing.metrics import scores as scores
from training.publishing.metrics import scores_of_answered as scores_of_answered
from training.publishing.verify import check_promises
from training.recipe.config import Recipe

# Prefix of the previous version's metrics in the manifest of a version that was trained further.
BEFORE = "before_test_"
# Prefix of the metrics of each kind of baseline; "test_rmse" and so on follow. The MLP's has no kind in it, because it
# was the only baseline of older versions.
BASELINES = {
    "trivial": "baseline_trivial_",
    "linear": "baseline_linear_",
    "boosted": "baseline_boosted_",
    "mlp": "baseline_",
}
_TASKS = {"regression": pb.TASK_REGRESSION, "classification": pb.TASK_CLASSIFICATION}


def build_manifest(
    recipe: Recipe,
    dataset: Dataset,
    exported: Exported,
    *,
    formula: str = "",
    beside: Mapping[str, float] | None = None,
    attribution: Sequence[float] = (),
    tested_rows: int = 0,
    formula_details: pb.Formula | None = None,
    intervals: pb.Intervals | None = None,
    calibration: pb.Calibration | None = None,
    is_validation_trained: bool = False,
) -> pb.ModelManifest:
    """The manifest without version and files, which :mod:`training.publishing.publish` fills in.

    Args:
        recipe: The recipe.
        dataset: The table.
        exported: The network and its graph.
        formula: One line per output, or "".
        beside: Further metrics by name, for example those of the baseline.
        attribution: The score of each feature, or empty.
        tested_rows: After a refit the number of rows that judged the network before it; else 0.
        formula_details: The formula beside the network; None: there is none.
        intervals: The bounds around the answers; None: there are none.
        calibration: By what the scores of the classes were divided; None: by nothing.
        is_validation_trained: The validation rows trained the network too; ``beside`` has the metrics before that.

    Raises:
        VerificationFailed: the network does not keep what the recipe promises of its inputs.
    """
    metrics, precision_loss = _metrics(dataset, exported)
    manifest = of_network(exported, precision_loss)
    manifest.MergeFrom(outline(recipe, dataset))
    manifest.MergeFrom(
        pb.ModelManifest(
            metrics={**metrics, **(beside or {})},
            data=pb.DataSummary(
                source=dataset.source,
                fingerprint=dataset.fingerprint,
                train_rows=len(dataset.train),
                validation_rows=len(dataset.validation),
                test_rows=tested_rows or len(dataset.test),
                dropped_rows=dataset.dropped_rows,
                refit=tested_rows > 0,
                validation_trained=is_validation_trained,
            ),
            formula=formula,
            formula_details=formula_details,
            intervals=intervals,
            calibration=calibration,
        )
    )
    for feature, score in zip(manifest.features, attribution, strict=False):
        feature.attribution = score
    manifest.pairs.extend(pair_messages(manifest, exported.trained.kan))
    _withdraw_empty_promises(manifest, exported.trained.kan)
    check_promises(manifest, exported.trained.kan)
    return manifest


def _withdraw_empty_promises(manifest: pb.ModelManifest, kan: KAN) -> None:
    """No answer moves with a constant: a promise would hold, and say nothing.

    Only new rows of a network that learned on may be constant; then its answers do move.
    """
    for place, feature in enumerate(manifest.features):
        if feature.monotone and feature.constant and not promised_directions(kan)[:, place].any():
            feature.monotone = ""


def of_network(exported: Exported, precision_loss: Mapping[str, float]) -> pb.ModelManifest:
    """The part of the manifest that depends on network and graphs only: tensors, shape, lowering."""
    kan, image, graph = exported.trained.kan, exported.trained.image, exported.lowered.model.graph
    features = count_features(kan.width[0], exported.trained.inputs)
    return pb.ModelManifest(
        created=timestamp(),
        library_version=library_version(),
        inputs=[pb.TensorSpec(name=graph.input[0].name, datatype="FP32", shape=[-1, features])],
        outputs=[pb.TensorSpec(name=each.name, datatype="FP32", shape=[-1, kan.width[-1]]) for each in graph.output],
        network=network_message(kan, image),
        lowering=describe(exported, precision_loss),
        explanation=explanation(kan),
        preferred_rows=exported.lowered.preferred_rows,
        attribution_graph=attribution_message(exported.attribution),
    )


def output_names(classes: Sequence[str], target: str, outputs: int, targets: Sequence[str] = ()) -> tuple[str, ...]:
    """One name per output of the network: the classes, the targets, or the one target with a number."""
    if classes or targets:
        return tuple(classes or targets)
    return (target,) if outputs == 1 else tuple(f"{target} {number}" for number in range(1, outputs + 1))


def input_names(manifest: pb.ModelManifest) -> list[str]:
    """One name per input of the network: the features, then the gap inputs."""
    names = [feature.name for feature in manifest.features]
    return names + [gap_input_name(feature.name) for feature in manifest.features if feature.has_gap_input]


def timestamp() -> str:
    """The current time in the format of manifests: ISO 8601, UTC, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def library_version() -> str:
    """Version of this distribution."""
    return importlib.metadata.version("kan-serving")


def outline(recipe: Recipe, dataset: Dataset) -> pb.ModelManifest:
    """The part of the manifest that is known before training: name, task, classes, columns, features, recipe."""
    return pb.ModelManifest(
        name=recipe.model.name,
        task=_TASKS[dataset.task],
        target=dataset.target if len(dataset.targets) == 1 else "",
        targets=dataset.targets if len(dataset.targets) > 1 else (),
        classes=dataset.classes,
        columns=list(map(column_message, dataset.columns)),
        features=feature_messages(dataset, recipe.network.monotone),
        image_shape=() if recipe.image is None else image_shape(recipe),
        recipe=recipe.text,
        objective=_objective(recipe, dataset),
        # Left out, it is that of the version that training continues from.
        unknown_ground=recipe.model.unknown_ground if "unknown_ground" in recipe.model.model_fields_set else "",
    )


def _objective(recipe: Recipe, dataset: Dataset) -> pb.Objective:
    """What the network is fitted to."""
    task, is_regression = recipe.task, dataset.task == "regression"
    return pb.Objective(
        loss=task.objective if is_regression else "",
        quantile=task.quantile or 0.0,
        huber_delta=task.huber_delta or 0.0,
        target_scale=dataset.target_scale if is_regression else "",
        weights=recipe.data.weights or "",
        class_weights=dataset.class_weights,
    )


def _metrics(dataset: Dataset, exported: Exported) -> tuple[dict[str, float], dict[str, float]]:
    """The metrics of the served graph and, for float16 or int8, how much the metrics lost against float32."""
    trained = exported.trained
    metrics = evaluate(dataset, lambda rows: predict(trained, dataset.x[rows]), with_training=True)
    if exported.plan.precision == "float32":
        return metrics, {}
    session = open_session(exported.lowered.model)
    block = block_rows(trained.kan)
    served = evaluate(dataset, lambda rows: _run_graph(session, dataset, rows, block), with_training=True)
    return served, {name: value - served[name] for name, value in metrics.items()}


def _run_graph(session: Session, dataset: Dataset, rows: RowNumbers, block: int) -> Numbers:
    """Answers of the graph, computed in blocks of rows."""
    x = dataset.x[rows].astype(np.float32)
    blocks = range(0, len(x), block)
    served = np.concatenate([session.run(x[start : start + block])[0] for start in blocks]).astype(np.float64)
    # scikit-learn requires probabilities that sum to 1 in float64.
    return served / served.sum(axis=1, keepdims=True) if dataset.task == "classification" else served


def predict(trained: Trained, x: Numbers) -> Numbers:
    """Probabilities ``[rows, classes]`` or raw predictions ``[rows, targets]``, by torch in the network's type.

    Args:
        trained: The network.
        x: ``[rows, features]``, raw.
    """
    rows = torch.from_numpy(x).to(trained.kan.layers[0].base_weight)
    # float64 after the network: scikit-learn requires probabilities that sum to 1.
    y = answers(trained.kan, rows if trained.inputs is None else trained.inputs(rows)).double()
    result: Numbers = (y if trained.outputs is None else trained.outputs(y)).cpu().numpy()
    return result
