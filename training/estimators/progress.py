"""How a fit goes: a bar for a person, records for callbacks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from training.data.dataset import Dataset
from training.fitting.fit import FitState
from training.fitting.record import Record
from training.pipelines.progress import ProgressBar
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe


@contextmanager
def watching(recipe: Recipe, is_shown: bool, callbacks: Sequence[Callable[[Record], None]]) -> Iterator[Watcher]:
    """What hears of a fit inside the `with` block.

    Args:
        recipe: That the fit follows.
        is_shown: Whether a person is told, on stderr.
        callbacks: Called after each evaluation, with its record.
    """
    if not is_shown:
        yield _Callbacks(Watcher(), callbacks)
        return
    with ProgressBar(recipe, Console(stderr=True)) as bar:
        yield _Callbacks(bar, callbacks)


class _Callbacks(Watcher):
    """Calls back, and hands on what it hears."""

    def __init__(self, to: Watcher, callbacks: Sequence[Callable[[Record], None]]) -> None:
        self._to, self._callbacks = to, callbacks
        self._last: Record | None = None

    def on_prepared(self, dataset: Dataset) -> None:
        """Hand on."""
        self._to.on_prepared(dataset)

    def on_message(self, text: str) -> None:
        """Hand on."""
        self._to.on_message(text)

    def on_evaluation(self, record: Record, *, ended: bool) -> None:
        """Call back, but for the end, which was an evaluation before."""
        self._to.on_evaluation(record, ended=ended)
        if not ended:
            self._call(record)

    def on_step(self, state: FitState) -> None:
        """Call back once for each record."""
        self._to.on_step(state)
        if state.history and (record := state.history[-1]) is not self._last:
            self._last = record
            self._call(record)

    def _call(self, record: Record) -> None:
        for callback in self._callbacks:
            callback(record)
