"""Compare the ONNX graphs with the network in float64, on all kinds of rows that a client can send."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model import KAN
from kan_model.lowering.checks.reference import Comparison, Reference
from kan_model.monotone.promise import keeps_direction
from kan_model.network.transform import Exponential, InputTransform, Intervals, OutputTransform
from kan_model.onnx_runtime import open_session
from training.errors import TrainingError

Rows32 = NDArray[np.float32]
Values64 = NDArray[np.float64]
# The explaining graph is slower, about as many times as there are outputs, so only every 16th row is compared.
_EXPLAINED_EVERY = 16
# Rows of each region on which bounds are compared; their cost is that of one more operator.
_BOUNDED_ROWS = 512


class VerificationFailed(TrainingError):
    """The graph differs from float64 by more than the tolerance; it is not published."""


class ExplanationDiffers(VerificationFailed):
    """The answers are within the tolerance, and those or the edges of the graph that explains are not."""


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
    intervals: Intervals | None = None,
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
        intervals: The bounds that the graph has as further outputs; they have the same tolerance.

    Returns:
        The largest errors.

    Raises:
        ExplanationDiffers: a larger error of ``explained`` alone.
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
    if intervals is not None:
        _check_bounds(model, Bounded(inputs, outputs, intervals), reference, tolerance)
    return Verification(found, reference.scale)


def _check_explained(explained: onnx.ModelProto, reference: Reference, tolerance: float, rows: int) -> None:
    answers = reference.compare(explained, every=_EXPLAINED_EVERY, block_rows=rows)
    error = max(answers.max_relative_error, reference.compare_edges(explained, block_rows=rows))
    if not error <= tolerance:
        raise ExplanationDiffers(
            f"the graph that explains differs from float64 by {error:.2g} of the range; wanted {tolerance:g} or less"
        )


@dataclass(frozen=True)
class Bounded:
    """The bounds of answers, with the transforms of the network."""

    inputs: InputTransform | None
    outputs: OutputTransform | None
    intervals: Intervals

    def around(self, answers: Rows32, rows: Rows32) -> tuple[Values64, Values64]:
        """The lower and the upper bounds in float64, ``[rows, outputs]`` each, around answers of the graph."""
        with torch.no_grad():
            x = torch.from_numpy(rows).double()
            x = x if self.inputs is None else self.inputs(x)
            scale = self.intervals.scale
            exact = replace(self.intervals, scale=None if scale is None else copy.deepcopy(scale).double())
            lower, upper = exact(torch.from_numpy(answers).double(), x)
        return lower.numpy(), upper.numpy()


def _check_bounds(model: onnx.ModelProto, bounded: Bounded, reference: Reference, tolerance: float) -> None:
    """Refuse bounds that do not hold the answer between them, or differ from float64 by more than the tolerance.

    They are compared with the exact bounds around the graph's own answers, which are right already.
    """
    session = open_session(model)
    for region, rows, read in reference.rows_of_regions(_BOUNDED_ROWS):
        answers, *got = session.run(rows)
        lower, upper = got
        if ((lower > answers) | (answers > upper)).any():
            raise VerificationFailed(f"an answer of the graph is not between its bounds ({region})")
        wanted = bounded.around(answers, read)
        # Relative to the larger bound, of which the other is a difference.
        size = np.maximum(reference.scale, np.maximum(*np.abs(wanted)))
        for name, answered, expected in zip(("lower", "upper"), got, wanted, strict=True):
            if isinstance(bounded.outputs, Exponential):
                # The scale is a range of logarithms.
                size = reference.scale * np.abs(expected if bounded.intervals.kind == "log" else wanted[1])
            worst = _largest_error(answered, expected, size)
            if not worst <= tolerance:
                raise VerificationFailed(
                    f"the bound {name} differs from float64 by {worst:.2g} of the output's range ({region}); wanted "
                    f"{tolerance:g} or less"
                )


def _largest_error(answered: Rows32, expected: Values64, size: Values64) -> float:
    """The largest error of bounds that float32 can hold, relative to their size; infinite if one side alone is NaN."""
    if (np.isnan(answered) != np.isnan(expected)).any():
        return np.inf
    is_known = np.abs(expected) < np.finfo(np.float32).max
    error = np.abs(answered[is_known] - expected[is_known]) / np.maximum(size[is_known], np.finfo(np.float32).tiny)
    return float(error.max(initial=0.0))


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
