"""A number and its bounds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """One number and its bounds.

    Attributes:
        network, policy, what, rows: Which number this is; for the server, its front end stands for the network.
        measured: By medians where it is a time.
        by_minima: The same by minima; None where it is no time.
        must, aim: The bounds; None where nothing is said.
        at_most: True where the number has to stay below its bounds.
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
        """Whether the bound holds, by medians and by minima; it does not where nothing could be measured (NaN)."""
        values = (self.measured,) if self.by_minima is None else (self.measured, self.by_minima)
        return all(value <= bound if self.at_most else value >= bound for value in values)
