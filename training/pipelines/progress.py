"""How a run looks in a terminal: a bar with loss, metric, grid and time left."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from training.data.dataset import Dataset
from training.data.objective.loss_function import LossFunction
from training.fitting.fit import FitState
from training.fitting.record import Record
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe

_NAME_COLUMNS = 10


class ProgressBar(Watcher):
    """Tells a person at a terminal how the fit goes; anywhere else, one line a grid."""

    def __init__(self, recipe: Recipe, console: Console) -> None:
        self._recipe, self._console = recipe, console
        self._plan, self._loss = recipe.fit, "validation loss"
        self._steps = _count_steps(recipe)
        if self._plan.refit_with_validation:
            self._steps *= 2
        self._evaluations: list[Record] = []
        self._done = 0
        self._warnings: tuple[str, ...] = ()
        self._bar = Progress(
            # Short enough for 80 columns: what does not fit would be cut in the middle of a number.
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=6),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
        )
        name = recipe.model.name
        label = name if len(name) <= _NAME_COLUMNS else name[: _NAME_COLUMNS - 1] + "…"
        self._task = self._bar.add_task(label, total=self._steps, numbers="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_prepared(self, dataset: Dataset) -> None:
        """Say what was read, and what a person should know about it."""
        train, validation, test = len(dataset.train), len(dataset.validation), len(dataset.test)
        rows = f"{train} rows train, {validation} validate, {test} test"
        if self._recipe.validation_trains:
            # Each member leaves out a fold of its own; the validation part judges only the steps after the fit.
            which = "by one member" if self._recipe.ensemble is not None else "once to judge"
            rows = f"{train + validation} rows train, each left out {which}, {test} test"
        goal = f"{len(dataset.classes)} classes" if dataset.classes else dataset.target
        gaps = f" and {len(dataset.gaps)} that tell of gaps" if dataset.gaps else ""
        self._print(f"{dataset.source}: {len(dataset.features)} inputs{gaps} -> {goal}; {rows}")
        if dataset.dropped_rows:
            self._print(f"left out {dataset.dropped_rows} rows with missing values")
        self._warnings = dataset.warnings
        self._warn(dataset.warnings)

    def on_warning(self, text: str) -> None:
        """Print it as the warnings about the rows are."""
        self._warn((text,))

    def on_step(self, state: FitState) -> None:
        """Move the bar; at the end of a grid, leave a line, except in a search, which tells of its blocks."""
        done = state.stage * self._plan.steps + state.step
        if state.lessons is not None:
            done += self._plan.steps * len(self._plan.grids)
        if state.share_done is not None:
            done = round(state.share_done * self._steps)
        if state.share_done == 1.0 and state.step == 0:
            # The end of a search: the history is that of the last block, the loss is the winner's.
            self._bar.update(self._task, completed=done, numbers=f"best candidate: loss {state.best_loss:.4g}")
        elif state.history:
            last, kept = state.history[-1], _lowest(state.history)
            # The network before the first step has no record.
            is_start = state.best_loss < kept.validation_loss
            self._show(last, "best: the start" if is_start else f"best {self._score(kept)}", done)
            if state.step == 0 and state.share_done is None:
                start = f"{self._loss} {state.best_loss:.3g} before the first step"
                self._leave_line(last, start if is_start else self._describe_kept(kept, last), self._which_fit(state))

    def on_refit(self, dataset: Dataset, recipe: Recipe) -> None:
        """Start the bar anew, and print the warnings about all rows, unless they are those of the first fit."""
        self._plan, self._loss = recipe.fit, "out-of-fold loss"  # all rows train, each in all members but one
        self._steps = _count_steps(recipe)
        self._bar.reset(self._task, total=self._steps, numbers="")
        line = f"refit: all {len(dataset.train)} rows train now, the test rows too"
        if dataset.warnings == self._warnings:
            self._print(line + ("; the warnings are the same" if dataset.warnings else ""))
            return
        self._print(line + ("; the warnings are other ones" if dataset.warnings else "; no warning is left"))
        self._warn(dataset.warnings)

    def on_message(self, text: str) -> None:
        """Say which step after the fit begins."""
        self._print(text)

    def on_evaluation(self, record: Record, *, ended: bool) -> None:
        """Likewise for a fit of one grid, one after another; at its end, leave a line."""
        self._evaluations.append(record)
        kept = _lowest(self._evaluations)
        self._show(record, f"best {self._score(kept)}", self._done + (self._plan.steps if ended else record.step))
        if ended:
            self._done += self._plan.steps
            self._leave_line(record, self._describe_kept(kept, record))

    def on_unjudged_step(self, step: int, train_loss: float) -> None:
        """Move the bar on from where the fit before ended."""
        self._bar.update(self._task, completed=self._done + step, numbers=f"refit  loss {train_loss:.3g}")

    def _which_fit(self, state: FitState) -> str:
        """Of the two fits of monotone members; of any other fit empty."""
        if not self._recipe.is_taught:
            return ""
        return "without the promise: " if state.is_teaching else "with the promise: "

    def _show(self, last: Record, best: str, done: int) -> None:
        numbers = f"grid {last.grid_size}  loss {last.train_loss:.3g}  {best}"
        self._bar.update(self._task, completed=done, numbers=numbers)

    def _leave_line(self, last: Record, kept: str, which: str = "") -> None:
        """How the grid ended and, where an earlier network is kept, what is known of that one."""
        line = f"{which}grid {last.grid_size}  loss {last.train_loss:.3g}  {self._validated(last)}"
        self._print(f"{line}; kept: {kept}" if kept else line)

    def _describe_kept(self, kept: Record, last: Record) -> str:
        """Empty if the last network is the kept one."""
        if (kept.grid_size, kept.step) == (last.grid_size, last.step):
            return ""
        grid = "" if kept.grid_size == last.grid_size else f" on grid {kept.grid_size}"
        return f"{self._validated(kept)}{grid}"

    def _validated(self, record: Record) -> str:
        when = f"after {record.step} steps" if record.step else "before the first step"
        return f"{self._loss} {record.validation_loss:.3g}  {self._score(record)} {when}"

    def _score(self, record: Record) -> str:
        return f"{LossFunction.of(self._recipe.task).metric} {record.validation_score:.4f}"

    def _warn(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            self._print(f"warning: {warning}", style="yellow")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _count_steps(recipe: Recipe) -> int:
    """Of all grids; monotone members are fitted twice."""
    return recipe.fit.steps * len(recipe.fit.grids) * (2 if recipe.is_taught else 1)


def _lowest(records: Sequence[Record]) -> Record:
    """The record of the network that is kept: the first one with the lowest validation loss."""
    return min(records, key=lambda record: record.validation_loss)
