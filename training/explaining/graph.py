"""The graph of attribution.onnx, and its comparison with the same rule in torch and float64."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from kan_model.analysis.contributions import Contributions, contributions
from kan_model.lowering.attribution import INPUT_NAMES, OUTPUT_NAMES, attribution_model, bytes_per_row
from kan_model.lowering.checks.regions import FAR, INSIDE, TABLE, rows_by_region
from kan_model.lowering.checks.scale import scale_of_errors
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax
from kan_model.onnx_runtime import open_session
from training.explaining.reference_row import ReferenceRow

Rows32 = NDArray[np.float32]
Values64 = NDArray[np.float64]
NAME = "attribution.onnx"
# The memory for the intermediate values of one run.
_MAX_BYTES = 64 * 1024**2
_ROWS_PER_REGION = 64
# The graph with float32 products is kept if it leaves a margin, since other rows than the compared ones have larger
# errors. Far outside it need not: hardly any row is there, and the largest numbers decide the error.
_MARGIN = 1 / 2
# Answers and baselines are float32: each is rounded by up to half a spacing, and so is the sum behind it in the graph.
_SPACINGS = 2


@dataclass(frozen=True)
class VerifiedAttribution:
    """The graph and how it was made.

    Attributes:
        model: The graph.
        reference: The reference row.
        explains_scores: The explained values are the scores before a softmax.
        max_rows: Most rows of a run.
        max_relative_error: The largest error found, relative to the larger of the output's range and the sum of the
            row's absolute contributions. Of answers, baselines and their sum it is what exceeds two float32 spacings.
    """

    model: onnx.ModelProto
    reference: ReferenceRow
    explains_scores: bool
    max_rows: int
    max_relative_error: float


def verified_attribution(
    kan: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    reference: ReferenceRow,
    training_rows: Rows32 | None,
    tolerance: float,
) -> VerifiedAttribution:
    """Make the graph, with float32 products if they are exact enough, else all in float64.

    Enough is half of the tolerance, far outside the tolerance itself.

    Args:
        kan: The network.
        inputs: What stands before it.
        outputs: What stands behind it.
        reference: The reference row.
        training_rows: ``[rows, features]``, raw, NaN for a gap; None: they are not available.
        tolerance: Bound on the error.

    Returns:
        The graph and its largest error, which may be above the tolerance: the caller decides.
    """
    regions = rows_by_region(kan, inputs, training_rows, _ROWS_PER_REGION)
    if isinstance(outputs, Exponential):
        # An error of a logarithm is a relative one of the answer, and far outside no float32 has digits left for it.
        regions = {region: rows for region, rows in regions.items() if region != FAR}
    compared = _Compared(kan, inputs, outputs, reference, regions)
    made = []
    for in_float64 in (False, True):
        model = attribution_model(kan, inputs, outputs, reference.column_of, in_float64=in_float64)
        max_rows = max(1, _MAX_BYTES // bytes_per_row(kan, in_float64=in_float64))
        near, far = compared.errors_of(model, min(_ROWS_PER_REGION, max_rows))
        made.append(
            VerifiedAttribution(
                model, reference, isinstance(outputs, Softmax), max_rows, max_relative_error=max(near, far)
            )
        )
        if near <= _MARGIN * tolerance and far <= tolerance:
            break
    return min(made, key=lambda each: each.max_relative_error)


def attribution_message(made: VerifiedAttribution | None) -> pb.AttributionGraph | None:
    """The manifest's description of the graph; None without a graph."""
    if made is None:
        return None
    return pb.AttributionGraph(
        reference=made.reference.values,
        from_histograms=made.reference.from_histograms,
        columns=made.reference.columns,
        explains_scores=made.explains_scores,
        max_rows=made.max_rows,
        max_relative_error=made.max_relative_error,
    )


