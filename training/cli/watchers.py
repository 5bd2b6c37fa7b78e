"""How a run is told while it goes on: a bar in a terminal, JSON lines, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from rich.console import Console

from training.cli.output import Output
from training.data.dataset import Dataset
from training.data.objective.loss_function import LossFunction
from training.fitting.fit import FitState
from training.fitting.record import Record
from training.pipelines.progress import ProgressBar
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe


@contextmanager
def watching(recipe: Recipe, output: Output) -> Iterator[Watcher]:
    """The watcher for a style of output, for the length of a run."""
    if output.style == "text":
        with ProgressBar(recipe, Console(stderr=True)) as bar:
            yield bar
    else:
        yield JsonLines(recipe, output) if output.style == "json" else Watcher()


class JsonLines(Watcher):
    """One object for the table, each warning, each evaluation on the validation rows, and each step after the fit."""

    def __init__(self, recipe: Recipe, output: Output) -> None:
        self._recipe, self._output = recipe, output
        self._metric = LossFunction.of(recipe.task).metric
        self._last: Record | None = None
        self._phase = "fit"

    def on_prepared(self, dataset: Dataset) -> None:
        """The table."""
        self._tell_table("prepared", dataset, self._recipe)

    def on_refit(self, dataset: Dataset, recipe: Recipe) -> None:
        """The rows of the refit."""
        self._phase = "refit"
        self._tell_table("refit", dataset, recipe)

    def on_warning(self, text: str) -> None:
        """A warning."""
        self._output.tell_object("warning", text=text)

    def on_step(self, state: FitState) -> None:
        """The evaluation, if this step ended with one."""
        if state.history and state.history[-1] != self._last:
            self._tell_evaluation(state.history[-1], state.candidate, state.members, without_promise=state.is_teaching)

    def on_evaluation(self, record: Record, *, ended: bool) -> None:
        """An evaluation while a published version learns on."""
        del ended  # the last evaluation is told as the others are
        if record != self._last:
            self._tell_evaluation(record)

    def on_message(self, text: str) -> None:
        """A step after the fit."""
        self._output.tell_object("step", text=text)

    def _tell_table(self, event: str, dataset: Dataset, recipe: Recipe) -> None:
        train, validation = len(dataset.train), len(dataset.validation)
        if recipe.validation_trains:
            train, validation = train + validation, 0
        self._output.tell_object(
            event,
            model=recipe.model.name,
            source=dataset.source,
            inputs=list(dataset.input_names),
            train_rows=train,
            validation_rows=validation,
            test_rows=len(dataset.test),
            out_of_fold=recipe.validation_trains,
            warnings=list(dataset.warnings),
        )

    def _tell_evaluation(
        self,
        record: Record,
        candidate: int | None = None,
        members: tuple[int, int] | None = None,
        *,
        without_promise: bool = False,
    ) -> None:
        """Candidates and members are counted from 1, as in the text of the progress."""
        self._last = record
        self._output.tell_object(
            "evaluation",
            phase=self._phase,
            candidate=None if candidate is None else candidate + 1,
            members=None if members is None else [members[0] + 1, members[1]],
            without_promise=without_promise,
            metric=self._metric,
            **asdict(record),
        )
