"""The fit of a recipe with [ensemble]: its rows, its start, its steps, its network."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from kan_model import KAN, mean_network
from kan_model.network.transform import InputTransform, OutputTransform
from training.calibration import LeftOutRows
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.preparation import fitted_loss, new_network, samples
from training.data.samples import check_samples
from training.data.split import RowNumbers
from training.ensemble.fit import (
    DealtRows,
    answers_of_members,
    begin_members,
    fit_members,
    in_fold_answers,
    out_of_fold_answers,
)
from training.ensemble.folds import deal_folds
from training.ensemble.side_by_side import separate
from training.ensemble.start import standardize
from training.ensemble.two_values import straighten_two_valued
from training.fitting.apart import Apart, ApartRows
from training.fitting.fit import FitState
from training.fitting.grids import first_grid
from training.fitting.state import note_divergence, restart
from training.publishing.metrics import EXPLAINED, MEMBER, score_rows
from training.recipe.config import Recipe


@dataclass(frozen=True)
class EnsembleFit:
    """How the members of one recipe are fitted.

    Attributes:
        recipe: With [ensemble].
        dataset: The table.
        inputs: What stands before the network.
        outputs: What stands behind it.
        numbers: Row numbers of the rows that may train, those of the training part first.
        rows: These rows, and the member that leaves each out.
    """

    recipe: Recipe
    dataset: Dataset
    inputs: InputTransform
    outputs: OutputTransform
    numbers: RowNumbers
    rows: DealtRows

    @classmethod
    def of(
        cls, recipe: Recipe, dataset: Dataset, inputs: InputTransform, outputs: OutputTransform, dtype: torch.dtype
    ) -> "EnsembleFit":
        """Deal the rows of the training and the validation part.

        Raises:
            FitRefused: rows or targets are not finite in this type.
        """
        assert recipe.ensemble is not None
        numbers = np.concatenate([dataset.train, dataset.validation])
        members = most_members(recipe, dataset)
        folds = torch.from_numpy(deal_rows(recipe, dataset, numbers, members))
        rows = DealtRows(samples(dataset, numbers, inputs, outputs, dtype), folds, members)
        return cls(recipe, dataset, inputs, outputs, numbers, rows)

    def some(self, first: int, end: int) -> "EnsembleFit":
        """The fit of only the members from ``first`` to before ``end``."""
        return replace(self, rows=replace(self.rows, first=first, members=end - first))

    def begin(self) -> FitState:
        """The state before the first step. Member m starts from the seed of the recipe plus m."""
        if not self.recipe.is_taught:
            return self._begin(self.recipe)
        network = self.recipe.network.model_copy(update={"monotone": {}})
        return self._begin(self.recipe.model_copy(update={"network": network}), is_teaching=True)

    def _begin(self, recipe: Recipe, *, is_teaching: bool = False) -> FitState:
        plan, x = recipe.fit, self.rows.samples.x
        hidden, first = self._hidden_grid, plan.grids[0]
        coarse = first if hidden is None else min(hidden, first)
        members = []
        for index in range(self.rows.first, self.rows.first + self.rows.members):
            seed = plan.seed + index
            member = new_network(self.dataset, recipe, self.inputs, seed=seed, grid_size=coarse)
            check_samples(member, self.rows.samples, self.dataset.task, "training")
            start = first_grid(member, first, x, recipe.adapt, only_inputs=hidden is not None)
            members.append(standardize(start, x))
        if recipe.intervals is None and not is_teaching:
            return begin_members(members)
        count, outputs = self.rows.members, members[0].width[-1]
        apart = Apart.begin(count, len(self.rows.judging), outputs, x)
        if is_teaching:
            apart.lessons = x.new_full((len(x), count, outputs), math.nan)
        return begin_members(members, apart)

    @property
    def _hidden_grid(self) -> int | None:
        assert self.recipe.ensemble is not None
        return self.recipe.ensemble.hidden_grid

    def steps(self, state: FitState) -> Iterator[FitState]:
        """As :func:`training.ensemble.fit.fit_members`; of a monotone recipe after a fit without the promise."""
        if state.is_teaching:
            yield from self._fit(state, self.rows)
            restart(state, self._begin_taught(state))
        yield from self._fit(state, replace(self.rows, lessons=state.lessons))

    def share_done(self, state: FitState) -> float:
        """The share of the steps that are done."""
        plan = self.recipe.fit
        done = (state.stage + state.step / plan.steps) / len(plan.grids)
        if not self.recipe.is_taught:
            return done
        return done / 2 if state.is_teaching else (1 + done) / 2

    def _begin_taught(self, free: FitState) -> FitState:
        """The start with the promise, and what the free members answer: each at the step of its fold, if it has one.

        If one of them was never better than its random start, none teaches.
        """
        start = self._begin(self.recipe)
        start.free_diverged = free.diverged
        if _all_learned(free):
            assert free.apart is not None
            assert free.apart.lessons is not None
            known, best = free.apart.lessons, answers_of_members(free.best, self.rows)
            start.lessons = torch.where(known.isnan(), best, known)
        return start

    def _fit(self, state: FitState, rows: DealtRows) -> Iterator[FitState]:
        return fit_members(
            state,
            rows,
            self.recipe.fit,
            fitted_loss(self.dataset, self.outputs),
            self.recipe.adapt,
            only_inputs=self._hidden_grid is not None,
        )

    def network(self, state: FitState) -> KAN:
        """The mean of the best members, as one network; edges from inputs that take two values are straight."""
        return straighten_two_valued(mean_network(separate(state.best, self.rows.members)), self.rows.samples.x)

    def chosen(self, state: FitState) -> Recipe:  # noqa: ARG002 - a search chooses
        """The recipe whose keys the network was fitted by."""
        return self.recipe

    def notes(self, state: FitState) -> list[str]:
        """On which grids the numbers were not finite, and whether nobody taught monotone members."""
        untaught = self.recipe.is_taught and not state.is_teaching and state.lessons is None
        alone = (
            "targets alone taught the monotone members: the fit without the promise was no better than its random "
            "start, or an older kan-train began this one"
        )
        return note_divergence(state) + ([alone] if untaught else [])

    def out_of_fold(self, state: FitState) -> tuple[RowNumbers, Numbers]:
        """Numbers of the rows that may train, and the answers ``[rows, outputs]`` of the members that left them out."""
        answered = out_of_fold_answers(state.best, self.rows)
        return self.numbers[self.rows.judging.numpy()], self.outputs(answered.double()).numpy()

    def apart(self, state: FitState) -> ApartRows:
        """The answers that intervals are made from; of a recipe with [intervals]."""
        assert state.apart is not None
        judging = self.rows.judging
        is_known = ~torch.isnan(state.apart.answers).any(dim=1)
        answered = self.outputs(state.apart.answers[is_known].double()).numpy()
        numbers, folds = self.numbers[judging.numpy()], self.rows.folds[judging].numpy()
        known, none = is_known.numpy(), np.empty(0, dtype=np.int64)
        return ApartRows(numbers[known], answered, folds[known], none)

    def left_out(self, state: FitState) -> LeftOutRows:  # noqa: ARG002 - a search has a winner
        """The rows that may train, and the member that left each out."""
        judging, none = self.rows.judging, np.empty(0, dtype=np.int64)
        return LeftOutRows(self.numbers[judging.numpy()], self.rows.folds[judging].numpy(), none)

    def metrics(self, state: FitState) -> dict[str, float]:
        """The scores of single members, never of their mean.

        Those of the out-of-fold answers have the names of the metrics of the validation rows. Beside them is how well
        members know rows that they trained on.
        """
        held_out, learned = (
            score_rows(self.dataset, self.numbers, self.outputs(answered.double()).numpy())
            for answered in (out_of_fold_answers(state.best, self.rows), in_fold_answers(state.best, self.rows))
        )
        own = {f"{MEMBER}{name}": value for name, value in learned.items() if name in EXPLAINED}
        return {f"validation_{name}": value for name, value in held_out.items()} | own

    def covariances(self, state: FitState) -> None:
        """None: an optimizer does not tell them."""


def _all_learned(free: FitState) -> bool:
    """Whether what each member answers is of one of its steps, not of its random start."""
    assert free.apart is not None
    is_better = torch.tensor(any(record.validation_loss <= free.best_loss for record in free.history))
    return bool(torch.where(free.apart.losses.isinf(), is_better, free.apart.steps > 0).all())


def most_members(recipe: Recipe, dataset: Dataset) -> int:
    """The members of the recipe, or fewer: each has to leave out a row, or a group."""
    assert recipe.ensemble is not None
    numbers = np.concatenate([dataset.train, dataset.validation])
    folds = len(numbers) if dataset.groups is None else len(np.unique(dataset.groups[numbers]))
    return min(recipe.ensemble.members, folds)


def deal_rows(recipe: Recipe, dataset: Dataset, numbers: RowNumbers, members: int) -> RowNumbers:
    """The fold of each row, 0 to ``members`` - 1: as [split] says stretches of time, whole groups, or single rows."""
    if recipe.split.kind == "time":
        # The rows are in order of their time; a fold is a stretch of time, since neighbours in time are alike.
        return np.arange(len(numbers)) * members // len(numbers)
    groups = None if dataset.groups is None else dataset.groups[numbers]
    return deal_folds(members, dataset.y[numbers], recipe.fit.seed, groups)
