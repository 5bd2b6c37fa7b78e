"""Tells which rows of a file are bad and why: the first ten one by one, the others as a number."""

import re
from collections.abc import Callable, Mapping
from typing import Final

_MOST_NAMED: Final = 10
# Where the advice at the end of a message may begin: `holds "1,5", wanted a number (decimals are …)`.
_ADVICE: Final = re.compile(r"; | \(")


class BadRows:
    """The rows of one file without an answer, and those whose true value is of no use.

    Args:
        source: name of the file.
        tell: gets messages for people.

    Attributes:
        rows: rows read so far.
        unanswered: rows without an answer.
        unscored: rows with an answer whose true value is no number.
        not_finite: rows whose answer is infinite or NaN. They are told, and are not bad.
    """

    def __init__(self, source: str, tell: Callable[[str], None]) -> None:
        self._source = source
        self._tell = tell
        self._named: set[str] = set()
        self._advice: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Begin with the first row of the file. What has been told is not told again."""
        self.rows = self.unanswered = self.unscored = self.not_finite = 0

    def add(self, rows: int, unanswered: Mapping[int, str], unscored: Mapping[int, str], not_finite: int = 0) -> None:
        """Count the rows of a block, and name the first bad ones.

        Args:
            rows: number of rows of the block.
            unanswered: for each row of the block without an answer, why.
            unscored: for each row of the block with an answer that cannot be scored, why.
            not_finite: number of rows whose answer is infinite or NaN.
        """
        self.rows += rows
        self.unanswered += len(unanswered)
        self.unscored += len(unscored)
        self.not_finite += not_finite
        for _, why in sorted([*unanswered.items(), *unscored.items()]):
            if len(self._named) == _MOST_NAMED:
                return
            if why not in self._named:
                self._named.add(why)
                self._tell(self._without_told_advice(why))

    def finish(self) -> bool:
        """Tell how many rows are bad or have no finite answer, or that there are none; whether a row is bad."""
        if not self.rows:
            self._tell(f"{self._source} has no rows")
        if self.unanswered:
            self._tell(f"{self._source}: {_count(self.unanswered, self.rows)} no answer{self._rest()}")
        if self.unscored:
            self._tell(f"{self._source}: {_count(self.unscored, self.rows)} no true value that is a number")
        if self.not_finite:
            self._tell(f"{self._source}: {_count(self.not_finite, self.rows)} no finite answer")
        return bool(self.unanswered or self.unscored)

    def _without_told_advice(self, why: str) -> str:
        """The message without an end that an earlier one had too: ten rows of one mistake need its advice once."""
        starts = [found.start() for found in _ADVICE.finditer(why) if why.count('"', 0, found.start()) % 2 == 0]
        told = (start for start in starts if why[start:] in self._advice)
        short = why[: next(told, len(why))]
        self._advice |= {why[start:] for start in starts}
        return short

    def _rest(self) -> str:
        hidden = self.unanswered + self.unscored - len(self._named)
        return f"; the first {len(self._named)} bad rows are named above" if hidden > 0 else ""


def _count(bad: int, rows: int) -> str:
    return f"{bad} of {rows} rows {'has' if bad == 1 else 'have'}"
