"""The work of a search, counted in steps and not in seconds: the same rows give the same formula on any machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The fit of one function to the curve of an edge costs as much as so many steps of an edge.
STEPS_OF_A_FUNCTION = 20


class WorkSpent(Exception):
    """The next piece of work does not fit into the budget."""


class Work:
    """Counts the work of a search, and ends it where the budget is spent.

    The unit is one edge in one step of least squares. Steps are counted as planned: a fit that converges early counts
    as if it had taken all of its steps.

    Args:
        most: The budget.
        check: Called at each piece of work; it may raise to end the search at once.

    Attributes:
        done: The work so far.
        is_spent: Whether some piece of work did not fit into the budget.
    """

    def __init__(self, most: float, check: Callable[[], None]) -> None:
        self._most, self._limit, self._check = most, most, check
        self.done = 0.0
        self.is_spent = False

    @property
    def share(self) -> float:
        """The share of the budget that is used; 0 of one without a bound."""
        return self.done / self._most

    def add(self, steps: float, edges: int = 1) -> None:
        """Count a piece of work before it is done.

        Raises:
            WorkSpent: it does not fit into the budget.
        """
        self._check()
        if self.done + steps * edges > self._limit:
            self.is_spent = True
            raise WorkSpent
        self.done += steps * edges

    @contextmanager
    def up_to(self, share: float) -> Iterator[None]:
        """The block may bring the work to this share of the budget; it ends where that is spent."""
        before, self._limit = self._limit, share * self._most
        try:
            yield
        except WorkSpent:
            pass
        finally:
            self._limit = before
