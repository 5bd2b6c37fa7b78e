"""Hold the ONNX graph against the network in float64, everywhere a client's rows can lie."""

import copy
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.onnx_runtime import run
from kan_model.transform import Affine, InputTransform, OutputTransform, Softmax
from training.errors import TrainingError

_ROWS_PER_REGION = 2048
# Here float32 itself limits what any graph can do (docs/decisions/0002-far-outside.md): errors are relative to the
# sum of the last layer's edge outputs without their signs, and classes are judged before the softmax.
_FAR = "outside, one feature up to 1e6"
Rows32 = NDArray[np.float32]
Values64 = NDArray[np.float64]


class VerificationFailed(TrainingError):
    """The graph differs from float64 by more than the tolerance; it is not published."""


@dataclass(frozen=True)
class Verification:
    """The largest differences found.

    Attributes:
        max_abs_error: In the output's own unit, inside the domain.
        max_relative_error: Relative to the output's range on the training rows; outside the domain relative to the
            larger of that range and the output itself.
        region: Where the largest relative error lies.
        rows: Rows compared.
    """

    max_abs_error: float
    max_relative_error: float
    region: str
    rows: int


def verify(
    model: onnx.ModelProto,
    kan: KAN,
    inputs: InputTransform,
    outputs: OutputTransform,
    training_rows: Rows32,
    tolerance: float,
) -> Verification:
    """Compare onnxruntime with torch in float64, both fed the same float32 rows.

    Args:
        model: The graph.
        kan: The network it was lowered from.
        inputs: What stands before the network.
        outputs: What stands behind it.
        training_rows: ``[rows, features]``, raw, NaN where missing.
        tolerance: Bound on the relative error.

    Raises:
        VerificationFailed: a larger error, or NaN on one side only; the message names the region.
    """
    reference = _Reference(kan, inputs, outputs)
    filled = reference.filled(training_rows)
    scale = _scale(outputs, reference(filled))
    regions = _regions(reference, filled, training_rows)
    abs_error, worst, where = 0.0, 0.0, "nowhere"
    for region, rows in regions.items():
        if region == _FAR:
            got = run(_before_softmax(model) if isinstance(outputs, Softmax) else model, rows)
            wanted, size = reference.terms(rows)
        else:
            got = run(model, rows)
            wanted = size = reference(rows)
        if not np.array_equal(np.isnan(got), np.isnan(wanted)):
            raise VerificationFailed(f"{region}: NaN in the graph where float64 has none, or the other way round")
        error = np.nan_to_num(np.abs(got - wanted))
        outside = region.startswith("outside")
        relative = float((error / (np.maximum(scale, np.nan_to_num(np.abs(size))) if outside else scale)).max())
        abs_error = abs_error if outside else max(abs_error, float(error.max()))
        if not relative <= worst:
            worst, where = relative, region
    if not worst <= tolerance:
        raise VerificationFailed(
            f"the graph differs from float64 by {worst:.2g} of the output's range ({where}); wanted {tolerance:g} or "
            f"less; change [verify] tolerance and go on with --resume, or train with fewer intervals or scaled inputs"
        )
    return Verification(abs_error, worst, where, sum(map(len, regions.values())))


def _scale(outputs: OutputTransform, answers: Values64) -> Values64:
    """What errors are relative to, for each output.

    The range of the answers to the training rows, but never less than the unit that they are read in: 1 for a
    probability, the target's standard deviation for a number. A class that is never likely, or a network that
    learned a constant, has hardly a range (docs/decisions/0003-scale-of-errors.md).
    """
    unit = np.float64(1.0) if isinstance(outputs, Softmax) else outputs.scale.astype(np.float64)
    scale: Values64 = np.maximum(np.ptp(answers, axis=0), unit)
    return scale


def _before_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, ending one node earlier."""
    shorter = copy.deepcopy(model)
    softmax = shorter.graph.node.pop()
    shorter.graph.output[0].name = softmax.input[0]
    return shorter


class _Reference:
    """Network and transforms in float64."""

    def __init__(self, kan: KAN, inputs: InputTransform, outputs: OutputTransform) -> None:
        self.kan, self.inputs, self.outputs = copy.deepcopy(kan).double(), inputs, outputs

    def __call__(self, rows: Rows32) -> Values64:
        with torch.no_grad():
            result: Values64 = self.outputs(self.kan(self.inputs(torch.from_numpy(rows).double()))).numpy()
        return result

    def terms(self, rows: Rows32) -> tuple[Values64, Values64]:
        """The answers before any softmax, and how large the numbers are that were summed to them."""
        with torch.no_grad():
            x = self.inputs(torch.from_numpy(rows).double())
            for layer in self.kan.layers[:-1]:
                x = layer(x)
            edges = self.kan.layers[-1].edge_outputs(x)
            answers, size = edges.sum(dim=2), edges.abs().sum(dim=2)
            if isinstance(self.outputs, Affine):
                answers, size = self.outputs(answers), size * torch.from_numpy(self.outputs.scale).double()
        return answers.numpy(), size.numpy()

    def filled(self, rows: Rows32) -> Rows32:
        """The rows with imputed values in the place of NaN."""
        if self.inputs.imputed is None:
            return rows
        return np.where(np.isnan(rows), self.inputs.imputed, rows)

    def raw(self, scaled: Values64) -> Values64:
        """Raw features for network inputs."""
        return scaled / self.inputs.scale + self.inputs.center


def _regions(reference: _Reference, filled: Rows32, training_rows: Rows32) -> dict[str, Rows32]:
    """Rows to compare, by where they lie; the same for the same network and data."""
    random = np.random.default_rng(0)
    first = reference.kan.layers[0]
    knots = reference.raw(first.all_knots().numpy().T)
    low, high = reference.raw(first.domain.numpy().T)
    middle, half = (low + high) / 2, (high - low) / 2
    count, features = _ROWS_PER_REGION, filled.shape[1]
    feature = np.arange(count) % features
    inside = low + (high - low) * random.random((count, features))
    far = inside.copy()
    # One feature at a time: where several large terms cancel, float32 itself has lost the answer.
    signs = random.choice([-1.0, 1.0], count)
    far[np.arange(count), feature] = signs * 10 ** random.uniform(1, 6, count)
    missing = inside.copy()
    missing[np.arange(count), feature] = np.nan
    inner_knots = knots[first.degree : len(knots) - first.degree]
    regions = {
        "training rows": filled[:count],
        "missing values": np.concatenate([training_rows[:count], missing]),
        "inside the domain": inside,
        "on knots": _mix(random, inner_knots, count),
        "at the ends of the domain": _mix(random, np.stack([low, high]), count),
        "outside, up to 3 domains": middle + 3 * half * random.uniform(-1, 1, (count, features)),
        "outside, on knots beyond the domain": _mix(random, knots, count),
        _FAR: far,
    }
    return {name: rows.astype(np.float32) for name, rows in regions.items()}


def _mix(random: np.random.Generator, choices: Values64, count: int) -> Values64:
    """Rows whose every feature is one of its own ``choices`` ([choices, features])."""
    picks = random.integers(len(choices), size=(count, choices.shape[1]))
    return np.take_along_axis(choices, picks, axis=0)
