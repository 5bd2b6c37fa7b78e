"""The fit of a recipe that starts anew: of one network, of the members of an ensemble, or of an additive model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from kan_model import KAN
from kan_model.monotone.promise import settled
from training.additive.plan import AdditiveFit
from training.additive.start import start_network
from training.calibration import LeftOutRows
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.preparation import input_transform, new_network, output_transform
from training.data.split import RowNumbers
from training.ensemble.plan import EnsembleFit
from training.fitting.apart import ApartRows
from training.fitting.fit import FitState, begin, fit_steps
from training.pipelines.fresh.enough_rows import check_rows
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe
from training.search.fit import SearchFit
from training.steps import StepData
from training.steps.advice import FOR_RECIPES, Advice
from training.steps.fit_diagnostics import diagnose_fit


class FreshFit(Protocol):
    """From the rows of a recipe to a network. Its state between two steps can be saved."""

    def begin(self) -> FitState:
        """The state before the first step."""

    def steps(self, state: FitState) -> Iterator[FitState]:
        """Fit on from the state; yields it after each step."""

    def network(self, state: FitState) -> KAN:
        """The network of a fit that ended."""

    def chosen(self, state: FitState) -> Recipe:
        """The recipe whose keys the network was fitted by: the given one, or that of a search's winner."""

    def notes(self, state: FitState) -> list[str]:
        """What a person should know of the fit, for terminal and report.

        Raises:
            TrainingDiverged: the fit is of no use.
        """

    def out_of_fold(self, state: FitState) -> tuple[RowNumbers, Numbers] | None:
        """Row numbers, and answers to these rows by networks that did not train on them; None: there are none."""

    def apart(self, state: FitState) -> ApartRows | None:
        """Answers of networks to rows that neither trained, stopped nor chose them; None: there are none."""

    def left_out(self, state: FitState) -> LeftOutRows | None:
        """Rows that one of the members did not train on, and none of which chose the plan; None: there are none."""

    def metrics(self, state: FitState) -> dict[str, float]:
        """Metrics that replace those of the same name, which the published network gives on the rows of a part."""

    def covariances(self, state: FitState) -> Tensor | None:
        """``[outputs, inputs, functions, functions]``, of the coefficients of each edge; None: not known."""


def new_fit(recipe: Recipe, dataset: Dataset, advice: Advice = FOR_RECIPES) -> tuple[FreshFit, StepData]:
    """The fit that the recipe asks for, and the rows as its network sees them.

    Args:
        recipe: The recipe.
        dataset: Its rows.
        advice: What notes and errors advise to their reader.

    Raises:
        DataError: float32 cannot scale a column, or the rows do not allow the grids.
        FitRefused: rows or targets are not finite in the network's type.
        IntervalsFailed: there are too few rows for [intervals].
    """
    check_rows(recipe, dataset)
    inputs = input_transform(dataset, recipe.inputs.scaling)
    is_additive = recipe.network.additive
    kan = start_network(recipe, dataset, inputs) if is_additive else new_network(dataset, recipe, inputs)
    table = replace(StepData.of(dataset, inputs, output_transform(dataset), kan.dtype), advice=advice)
    return fresh_fit(recipe, kan, table), table


def follow(way: FreshFit, state: FitState, watcher: Watcher) -> Iterator[FitState]:
    """Fit on from the state; yields it after each step, which the watcher has heard of."""
    told = len(state.blocks)
    for each in way.steps(state):
        watcher.on_step(each)
        for block in each.blocks[told:]:
            watcher.on_message(block.text)
        told = len(each.blocks)
        yield each


def fresh_fit(recipe: Recipe, kan: KAN, table: StepData) -> FreshFit:
    """As :func:`new_fit`, for a network and rows that are there already.

    Args:
        recipe: With or without [ensemble], [search] and ``additive = true``.
        kan: A new network.
        table: The rows.
    """
    if recipe.network.additive:
        return AdditiveFit.of(recipe, table.dataset, table.inputs, table.outputs, kan)
    if recipe.ensemble is None:
        return SingleFit(recipe, kan, table)
    several = EnsembleFit if recipe.search is None else SearchFit
    return several.of(recipe, table.dataset, table.inputs, table.outputs, kan.dtype)


@dataclass(frozen=True)
class SingleFit:
    """One network; the validation rows choose its best step."""

    recipe: Recipe
    kan: KAN
    table: StepData

    def begin(self) -> FitState:
        """As :class:`FreshFit` says, and the others too."""
        return begin(self.kan, self.recipe.fit, self.table.train, self.recipe.adapt)

    def steps(self, state: FitState) -> Iterator[FitState]:
        """As :func:`training.fitting.fit.fit_steps`."""
        recipe, table = self.recipe, self.table
        return fit_steps(state, table.train, table.validation, recipe.fit, table.loss, recipe.sparsify, recipe.adapt)

    def network(self, state: FitState) -> KAN:
        """The network with the lowest loss on the validation rows."""
        return settled(state.best)

    def chosen(self, state: FitState) -> Recipe:  # noqa: ARG002 - a protocol's
        """The recipe."""
        return self.recipe

    def notes(self, state: FitState) -> list[str]:
        """How the fit compares with its start."""
        return diagnose_fit(state, self.kan, self.recipe.fit, self.table)

    def out_of_fold(self, state: FitState) -> None:
        """None: all rows are of one part."""

    def apart(self, state: FitState) -> None:
        """None: the validation rows choose."""

    def left_out(self, state: FitState) -> None:
        """None: there are no members."""

    def metrics(self, state: FitState) -> dict[str, float]:  # noqa: ARG002 - a protocol's
        """None: the published network did not train on the validation rows."""
        return {}

    def covariances(self, state: FitState) -> None:
        """None: an optimizer does not tell them."""
