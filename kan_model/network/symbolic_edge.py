"""An edge that is a formula instead of a spline."""

import math
from dataclasses import dataclass

from kan_model.network.functions import FUNCTIONS


@dataclass(frozen=True)
class SymbolicEdge:
    """The edge c·f(a·x + b) + d from one node to another.

    Attributes:
        output: Index of the node that the edge feeds.
        input: Index of the node that the edge reads.
        function: Name of f in :data:`kan_model.network.functions.FUNCTIONS`.
        a: Factor of the argument.
        b: Shift of the argument.
        c: Factor of the function.
        d: Shift of the function.

    Source: arXiv 2404.19756, section 2.5.1.
    """

    output: int
    input: int
    function: str
    a: float
    b: float
    c: float
    d: float

    def __post_init__(self) -> None:
        """Refuse an edge that cannot be computed.

        Raises:
            ValueError: a function that the library lacks, or a number that is not finite.
        """
        where = f"symbolic edge from input {self.input} to output {self.output}"
        if self.function not in FUNCTIONS:
            raise ValueError(f"{where}: function is {self.function!r}; wanted one of {', '.join(FUNCTIONS)}")
        for name, value in zip("abcd", self.affine, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"{where}: {name} is {value}; wanted a finite number")

    @property
    def affine(self) -> tuple[float, float, float, float]:
        """a, b, c, d."""
        return self.a, self.b, self.c, self.d