class _Compared:
    """Rows, reference rows, and the float64 contributions of both ways to give reference rows."""

    def __init__(
        self,
        kan: KAN,
        inputs: InputTransform | None,
        outputs: OutputTransform | None,
        reference: ReferenceRow,
        regions: Mapping[str, Rows32],
    ) -> None:
        self._column_of = torch.tensor(reference.column_of)
        self._columns = len(reference.columns)
        self._cases: list[tuple[str, Rows32, Rows32, Contributions]] = []
        for region, rows in regions.items():
            # One reference row for all, and another row as the reference of each. Far outside it is a row inside: of
            # two rows at 1e6 float32 keeps no digit of what differs.
            others = regions[INSIDE] if region == FAR else rows
            for own in (reference.values[None], np.roll(others, 1, axis=0)):
                wanted = contributions(kan, torch.from_numpy(rows), torch.from_numpy(own), inputs, outputs)
                self._cases.append((region, rows, own, wanted))
        first = TABLE[0] if TABLE[0] in regions else next(iter(regions))
        answers = self._cases[2 * list(regions).index(first)][3].explained.numpy()
        self._scale = scale_of_errors(outputs if isinstance(outputs, Affine) else None, answers)

    def errors_of(self, model: onnx.ModelProto, block_rows: int) -> tuple[float, float]:
        """The largest error of contributions, explained values, baselines, or of their sum; and that far outside."""
        session = open_session(model)
        worst = {False: 0.0, True: 0.0}
        for region, rows, own, wanted in self._cases:
            runs = []
            for start in range(0, len(rows), block_rows):
                part = slice(start, start + block_rows)
                feed = dict(zip(INPUT_NAMES, (rows[part], own if len(own) == 1 else own[part]), strict=True))
                runs.append(session.run_named(OUTPUT_NAMES, feed))
            got, explained, baseline = (np.concatenate(parts).astype(np.float64) for parts in zip(*runs, strict=True))
            error = self._error(wanted, got, explained, baseline[: len(own)], is_outside=region.startswith("outside"))
            worst[region == FAR] = max(worst[region == FAR], error)
        return worst[False], worst[True]

    def _error(
        self, wanted: Contributions, got: Values64, explained: Values64, baseline: Values64, *, is_outside: bool
    ) -> float:
        summed = torch.zeros(*wanted.inputs.shape[:2], self._columns, dtype=torch.float64)
        by_column = summed.index_add(2, self._column_of, wanted.inputs).numpy()
        answers, baselines = wanted.explained.numpy(), wanted.baseline.numpy()
        size = np.abs(by_column).sum(axis=2)
        if is_outside:
            # float32 rounds large answers by more than the share of a range.
            size = np.maximum(size, np.maximum(np.abs(answers), np.abs(baselines)))
        # For example, float32 spaces targets of 1010 to 1018 by 6e-5, which is 8e-6 of their range.
        rounding = _SPACINGS * _spacing(np.maximum(np.abs(answers), np.abs(baselines)))
        with np.errstate(invalid="ignore"):  # ∞ − ∞; these answers are not compared.
            errors = [
                np.abs(got - by_column).max(axis=2),
                np.maximum(np.abs(explained - answers) - rounding, 0),
                np.maximum(np.abs(baseline - baselines) - rounding, 0),
                np.maximum(np.abs(got.sum(axis=2) - (explained - baseline)) - rounding, 0),
            ]
        # Not compared: NaN, poles, and answers beyond float32. 0 · NaN of an edge may reach other answers of its row.
        is_compared = (np.maximum(size, np.abs(answers)) < np.finfo(np.float32).max).all(axis=1)
        if not is_compared.any():
            return 0.0
        relative = np.stack(errors)[:, is_compared] / np.maximum(self._scale, size[is_compared])
        return float(np.nan_to_num(relative, nan=np.inf).max())


def _spacing(values: Values64) -> Values64:
    """From each value to the next float32; values beyond float32 have that of 1.7e38."""
    with np.errstate(invalid="ignore"):
        spacing: Values64 = np.spacing(np.minimum(values, np.finfo(np.float32).max / 2).astype(np.float32))
    return spacing.astype(np.float64)
