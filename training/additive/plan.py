"""The fit of a recipe with ``additive = true``: its rows, its start, its curves, and what judges them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from kan_model import KAN
from kan_model.network.transform import InputTransform, OutputTransform
from training.additive.families import AMOUNTS, CLASSES, COUNTS, SQUARES, TWO_CLASSES, Family
from training.additive.network import covariances_of, network_of
from training.additive.pairs.fit import PairFit
from training.additive.pairs.sides import sides_of
from training.additive.pairs.told import tell_pairs
from training.additive.rows import TermRows
from training.additive.solution import Problem, Solution, answers_out_of_fold, solve
from training.additive.start import column_names, columns_of_numbers, groups_of, rows_that_train
from training.additive.sums import scale_weights
from training.additive.terms import Terms, terms_of
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.objective.loss import loss, score
from training.data.preparation import fitted_loss, samples
from training.data.samples import Samples, check_samples
from training.data.split import RowNumbers
from training.ensemble.folds import deal_folds
from training.ensemble.plan import deal_rows
from training.errors import FitRefused
from training.fitting.fit import FitState, TrainingDiverged
from training.fitting.record import Record
from training.publishing.metrics import score_rows
from training.recipe.config import Recipe

_MOST_COEFFICIENTS = 6000
_FOLDS = 5
# A node of a pair whose part of the answers is less than this share of their standard deviation is left out.
_LEAST_NODE = 1e-3
_FAMILIES = {"squared_error": SQUARES, "poisson": COUNTS, "gamma": AMOUNTS}


@dataclass(frozen=True)
class AdditiveFit:
    """How the curves of a recipe are fitted. All rows of the training and the validation part train, but of weight 0.

    Attributes:
        recipe: With ``additive = true`` in [network].
        dataset: The table.
        outputs: What stands behind the network.
        kan: The network before the fit.
        numbers: Row numbers of the rows that train.
        rows: These rows.
    """

    recipe: Recipe
    dataset: Dataset
    outputs: OutputTransform
    kan: KAN
    numbers: RowNumbers
    rows: Samples

    @classmethod
    def of(
        cls, recipe: Recipe, dataset: Dataset, inputs: InputTransform, outputs: OutputTransform, kan: KAN
    ) -> "AdditiveFit":
        """Prepare the fit.

        Raises:
            FitRefused: rows or targets are not finite in the network's type, or there are too many columns.
        """
        numbers = rows_that_train(dataset)
        rows = samples(dataset, numbers, inputs, outputs, kan.dtype)
        check_samples(kan, rows, dataset.task, "training")
        return cls(recipe, dataset, outputs, kan, numbers, rows)

    def begin(self) -> FitState:
        """The state before the fit."""
        return FitState(kan=self.kan, best=self.kan)

    def steps(self, state: FitState) -> Iterator[FitState]:
        """Fit all curves in one step; a state of a fit that ended has none left."""
        if state.stage:
            return
        task, rows = fitted_loss(self.dataset, self.outputs), self.rows
        network, (judging, judged) = self._network, self._out_of_fold
        with torch.no_grad():
            train_loss = float(loss(task, network(rows.x), rows.y, rows.weights))
        some = rows.take(judging)
        state.kan = state.best = network
        state.best_loss = float(loss(task, judged.to(network.dtype), some.y, some.weights))
        validation_score = score(task, judged.to(network.dtype), some.y, some.weights)
        state.history.append(Record(network.layers[0].grid_size, 1, train_loss, state.best_loss, validation_score))
        state.stage = 1
        yield state

    def network(self, state: FitState) -> KAN:
        """The curves as a network."""
        return state.best

    def chosen(self, state: FitState) -> Recipe:  # noqa: ARG002 - a search chooses
        """The recipe."""
        return self.recipe

    def notes(self, state: FitState) -> list[str]:  # noqa: ARG002 - other fits diverge
        """How many curves there are, and how much they bend."""
        terms, fitted = self._solution.rows.terms, self._solution.curves
        degrees = ", ".join(f"{chosen.degrees:.1f}" for chosen in fitted.chosen)
        several = " by output" if len(fitted.chosen) > 1 else ""
        weighted = "" if self._problem.weights is None else f", which weigh as {self._effective_rows:.0f}"
        end = "" if fitted.is_settled else "; the Newton steps ended before the loss settled"
        without_room = 0 if self._pairs is None else self._pairs.without_room
        pairs = tell_pairs(self.recipe.network.pairs, terms.pairs, self._network, without_room, _MOST_COEFFICIENTS)
        return [
            f"additive: {_count(len(terms.curves), 'curve')} and {_count(len(terms.lines), 'line')}{pairs}; effective "
            f"degrees of freedom{several}: {degrees} for {len(self.numbers)} rows{weighted}{end}"
        ]

    def out_of_fold(self, state: FitState) -> tuple[RowNumbers, Numbers]:  # noqa: ARG002 - a protocol's
        """Answers by curves that were fitted without the row's fold, with the λs of the whole fit."""
        judging, judged = self._out_of_fold
        return self.numbers[judging.numpy()], self.outputs(judged).numpy()

    def left_out(self, state: FitState) -> None:
        """None: there are no members."""

    def apart(self, state: FitState) -> None:
        """None: no rows are left out of the fit."""

    def metrics(self, state: FitState) -> dict[str, float]:
        """The scores of the out-of-fold answers, in place of those of the validation rows, which train."""
        scores = score_rows(self.dataset, *self.out_of_fold(state))
        return {f"validation_{name}": value for name, value in scores.items()}

    def covariances(self, state: FitState) -> Tensor:  # noqa: ARG002 - a protocol's
        """Of the coefficients of each edge, by the penalised likelihood (Wood 2006, section 4.8)."""
        terms, rows = self._solution.rows.terms, self._effective_rows
        found = [
            covariances_of(terms, chosen.inverse, chosen.noise(rows, self._family.score))
            for chosen in self._solution.curves.chosen
        ]
        # The curves of two classes are one curve, halved.
        return torch.stack([found[0] / 4, found[0] / 4] if self._family is TWO_CLASSES else found)

    @property
    def _family(self) -> Family:
        if self.dataset.task == "classification":
            return TWO_CLASSES if len(self.dataset.classes) == 2 else CLASSES
        return _FAMILIES[self.recipe.task.objective]

    @cached_property
    def _problem(self) -> Problem:
        y, classes = self.rows.y, len(self.dataset.classes)
        if self.dataset.task == "classification":
            # The score of two classes is the logarithm of the odds of the second one.
            y = y[:, None] if classes == 2 else one_hot(y, classes)
        weights = None if self.rows.weights is None else scale_weights(self.rows.weights.double())
        return Problem(self._family, y.double(), weights, self._folds)

    @property
    def _effective_rows(self) -> float:
        weights = self._problem.weights
        return len(self.numbers) if weights is None else float(weights.sum())

    @cached_property
    def _folds(self) -> Tensor:
        """The fold of each row that trains."""
        groups = self.dataset.groups
        most = len(self.numbers) if groups is None else len(np.unique(groups[self.numbers]))
        if most < 2:  # Nothing is left to fit without the only group.
            return torch.from_numpy(deal_folds(_FOLDS, self.dataset.y[self.numbers], self.recipe.fit.seed))
        return torch.from_numpy(deal_rows(self.recipe, self.dataset, self.numbers, min(_FOLDS, most)))

    @cached_property
    def _solution(self) -> Solution:
        with _no_finite_fit():
            return self._curves if self._pairs is None else self._pairs.whole

    @cached_property
    def _curves(self) -> Solution:
        """The curves alone."""
        x = self.rows.x.double()
        terms = terms_of(self.kan.layers[0], x, groups_of(self.dataset))
        _check_size(terms)
        return solve(TermRows.of(terms, x), self._problem)

    @cached_property
    def _pairs(self) -> PairFit | None:
        """The pairs beside them; None: none are wanted."""
        if not (count := self.recipe.network.pairs):
            return None
        rows = self._curves.rows
        sides = sides_of(rows, column_names(self.dataset), columns_of_numbers(self.dataset))
        return PairFit(self._curves, self._problem, sides, count, _MOST_COEFFICIENTS - rows.coefficients)

    @cached_property
    def _network(self) -> KAN:
        rows, coefficients = self._solution.rows, self._solution.curves.coefficients
        least = (_LEAST_NODE * rows.answers(coefficients).std(dim=0)).tolist() if rows.terms.pairs else ()
        return network_of(rows.terms, coefficients, self.kan.dtype, self._ways, least)

    @cached_property
    def _out_of_fold(self) -> tuple[Tensor, Tensor]:
        """Places of the rows, and the outputs of the network to them."""
        with _no_finite_fit():
            pairs = self._pairs
            answers = answers_out_of_fold(self._curves, self._problem) if pairs is None else pairs.answers_out_of_fold()
        return torch.arange(len(answers)), answers @ self._ways.T

    @property
    def _ways(self) -> Tensor:
        """``[outputs, outputs of the fit]``; the score of two classes is the difference of theirs."""
        if self._family is TWO_CLASSES:
            return torch.tensor([[-0.5], [0.5]], dtype=torch.float64)
        return torch.eye(self._problem.targets.shape[1], dtype=torch.float64)


@contextmanager
def _no_finite_fit() -> Iterator[None]:
    try:
        yield
    except ArithmeticError as error:
        raise TrainingDiverged(f"the additive model has no finite fit: {error}; wanted scaled targets") from None


def _check_size(terms: Terms) -> None:
    if (coefficients := terms.raw.shape[1]) > _MOST_COEFFICIENTS:
        raise FitRefused(
            f"an additive model is for at most {_MOST_COEFFICIENTS} coefficients, and "
            f"{_count(len(terms.curves), 'curve')} on {terms.layer.grid_size} intervals and "
            f"{_count(len(terms.lines), 'line')} have {coefficients}; wanted fewer columns or intervals"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
