"""A number and its bounds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """One number and its bounds.

    Attributes:
        network: Name of the network; for the server: the front end.
        policy: The policy outside the domain.
        what: Name of the number.
        rows: The rows that it was measured on.
        measured: The number; for a time, from medians.
        by_minima: For a time, the number from minima; else None.
        must: The bound that must hold.
        aim: The bound that is aimed at; None: there is none.
        at_most: True if the bounds are upper bounds.
    """

    network: str
    policy: str
    what: str
    rows: str
    measured: float
    by_minima: float | None
    must: float
    aim: float | None
    at_most: bool

    def keeps(self, bound: float) -> bool:
        """Whether the bound holds, by medians and by minima. It does not hold for NaN (nothing was measured)."""
        values = (self.measured,) if self.by_minima is None else (self.measured, self.by_minima)
        return all(value <= bound if self.at_most else value >= bound for value in values)
