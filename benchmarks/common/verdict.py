"""A number and its bounds."""

import math
from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True)
class Verdict:
    """One number and its bounds.

    Attributes:
        network: Name of the network; for the server: the front end.
        what: Name of the number.
        rows: The rows that it was measured on.
        measured: The number; for a time, from medians.
        must: The bound that must hold.
        at_most: True if the bounds are upper bounds.
        aim: The bound that is aimed at; None: there is none.
        by_minima: For a time, the number from minima; else None.
        policy: The network's policy outside the domain; "" for the server.
    """

    network: str
    what: str
    rows: str
    measured: float
    must: float
    _: KW_ONLY
    at_most: bool
    aim: float | None = None
    by_minima: float | None = None
    policy: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether there is a number; NaN is none."""
        return not math.isnan(self.measured)

    def keeps(self, bound: float) -> bool:
        """Whether the bound holds, by medians and by minima. It does not hold for NaN (nothing was measured)."""
        values = (self.measured,) if self.by_minima is None else (self.measured, self.by_minima)
        return all(value <= bound if self.at_most else value >= bound for value in values)
