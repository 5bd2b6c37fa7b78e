"""What a strategy is: one way to write the splines of a layer as standard ops."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """Functions of single inputs and what they weigh in each output: ``Σ value · weight``.

    Attributes:
        value: ``[rows, columns·inputs]``, the inputs innermost.
        weight: ``[columns, inputs, outputs]``, rounded to float32 when it is written.
        low, high: Between what the functions lie, whatever the input.
    """

    value: str
    weight: Weights
    low: float
    high: float


@dataclass(frozen=True)
class Columns:
    """Splines as fixed functions of the inputs times weights: a MatMul sums them.

    Attributes:
        terms: Their sum is the splines.
        constant: ``[inputs, outputs]``, what remains to be added on each edge.
    """

    terms: tuple[Term, ...]
    constant: Weights


@dataclass(frozen=True)
class Gathered:
    """Splines as a polynomial on each edge, whose coefficients are looked up for each row.

    Attributes:
        powers: ``[rows, inputs, degree + 1]``.
        coefficients: ``[rows, inputs, (degree + 1)·outputs]``, the outputs innermost.
    """

    powers: str
    coefficients: str


Splines = Columns | Gathered


class Strategy(Protocol):
    """One way to write the splines of a layer; it neither knows the base branch nor the sum on the nodes."""

    @property
    def name(self) -> str:
        """As it stands in the manifest."""
        ...

    @property
    def has_product(self) -> bool:
        """Whether the sums are a product with fixed weights, which may then be of another number format."""
        ...

    def applies(self, layer: KANLayer) -> bool:
        """Whether the layer's grids and its policy outside the domain allow it, and its size makes it sensible."""
        ...

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Splines:
        """Write the functions of the value ``x`` ([rows, inputs]) that the layer's splines are made of."""
        ...
