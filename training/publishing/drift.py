"""What the service needs to see that requests or answers drift: the answers of training, and the columns that matter.

Every run writes both. They cost little, because a few thousand rows tell them well enough.
"""

from collections.abc import Sequence

import torch

from kan_api.v1 import manifest_pb2 as pb
from training.data.encoding import Numbers
from training.explaining import group_by_column, score_inputs
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.publishing.message.histogram import histogram_of_answers

# The largest share of a cell of 10,000 rows is known within 1 %.
_ANSWERED_ROWS = 10_000
# As many as count, so that no others are transformed.
_SCORED_ROWS = 1000


def describe_drift(manifest: pb.ModelManifest, trained: Trained, x: Numbers, input_columns: Sequence[str]) -> None:
    """Write the histograms of the answers into the manifest, and the attributions of features and columns.

    An attribution that a feature already has is kept.

    Args:
        manifest: Has the features and the task.
        trained: The network with its transforms.
        x: ``[1 or more rows, features]``, raw: the training rows.
        input_columns: The table's column of each input of the network.
    """
    answers = predict(trained, _thinned(x, _ANSWERED_ROWS))
    is_probability = manifest.task == pb.TASK_CLASSIFICATION
    del manifest.answers[:]
    manifest.answers.extend(histogram_of_answers(each, is_probability=is_probability) for each in answers.T)
    if not any(feature.HasField("attribution") for feature in manifest.features):
        # Inputs behind the features tell of gaps.
        for feature, score in zip(manifest.features, _score_inputs(trained, x), strict=False):
            feature.attribution = score
    _score_columns(manifest, trained, x, input_columns)


def _score_columns(manifest: pb.ModelManifest, trained: Trained, x: Numbers, of_inputs: Sequence[str]) -> None:
    """Write the attribution of each column with several inputs of the network."""
    names, groups = group_by_column(of_inputs)
    for column in manifest.columns:
        column.ClearField("attribution")  # A continued version has that of another network.
    if len(names) == len(of_inputs):
        return
    scores = dict(zip(names, _score_inputs(trained, x, groups), strict=False))
    for column in manifest.columns:
        if of_inputs.count(column.name) > 1 and column.name in scores:
            column.attribution = scores[column.name]


def _score_inputs(trained: Trained, x: Numbers, groups: Sequence[int] | None = None) -> list[float]:
    """How much the answers depend on each input of the network, or each group of inputs.

    Returns:
        Empty where the network is not finite on the rows.
    """
    if len(x) < 2:
        return []
    rows = torch.from_numpy(_thinned(x, _SCORED_ROWS)).to(trained.kan.layers[0].base_weight)
    try:
        read = rows if trained.inputs is None else trained.inputs(rows)
        found: list[float] = score_inputs(trained.kan, read, trained.outputs, groups).tolist()
    except ValueError:
        return []
    return found


def _thinned(x: Numbers, most: int) -> Numbers:
    """At most so many rows, evenly over all of them."""
    thinned: Numbers = x[:: -(-len(x) // most)]
    return thinned
