"""Compare the ONNX graphs with the network in float64, on all kinds of rows that a client can send."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.checks.reference import Comparison, Reference
from kan_model.network.transform import Exponential, InputTransform, Intervals, OutputTransform
from kan_model.onnx_runtime import open_session
from training.errors import TrainingError

Rows32 = NDArray[np.float32]
Values64 = NDArray[np.float64]
# The explaining graph is slower, about as many times as there are outputs, so only every 16th row is compared.
_EXPLAINED_EVERY = 16
# Rows on which bounds are compared: so many inside the domain, and as many of the training rows.
_BOUNDED_ROWS = 1024


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
        rows = reference.rows_inside(_BOUNDED_ROWS)
        if training_rows is not None:
            rows = np.concatenate([rows, training_rows[:: -(-len(training_rows) // _BOUNDED_ROWS)]])
        _check_bounds(model, Bounded(kan, inputs, outputs, intervals), rows, reference.scale, tolerance)
    return Verification(found, reference.scale)


def _check_explained(explained: onnx.ModelProto, reference: Reference, tolerance: float, rows: int) -> None:
    answers = reference.compare(explained, every=_EXPLAINED_EVERY, block_rows=rows)
    error = max(answers.max_relative_error, reference.compare_edges(explained, block_rows=rows))
    if not error <= tolerance:
        raise VerificationFailed(
            f"the graph that explains differs from float64 by {error:.2g} of the range; wanted {tolerance:g} or less"
        )


@dataclass(frozen=True)
class Bounded:
    """A network whose answers have bounds, with its transforms."""

    kan: KAN
    inputs: InputTransform | None
    outputs: OutputTransform | None
    intervals: Intervals

    def bounds(self, rows: Rows32) -> tuple[Values64, Values64]:
        """The lower and the upper bounds in float64, ``[rows, outputs]`` each."""
        with torch.no_grad():
            x = torch.from_numpy(rows).double()
            x = x if self.inputs is None else self.inputs(x)
            y = copy.deepcopy(self.kan).double()(x)
            scale = self.intervals.scale
            exact = replace(self.intervals, scale=None if scale is None else copy.deepcopy(scale).double())
            lower, upper = exact(y if self.outputs is None else self.outputs(y), x)
        return lower.numpy(), upper.numpy()


def _check_bounds(model: onnx.ModelProto, bounded: Bounded, rows: Rows32, scale: Values64, tolerance: float) -> None:
    """Refuse bounds that differ from float64 by more than the tolerance."""
    wanted = bounded.bounds(rows)
    got = open_session(model).run(rows)[1:]
    for name, answered, expected in zip(("lower", "upper"), got, wanted, strict=True):
        size = np.maximum(scale, np.abs(expected))
        if isinstance(bounded.outputs, Exponential):
            # The scale is a range of logarithms. A bound that is a difference has the error of the answer.
            size = scale * np.abs(expected if bounded.intervals.kind == "log" else wanted[1])
        error = np.abs(answered - expected) / np.maximum(size, np.finfo(np.float32).tiny)
        is_amiss = np.isnan(answered) != np.isnan(expected)
        worst = np.inf if is_amiss.any() else float(np.nan_to_num(error, nan=0.0).max())
        if not worst <= tolerance:
            raise VerificationFailed(
                f"the bound {name} differs from float64 by {worst:.2g} of the output's range; wanted {tolerance:g} or "
                "less"
            )
