"""What a manifest says of training rows: histograms of the features and of the answers, as `kan-train` writes them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kan_api.v1 import manifest_pb2 as pb
from tests.kit.models.graphs import KINDS

Values = NDArray[np.float64]


def histogram(values: Values, bins: int = 20) -> pb.Histogram:
    """NumPy's histogram of values without gaps."""
    counts, edges = np.histogram(values, bins)
    return pb.Histogram(edges=edges, counts=counts)


def trained_on(rows: Values, answers: Values) -> Callable[[pb.ModelManifest], None]:
    """Write the histograms of training rows ``[rows, features]`` and answers ``[rows, outputs]`` into a manifest.

    Args:
        rows: NaN is a gap.
        answers: Finite.
    """

    def write(manifest: pb.ModelManifest) -> None:
        manifest.data.train_rows = len(rows)
        for feature, column in zip(manifest.features, rows.T, strict=True):
            known = column[~np.isnan(column)]
            feature.low, feature.high = known.min(), known.max()
            feature.histogram.CopyFrom(histogram(known))
        manifest.answers.extend(map(histogram, answers.T))

    return write


def trained_on_normal_rows(kind: str) -> Callable[[pb.ModelManifest], None]:
    """The same for 2,000 normal rows and the answers of a kind of `graphs.KINDS` to them."""
    rows = np.random.default_rng(0).normal(size=(2000, KINDS[kind].features))
    return trained_on(rows, KINDS[kind].answer(rows.astype(np.float32)).astype(np.float64))


def manifest_of(rows: Values, answers: Values) -> pb.ModelManifest:
    """The manifest of a regression with the columns x0, x1, … and the answers y0, y1, …, trained on these rows."""
    names = [f"x{place}" for place in range(rows.shape[1])]
    manifest = pb.ModelManifest(
        name="table",
        version=1,
        task=pb.TASK_REGRESSION,
        targets=[f"y{place}" for place in range(answers.shape[1])],
        inputs=[pb.TensorSpec(name="x", datatype="FP32", shape=[-1, rows.shape[1]])],
        outputs=[pb.TensorSpec(name="y", datatype="FP32", shape=[-1, answers.shape[1]])],
        columns=[pb.Column(name=name) for name in names],
        features=[pb.Feature(name=name, column=name) for name in names],
    )
    trained_on(rows, answers)(manifest)
    return manifest
