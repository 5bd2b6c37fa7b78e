"""What a run has to measure or to find: a cell for each table, split and method, in an order that loses little."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.tables.cells import key_of
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.methods.peers import OF_CURVES, PEERS
from benchmarks.tables.splits import Split

METHODS = (OURS, *PEERS)
DEFAULT_METHODS = tuple(method for method in METHODS if method not in OF_CURVES)
# The peer whose answers are timed beside ours.
TIMED = "LightGBM"
# Ours is not cut off: a budget of its own ends it.
_OURS = 3600, 3600
# The slow ones come last, so that a run that is stopped has the others.
_SLOW = ("kanboost", "EBM alone", "EBM")


@dataclass(frozen=True)
class Task:
    """A cell to measure or to find.

    Attributes:
        split: The rows.
        method: "ours" or a peer's name.
        cap_seconds: The most processor seconds of a fit that is measured now.
        counted_seconds: The most of one that was measured before; a longer one counts as cut off.
        code: The key of our own code.
        leaves_model: Whether the fit's model is needed too, for the timing of answers.
    """

    split: Split
    method: str
    cap_seconds: int
    counted_seconds: int
    code: str
    leaves_model: bool = False

    @property
    def rows(self) -> str:
        """The fingerprint of the rows."""
        return self.split.fingerprint

    @property
    def identity(self) -> str:
        """Names what fits: the peer's packages, or our code."""
        return self.code if self.method == OURS else PEERS[self.method].identity

    @property
    def key(self) -> str:
        """Names all that may change the cell: the rows, and what fits."""
        return key_of([self.rows, self.identity])

    @property
    def place(self) -> tuple[str, int, str]:
        """Table, split and method."""
        return self.split.source.name, self.split.number, self.method


def plan(
    splits: Sequence[Split], methods: Sequence[str], code: str, cap_seconds: int, counted_seconds: int | None = None
) -> list[Task]:
    """Every cell of these splits and methods, the quick methods of all tables first.

    Args:
        splits: The splits of the tables.
        methods: The methods that take part.
        code: The key of our own code.
        cap_seconds: The most processor seconds of a peer's fit that is measured now.
        counted_seconds: The most of one that was measured before; None: the same.
    """
    timed = {OURS, TIMED} if {OURS, TIMED} <= set(methods) else set()
    of_peers = cap_seconds, counted_seconds or cap_seconds
    return [
        Task(split, method, *(_OURS if method == OURS else of_peers), code, leaves_model=method in timed)
        for method in sorted(methods, key=lambda method: _SLOW.index(method) if method in _SLOW else -1)
        for split in splits
    ]


def in_stages(tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks in parts that are finished one after the other.

    First what is timed together, table by table, so that a run that is stopped has the times of what it fitted; then
    all others.
    """
    by_table: dict[str, list[Task]] = {}
    for task in tasks:
        by_table.setdefault(task.split.source.name if task.leaves_model else "", []).append(task)
    rest = by_table.pop("", [])
    return [*by_table.values(), rest]
