"""Answers to rows with known true values: what the report judges a version by."""

from dataclasses import dataclass

from training.data.encoding import Numbers
from training.data.split import RowNumbers


@dataclass(frozen=True)
class Judged:
    """Answers to rows with known true values.

    Attributes:
        which: Name of these rows on the page, such as "test rows".
        truth: The true values: int64 ``[rows]`` classes, or ``[rows, targets]`` in raw units.
        answers: ``[rows, outputs]``: probabilities, or raw predictions; finite.
        trivial: ``[rows, outputs]``, the answers of the trivial baseline: the best constant, or the class frequencies,
            of all rows but the test rows; None: not known.
        rows: ``[rows, features]``, raw; None: not known.
        weights: ``[rows]``, how much each row counts; None: all alike.
        uncalibrated: ``[rows, classes]``, the probabilities without the temperature; None: there is none.
    """

    which: str
    truth: Numbers | RowNumbers
    answers: Numbers
    trivial: Numbers | None = None
    rows: Numbers | None = None
    weights: Numbers | None = None
    uncalibrated: Numbers | None = None
