"""Watchers of training runs that print nothing."""

from training.data.dataset import Dataset
from training.fitting.fit import FitState
from training.fitting.record import Record
from training.pipelines.watcher import Watcher


class Quiet(Watcher):
    """Keeps what a run tells, and may interrupt the fit.

    Args:
        stop_after: The step that is ended by KeyboardInterrupt; None for none.
    """

    def __init__(self, stop_after: int | None = None) -> None:
        self.steps, self.stop_after = 0, stop_after
        self.warnings: tuple[str, ...] = ()
        self.evaluations: list[tuple[Record, bool]] = []

    def on_prepared(self, dataset: Dataset) -> None:
        self.warnings = dataset.warnings

    def on_step(self, state: FitState) -> None:
        self.steps += 1
        if self.steps == self.stop_after:
            raise KeyboardInterrupt

    def on_evaluation(self, record: Record, *, ended: bool) -> None:
        self.evaluations.append((record, ended))
