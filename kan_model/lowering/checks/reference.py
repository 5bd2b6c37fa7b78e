"""Compare an ONNX graph with the network in float64, on all kinds of rows that a client can send."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_model.lowering.checks.edge_error import edge_error
from kan_model.lowering.checks.logarithms import exceed_float32, largest_error, take_logarithms
from kan_model.lowering.checks.regions import ENDS, FAR, INSIDE, KNOTS, OUTSIDE, TABLE, Rows32, Values64, rows_by_region
from kan_model.lowering.checks.rounding import float32_edge_errors, float32_error, is_steep, propagate
from kan_model.lowering.checks.scale import scale_of_errors
from kan_model.lowering.checks.terms import size_of_terms, sum_edges
from kan_model.lowering.checks.unread import find_unread
from kan_model.lowering.emit.pruned import remove_pruned
from kan_model.network.network import KAN, on_cpu
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax, count_features
from kan_model.onnx_graph import remove_last_node
from kan_model.onnx_runtime import Session, open_session

# Rows whose edges are held at once; bounds the memory.
_EDGE_ROWS = 64


@dataclass(frozen=True)
class Comparison:
    """The largest errors of a graph.

    Attributes:
        max_abs_error: The largest error inside the domain, in the output's unit.
        max_relative_error: The largest error relative to the output's scale. Outside the domain: relative to the scale
            or to the output itself, whichever is larger. Infinite if only one side is NaN and the other must not be.
        region: The region of the largest relative error.
        rows: Number of rows compared.
    """

    max_abs_error: float
    max_relative_error: float
    region: str
    rows: int


@dataclass(frozen=True)
class _Wanted:
    """The float64 answers to the rows of one region.

    Attributes:
        answers: ``[rows, outputs]``. In the far region of a classifier: logits instead of probabilities. Of a network
            whose last step is exp: logarithms.
        size: ``[rows, outputs]``, the size of the answers. Outside the domain errors may be relative to it.
        may_be_nan: ``[rows, outputs]``, True where a graph may give NaN: in a dense product a pruned edge adds
            0 · NaN = NaN.
        float32_error: ``[rows, outputs]``, the error that float32 alone can cause, subtracted from a graph's error.
    """

    answers: Values64
    size: Values64
    may_be_nan: NDArray[np.bool_]
    float32_error: Values64

    def every_nth(self, step: int) -> "_Wanted":
        """Of every ``step``-th row."""
        return _Wanted(self.answers[::step], self.size[::step], self.may_be_nan[::step], self.float32_error[::step])


class Reference:
    """Rows of all kinds and the network's float64 answers to them.

    Attributes:
        scale: ``[outputs]``, the divisor of errors.
    """

    def __init__(
        self,
        kan: KAN,
        inputs: InputTransform | None = None,
        outputs: OutputTransform | None = None,
        *,
        training_rows: Rows32 | None = None,
        scale: Values64 | None = None,
        rows_per_region: int = 2048,
    ) -> None:
        """Compute all answers once; :meth:`compare` then compares graphs with them.

        Args:
            kan: The network.
            inputs: The transform of the inputs; None: there is none.
            outputs: The transform of the outputs; None: there is none.
            training_rows: ``[rows, features]``, raw, NaN for a gap; None: there are no such regions.
            scale: ``[outputs]``; None: the range of the answers to the training rows, or to rows inside the domain.
            rows_per_region: Number of rows of each region.
        """
        kan = on_cpu(kan)
        self._exp = isinstance(outputs, Exponential)
        outputs = outputs.logarithm if isinstance(outputs, Exponential) else outputs
        self._kan, self._inputs, self._outputs = copy.deepcopy(kan).double(), inputs, outputs
        self._softmax = isinstance(outputs, Softmax)
        self._left = remove_pruned(kan)
        self._unread = find_unread(self._left.nodes[0], count_features(kan.width[0], inputs), inputs)
        self._regions = rows_by_region(self._kan, inputs, training_rows, rows_per_region)
        self._wanted = {region: self._answers(region, rows) for region, rows in self._regions.items()}
        first = next(iter(self._wanted.values()))
        self.scale = scale_of_errors(outputs, first.answers) if scale is None else scale

    def compare(self, model: onnx.ModelProto, *, every: int = 1, block_rows: int = 256) -> Comparison:
        """Run the model and find its largest errors.

        Args:
            model: Its first output is compared.
            every: Compare only every ``every``-th row.
            block_rows: Rows per run, which bounds the memory.

        Returns:
            The largest errors.
        """
        abs_error, worst, where, count = 0.0, 0.0, "nowhere", 0
        session = open_session(model)
        far_session = open_session(remove_last_node(model)) if self._softmax else session
        for region, all_rows in self._regions.items():
            rows, wanted = all_rows[::every], self._wanted[region].every_nth(every)
            count += len(rows)
            blocks = _blocks(rows, block_rows)
            got = np.concatenate([(far_session if region == FAR else session).run(block)[0] for block in blocks])
            answered, got = got, take_logarithms(got) if self._exp else got
            # Answers beyond the range of float32 are not compared.
            beyond = np.abs(np.nan_to_num(wanted.size, nan=0.0)) > np.finfo(np.float32).max
            beyond |= np.isinf(wanted.float32_error) | (self._exp & exceed_float32(wanted.answers))
            missing, expected = np.isnan(got), np.isnan(wanted.answers)
            if np.any((expected & ~missing | missing & ~expected & ~wanted.may_be_nan) & ~beyond):
                return Comparison(np.inf, np.inf, f"{region}: NaN on one side only", count)
            with np.errstate(invalid="ignore"):  # ∞ − ∞; these answers are beyond float32.
                error = np.nan_to_num(np.abs(got - wanted.answers) - wanted.float32_error, nan=0.0, posinf=np.inf).clip(
                    min=0
                )
            error[beyond] = 0.0
            outside = region.startswith("outside")
            size = np.maximum(self.scale, np.nan_to_num(np.abs(wanted.size))) if outside else self.scale
            relative = float((error / size).max())
            if not outside:
                largest = largest_error(answered, wanted.answers, beyond) if self._exp else float(error.max())
                abs_error = max(abs_error, largest)
            if not relative <= worst:
                worst, where = relative, region
        return Comparison(abs_error, worst, where, count)

    def compare_edges(self, model: onnx.ModelProto, *, block_rows: int = 256) -> float:
        """The largest error of an explaining model's edges, relative to the largest edge or the range of their sum."""
        session = open_session(model)
        return max(self._compare_region_edges(session, region, block_rows) for region in (INSIDE, KNOTS, ENDS, OUTSIDE))

    def _compare_region_edges(self, session: Session, region: str, block_rows: int) -> float:
        rows = self._regions[region][:_EDGE_ROWS]
        runs = [session.run(block)[1:] for block in _blocks(rows, block_rows)]
        worst = 0.0
        x = torch.from_numpy(rows).double()
        with torch.no_grad():
            x = x if self._inputs is None else self._inputs(x)
            inherent = float32_edge_errors(self._kan, x)
            for layer, left, some, *got in zip(self._kan.layers, self._left.sums, inherent, *runs, strict=True):
                wanted = layer.edge_outputs(x)[:, left].numpy()
                sums = layer.sums_of(x)
                spare = some if region == OUTSIDE else np.where(is_steep(some), some, 0.0)
                error = edge_error(np.concatenate(got)[:, left], wanted, sums.numpy()[:, left], spare[:, left])
                x = layer.nodes_of(sums)
                worst = np.inf if not error >= 0 else max(worst, float(error))
        return worst

    def rows_of_regions(self, count: int) -> Iterator[tuple[str, Rows32, Rows32]]:
        """Each region's name, at most ``count`` of its raw rows, and these with 0 in features that no edge reads."""
        for region, rows in self._regions.items():
            some = rows[:: -(-len(rows) // count)]
            yield region, some, np.where(self._unread, np.float32(0), some)

    def rows_inside(self, count: int) -> Rows32:
        """Raw rows inside the domain, ``[count, features]``."""
        rows = self._regions[INSIDE]
        return np.resize(rows, (count, rows.shape[1]))

    def hidden_rows(self, layer: int, count: int) -> Rows32:
        """The inputs ``[count, inputs]`` of layer ``layer`` for rows inside the network's domain."""
        x = torch.from_numpy(self._regions[INSIDE]).double()
        with torch.no_grad():
            x = x if self._inputs is None else self._inputs(x)
            for each in self._kan.layers[:layer]:
                x = each(x)
        return np.resize(x.numpy().astype(np.float32), (count, x.shape[1]))

    def _answers(self, region: str, rows: Rows32) -> _Wanted:
        with torch.no_grad():
            # A feature that no edge reads is set to 0, so that its NaN does not spread through 0 · NaN.
            x = torch.from_numpy(np.where(self._unread, np.float32(0), rows)).double()
            x = x if self._inputs is None else self._inputs(x)
            if region == FAR:
                answers, size = self._terms(x)
                return _Wanted(answers, size, np.isnan(answers), self._float32_error(region, x))
            answers = self._apply_outputs(self._kan(x))
            missing = np.isnan(answers)
            broken = np.flatnonzero(missing.any(axis=1))
            for start in range(0, len(broken), _EDGE_ROWS):
                part = broken[start : start + _EDGE_ROWS]
                answers[part] = self._apply_outputs(propagate(self._kan, x[part])[1])
            return _Wanted(answers, answers, missing, self._float32_error(region, x))

    def _float32_error(self, region: str, x: torch.Tensor) -> Values64:
        """The error that float32 alone can cause: 0 for training rows, inside the domain only at steep places."""
        if region in TABLE:
            return np.zeros((len(x), self._kan.width[-1]))
        inherent = float32_error(self._kan, x, self._outputs)
        if not region.startswith("outside"):
            inherent = np.where(is_steep(inherent), inherent, 0.0)
        if self._softmax and region != FAR:
            # A probability changes by less than the largest change of a logit, whichever logit that is.
            inherent = np.broadcast_to(inherent.max(axis=1, keepdims=True), inherent.shape)
        return inherent

    def _terms(self, x: torch.Tensor) -> tuple[Values64, Values64]:
        """The answers before any softmax, and for each answer the sum of its terms' absolute values."""
        *others, last = self._kan.layers
        for layer in others:
            x = layer(x)
        answers, size = [], []
        for part in torch.split(x, _EDGE_ROWS):
            edges = last.edge_outputs(part)
            answers.append(last.nodes_of(sum_edges(last, edges)))
            size.append(last.nodes_of(size_of_terms(last, edges)))
        total, absolute = torch.cat(answers), torch.cat(size)
        if isinstance(self._outputs, Affine):
            total, absolute = self._outputs(total), absolute * torch.from_numpy(self._outputs.scale).double()
        return total.numpy(), absolute.numpy()

    def _apply_outputs(self, y: torch.Tensor) -> Values64:
        result: Values64 = (y if self._outputs is None else self._outputs(y)).numpy()
        return result


def _blocks(rows: Rows32, size: int) -> Iterator[Rows32]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
