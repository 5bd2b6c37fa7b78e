"""Lower an image network: for each layer, measure every strategy that applies and keep the fastest exact enough."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_model.lowering.checks.reference import Comparison, Reference
from kan_model.lowering.choose.report import LayerReport, LoweringError, Report
from kan_model.lowering.choose.search import SCREENING_ROWS, Option, Search, applicable_strategies, combine, screen
from kan_model.lowering.choose.timing import LARGEST_BLOCK, preferred_rows, seconds_by_rows
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.images.as_convolution import AsConvolution
from kan_model.lowering.images.network import image_model
from kan_model.lowering.images.reference import ImageReference
from kan_model.lowering.strategies.in_blocks import InBlocks, part_counts
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import KANLayer
from kan_model.network.transform import InputTransform, OutputTransform
from kan_model.onnx_graph import check
from kan_model.vision.geometry import MOST_UNROLLED
from kan_model.vision.image_kan import ImageKAN
from kan_model.vision.unroll import unroll, unrolled_size

_TIMED_ROWS = 1024
# The strategies that are tried with Conv, and in parts for groups: the first ones, which are fastest for coarse grids.
_FASTEST = 2


@dataclass(frozen=True)
class LoweredImage:
    """An ONNX model and how it was made.

    Attributes:
        model: float32 ``features`` [rows, channels · height · width] -> one float32 output [rows, outputs].
        report: The strategies tried for each layer, convolutions first.
        preferred_rows: Number of rows per run at which a row takes the least time; 0: not measured.
    """

    model: onnx.ModelProto
    report: Report
    preferred_rows: int

    @property
    def strategies(self) -> tuple[str, ...]:
        """Name of each layer's strategy, first layer first."""
        return tuple(layer.strategy for layer in self.report.layers)


def lower_image(
    image: ImageKAN,
    *,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
    tolerance: float = 1e-5,
    tune_for: Sequence[int] = (1, 32, 1024),
    strategies: Sequence[Strategy] = STRATEGIES,
    training_rows: NDArray[np.float32] | None = None,
    scale: NDArray[np.float64] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> LoweredImage:
    """Write the network as a graph of standard operators (opset 17), as :func:`kan_model.lowering.lower` does.

    The graph is compared with the equal flat network in float64 on rows of all kinds. For max pooling and for more than
    2²³ flat coefficients it is compared with the image network itself, but on no rows far outside the domain.

    Args:
        image: The network, on the CPU.
        inputs: As for :func:`kan_model.lowering.lower`; no gap inputs.
        outputs: As there.
        tolerance: As there.
        tune_for: As there; whole graphs are timed.
        strategies: As there. Each is tried with sums of shifted sums, the first two with Conv too.
        training_rows: As there.
        scale: As there.
        metadata: As there.

    Raises:
        LoweringError: numbers that are not finite, gap inputs, or no strategy within the tolerance.
    """
    _check(image, inputs, tolerance)
    reference = _reference(image, inputs, outputs, training_rows, scale)
    search = _ImageSearch(image, inputs, outputs, reference)
    layers = screen(search, [_candidates(image, index, strategies) for index in range(len(search.layers))], tolerance)
    if tune_for:
        standing = [options[0].strategy for options in layers]
        for index, options in enumerate(layers):
            layers[index] = _timed(search, standing, index, options, tune_for)
            standing[index] = layers[index][0].strategy
    chosen, error = combine(search, layers, tolerance)
    model = image_model(image, inputs, outputs, [each.strategy for each in chosen], metadata)
    check(model)
    tried = [
        LayerReport(each.strategy.name, tuple(option.candidate for option in options))
        for each, options in zip(chosen, layers, strict=True)
    ]
    rows = preferred_rows(model, reference.rows_inside(_TIMED_ROWS)) if tune_for else 0
    return LoweredImage(model, Report(tuple(tried), tolerance, error), rows)


class _ImageSearch(Search):
    """The errors of an image network for given strategies of its layers."""

    def __init__(
        self,
        image: ImageKAN,
        inputs: InputTransform | None,
        outputs: OutputTransform | None,
        reference: Reference | ImageReference,
    ) -> None:
        self.layers: Sequence[KANLayer] = [*(layer.edges for layer in image.convolutions), *image.head.layers]
        self.precision, self.images = "float32", reference
        self._image, self._inputs, self._outputs = image, inputs, outputs
        self._found = {}

    def model(self, strategies: Sequence[Strategy]) -> onnx.ModelProto:
        """The whole graph."""
        return image_model(self._image, self._inputs, self._outputs, strategies)

    def error(self, strategies: Sequence[Strategy]) -> Comparison:
        names = tuple(strategy.name for strategy in strategies)
        if names not in self._found:
            self._found[names] = self.images.compare(self.model(strategies))
        return self._found[names]


def _reference(
    image: ImageKAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    training_rows: NDArray[np.float32] | None,
    scale: NDArray[np.float64] | None,
) -> Reference | ImageReference:
    if can_unroll(image):
        flat = unroll(image)
        return Reference(
            flat, inputs, outputs, training_rows=training_rows, scale=scale, rows_per_region=SCREENING_ROWS
        )
    return ImageReference(
        image, inputs, outputs, training_rows=training_rows, scale=scale, rows_per_region=SCREENING_ROWS
    )


def can_unroll(image: ImageKAN) -> bool:
    """Whether there is an equal flat network of a size that is compared with."""
    has_max = any(layer.geometry.pool == "max" for layer in image.convolutions)
    return not has_max and unrolled_size(image) <= MOST_UNROLLED


def _candidates(image: ImageKAN, index: int, strategies: Sequence[Strategy]) -> Sequence[Strategy]:
    if index >= len(image.convolutions):
        return applicable_strategies(image.head.layers[index - len(image.convolutions)], index, strategies, "float32")
    layer = image.convolutions[index].edges
    found = applicable_strategies(layer, index, strategies, "float32")
    conv = [AsConvolution(each) for each in found[:_FASTEST] if each.has_product]
    parts = [InBlocks(each, count) for each in found[:_FASTEST] for count in part_counts(layer)]
    # The last one is where the search stands at first: a plain strategy, the most exact.
    return [*conv, *parts, *found]


def _timed(
    search: _ImageSearch,
    standing: Sequence[Strategy],
    index: int,
    options: Sequence[Option],
    tune_for: Sequence[int],
) -> list[Option]:
    """The options within the bound by the time of the whole graph, the fastest first; then the others."""
    good = [option for option in options if option.is_within]
    models = [search.model([*standing[:index], option.strategy, *standing[index + 1 :]]) for option in good]
    rows = search.images.rows_inside(LARGEST_BLOCK)
    seconds = seconds_by_rows(models, rows, tune_for)
    measured = [
        replace(option, candidate=replace(option.candidate, seconds=each))
        for option, each in zip(good, seconds, strict=True)
    ]
    measured.sort(key=lambda option: sum(map(math.log, option.candidate.seconds.values())))
    return measured + [option for option in options if not option.is_within]


def _check(image: ImageKAN, inputs: InputTransform | None, tolerance: float) -> None:
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise LoweringError(f"tolerance is {tolerance}; wanted a number above 0")
    if inputs is not None and inputs.gaps is not None:
        raise LoweringError("inputs have gap inputs; wanted an image, whose pixels are its only inputs")
    for name, tensor in image.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise LoweringError(f"{name} holds numbers that are not finite; wanted none")
