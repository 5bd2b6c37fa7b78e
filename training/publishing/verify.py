"""Hold the ONNX graphs against the network in float64, everywhere a client's rows can lie."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.checks.reference import Comparison, Reference
from kan_model.network.transform import InputTransform, OutputTransform
from training.errors import TrainingError

Rows32 = NDArray[np.float32]
Values64 = NDArray[np.float64]
# Explaining takes as many times longer as there are outputs.
_EXPLAINED_EVERY = 16


class VerificationFailed(TrainingError):
    """The graph differs from float64 by more than the tolerance; it is not published."""


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        errors: The largest differences.
        scale: ``[outputs]``, what they are relative to.
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
    """Compare onnxruntime with torch in float64, both fed the same float32 rows.

    Args:
        model: The graph.
        kan: The network it was lowered from.
        inputs: What stands before the network.
        outputs: What stands behind it.
        training_rows: ``[rows, features]``, raw, NaN where missing; None where they are not at hand.
        tolerance: Bound on the relative error.
        explained: The graph that gives edges too; its edges are held to the same bound, on fewer rows.
        explained_rows: Rows a run of it, which bounds the memory.
        scale: ``[outputs]``, what errors are relative to; needed where the training rows are not at hand.

    Raises:
        VerificationFailed: a larger error, or NaN on one side only; the message names the region.
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
