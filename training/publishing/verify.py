"""Compare the ONNX graphs with the network in float64, on all kinds of rows that a client can send."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model import KAN
from kan_model.lowering.checks.reference import Comparison, Reference
from kan_model.monotone.promise import keeps_direction
from kan_model.network.transform import InputTransform, OutputTransform
from training.errors import TrainingError

Rows32 = NDArray[np.float32]
Values64 = NDArray[np.float64]
# The explaining graph is slower, about as many times as there are outputs, so only every 16th row is compared.
_EXPLAINED_EVERY = 16


class VerificationFailed(TrainingError):
    """The graph differs from float64 by more than the tolerance; it is not published."""


@dataclass(frozen=True)
class Verification:
    """The result of a verification that passed.

    Attributes:
        errors: The largest errors.
        scale: ``[outputs]``, the divisor of errors.
    """

    errors: Comparison
    scale: Values64


def verify(
    model: onnx.ModelProto,
    kan: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    training_rows: Rows32 | None,
    tolerance: float,
    *,
    explained: onnx.ModelProto | None = None,
    explained_rows: int = 64,
    scale: Values64 | None = None,
) -> Verification:
    """Compare onnxruntime with torch in float64 on the same float32 rows.

    Args:
        model: The graph.
        kan: The network of the graph.
        inputs: The transform of the inputs; None: there is none.
        outputs: The transform of the outputs; None: there is none.
        training_rows: ``[rows, features]``, raw, NaN for a gap; None: the rows are not available.
        tolerance: Bound on the relative error.
        explained: The graph that also gives edges; its edges have the same bound, on fewer rows.
        explained_rows: Rows per run of ``explained``, which bounds the memory.
        scale: ``[outputs]``, the divisor of errors; needed without ``training_rows``.

    Returns:
        The largest errors.

    Raises:
        VerificationFailed: a larger error, or NaN on one side only. The message names the region.
    """
    reference = Reference(kan, inputs, outputs, training_rows=training_rows, scale=scale)
    found = reference.compare(model)
    if not found.max_relative_error <= tolerance:
        raise VerificationFailed(
            f"the graph differs from float64 by {found.max_relative_error:.2g} of the output's range "
            f"({found.region}); wanted {tolerance:g} or less"
        )
    if explained is not None:
        _check_explained(explained, reference, tolerance, explained_rows)
    return Verification(found, reference.scale)


def _check_explained(explained: onnx.ModelProto, reference: Reference, tolerance: float, rows: int) -> None:
    answers = reference.compare(explained, every=_EXPLAINED_EVERY, block_rows=rows)
    error = max(answers.max_relative_error, reference.compare_edges(explained, block_rows=rows))
    if not error <= tolerance:
        raise VerificationFailed(
            f"the graph that explains differs from float64 by {error:.2g} of the range; wanted {tolerance:g} or less"
        )


def check_promises(manifest: ModelManifest, kan: KAN) -> None:
    """Check that the network keeps, by its edges, what its manifest promises of monotone features.

    Raises:
        VerificationFailed: an answer may move the other way.
    """
    outputs = np.array([-1, 1] if len(manifest.classes) == 2 else [1] * kan.width[-1])
    for place, feature in enumerate(manifest.features):
        if feature.monotone and not keeps_direction(kan, place, outputs if feature.monotone == "up" else -outputs):
            raise VerificationFailed(
                f"{quoted(feature.name)} is promised to be monotone, and the network may move the other way; wanted "
                "edges with a direction on every path from it"
            )
