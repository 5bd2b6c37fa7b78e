"""The fit of a recipe with ``additive = true``: its rows, its start, its curves, and what judges them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from kan_model import KAN
from kan_model.network.transform import InputTransform, OutputTransform
from training.additive.families import AMOUNTS, CLASSES, COUNTS, SQUARES, TWO_CLASSES, Family
from training.additive.network import covariances_of, network_of
from training.additive.newton import Curves, fit_again, fit_family, fit_squares, fit_squares_again
from training.additive.rows import TermRows
from training.additive.start import groups_of, rows_that_train
from training.additive.sums import Sums
from training.additive.terms import Terms, terms_of
from training.additive.weights import scale_weights
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
        terms, fitted = self._terms, self._fitted
        degrees = ", ".join(f"{chosen.degrees:.1f}" for chosen in fitted.chosen)
        several = " by output" if len(fitted.chosen) > 1 else ""
        weighted = "" if self._weights is None else f", which weigh as {self._effective_rows:.0f}"
        end = "" if fitted.is_settled else "; the Newton steps ended before the loss settled"
        return [
            f"additive: {_count(len(terms.curves), 'curve')} and {_count(len(terms.lines), 'line')}; effective degrees "
            f"of freedom{several}: {degrees} for {len(self.numbers)} rows{weighted}{end}"
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
        fitted, rows = self._fitted, self._effective_rows
        found = [
            covariances_of(self._terms, chosen.inverse, chosen.noise(rows, self._family.score))
            for chosen in fitted.chosen
        ]
        # The curves of two classes are one curve, halved.
        return torch.stack([found[0] / 4, found[0] / 4] if self._family is TWO_CLASSES else found)

    @property
    def _family(self) -> Family:
        if self.dataset.task == "classification":
            return TWO_CLASSES if len(self.dataset.classes) == 2 else CLASSES
        return _FAMILIES[self.recipe.task.objective]

    @cached_property
    def _targets(self) -> Tensor:
        """``[rows, outputs of the fit]``: of two classes one column, of more one each."""
        y = self.rows.y
        if self.dataset.task != "classification":
            return y.double()
        return y[:, None].double() if len(self.dataset.classes) == 2 else one_hot(y, len(self.dataset.classes)).double()

    @cached_property
    def _weights(self) -> Tensor | None:
        return None if self.rows.weights is None else scale_weights(self.rows.weights.double())

    @property
    def _effective_rows(self) -> float:
        return len(self.numbers) if self._weights is None else float(self._weights.sum())

    @cached_property
    def _terms(self) -> Terms:
        terms = terms_of(self.kan.layers[0], self.rows.x.double(), groups_of(self.dataset))
        if terms.raw.shape[1] > _MOST_COEFFICIENTS:
            raise FitRefused(
                f"an additive model is for at most {_MOST_COEFFICIENTS} coefficients, and "
                f"{_count(len(terms.curves), 'curve')} on {terms.layer.grid_size} intervals and "
                f"{_count(len(terms.lines), 'line')} have {terms.raw.shape[1]}; wanted fewer columns or intervals"
            )
        return terms

    @cached_property
    def _term_rows(self) -> TermRows:
        return TermRows.of(self._terms, self.rows.x.double())

    @cached_property
    def _folds(self) -> Tensor:
        """The fold of each row that trains."""
        groups = self.dataset.groups
        most = len(self.numbers) if groups is None else len(np.unique(groups[self.numbers]))
        if most < 2:  # Nothing is left to fit without the only group.
            return torch.from_numpy(deal_folds(_FOLDS, self.dataset.y[self.numbers], self.recipe.fit.seed))
        return torch.from_numpy(deal_rows(self.recipe, self.dataset, self.numbers, min(_FOLDS, most)))

    @cached_property
    def _fitted(self) -> Curves:
        try:
            if self._family.is_quadratic:
                whole = [reduce(Sums.together, folds) for folds in zip(*self._fold_sums, strict=True)]
                return fit_squares(whole, self._terms.widths)
            return fit_family(self._term_rows, self._family, self._targets, self._weights)
        except ArithmeticError as error:
            raise TrainingDiverged(f"the additive model has no finite fit: {error}; wanted scaled targets") from None

    @cached_property
    def _network(self) -> KAN:
        return network_of(self._terms, self._as_outputs(self._fitted.coefficients), self.kan.dtype)

    @cached_property
    def _out_of_fold(self) -> tuple[Tensor, Tensor]:
        """Places of the rows, and the outputs of the network to them."""
        answers = torch.zeros_like(self._targets)
        for fold in range(int(self._folds.max()) + 1):
            left_out = torch.nonzero(self._folds == fold).flatten()
            answers[left_out] = self._term_rows.take(left_out).answers(self._without(fold))
        return torch.arange(len(answers)), self._as_outputs(answers)

    def _without(self, fold: int) -> Tensor:
        """The coefficients of a fit without the rows of a fold."""
        if self._family.is_quadratic:
            others = [part for place, part in enumerate(self._fold_sums) if place != fold]
            sums = [reduce(Sums.together, folds) for folds in zip(*others, strict=True)]
            return fit_squares_again(sums, self._terms.widths, self._fitted)
        rows = torch.nonzero(self._folds != fold).flatten()
        some, weights = self._term_rows.take(rows), None if self._weights is None else self._weights[rows]
        return fit_again(some, self._family, self._targets[rows], weights, self._fitted)

    @cached_property
    def _fold_sums(self) -> list[list[Sums]]:
        """The sums over the rows of each fold, for each output."""
        found = []
        for fold in range(int(self._folds.max()) + 1):
            rows = torch.nonzero(self._folds == fold).flatten()
            weights = None if self._weights is None else self._weights[rows]
            found.append(self._term_rows.take(rows).sums(self._targets[rows], weights))
        return found

    def _as_outputs(self, scores: Tensor) -> Tensor:
        """The outputs of the network ``[..., outputs]``; the score of two classes is the difference of theirs."""
        return torch.cat([-scores / 2, scores / 2], dim=-1) if self._family is TWO_CLASSES else scores


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
