"""The interface of a strategy: one way to write the splines of a layer as standard operators."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """Functions of single inputs and their weights in each output: ``Σ value · weight``.

    Attributes:
        value: ``[rows, columns·inputs]``, the inputs innermost.
        weight: ``[columns, inputs, outputs]``, rounded to float32 when it is written.
        low: The smallest value of the functions, for every input.
        high: The largest value of the functions, for every input.
    """

    value: str
    weight: Weights
    low: float
    high: float


@dataclass(frozen=True)
class Columns:
    """Splines as fixed functions of the inputs times fixed weights: a MatMul sums them.

    Attributes:
        terms: The splines are the sum of these terms and the constant.
        constant: ``[inputs, outputs]``, added on each edge.
    """

    terms: tuple[Term, ...]
    constant: Weights


@dataclass(frozen=True)
class Gathered:
    """Splines as a polynomial on each edge, whose coefficients are read from a table for each row.

    Attributes:
        powers: ``[rows, inputs, degree + 1]``.
        coefficients: ``[rows, inputs, (degree + 1)·outputs]``, the outputs innermost.
    """

    powers: str
    coefficients: str


Splines = Columns | Gathered


class Strategy(Protocol):
    """One way to write the splines of a layer. The base branch and the sum on the nodes are written elsewhere."""

    @property
    def name(self) -> str:
        """The name in the manifest."""
        ...

    @property
    def has_product(self) -> bool:
        """True if the splines are a product with fixed weights; these can be float16 or int8."""
        ...

    def applies(self, layer: KANLayer) -> bool:
        """Whether the strategy can write the layer's grids and policy, at a sensible size."""
        ...

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Splines:
        """Write the functions of ``x`` ([rows, inputs]) that add up to the layer's splines."""
        ...
