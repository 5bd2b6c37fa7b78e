"""What both estimators share: parameters, the fit, and the answers to rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from training.data.encoding import Numbers
from training.data.table import Cells, Table
from training.estimators.chosen_recipe import Choices, Roles, choose_recipes, recipe_to_learn_on
from training.estimators.fit import fit_rows, learn_on, prepare_more_rows, prepare_rows
from training.estimators.fitted import FittedKAN
from training.estimators.notes import warn_of_lack
from training.estimators.progress import watching
from training.estimators.rows import (
    free_name,
    naming,
    read_groups,
    read_inputs,
    read_weights,
    stack,
    target_names,
    with_columns,
)
from training.estimators.seed import seed_of
from training.fitting.record import Record
from training.publishing.manifest import predict
from training.threads import torch_threads

Callback = Callable[[Record], None]
# Parameters that are a key of the recipe under the same name.
_KEYS = (
    "hidden",
    "grids",
    "steps",
    "batch_rows",
    "learning_rate",
    "weight_decay",
    "smoothness",
    "monotone",
    "pairs",
    "members",
)


class KANEstimator(FittedKAN, BaseEstimator, ABC):  # type: ignore[misc]
    """Parameters of both estimators; None: what `kan-train init` proposes for the rows.

    Args:
        hidden: Nodes of each hidden layer.
        grids: Intervals of each spline, on one grid after the other.
        steps: Epochs on each grid; iterations of lbfgs.
        batch_rows: Rows of each batch.
        learning_rate: The largest step.
        weight_decay: Holds the edges back.
        smoothness: Holds the bends of the edges back.
        monotone: ``{"age": "up", "price": "down"}``: columns with which no answer falls, or rises, in any rows;
            of two classes the probability of the second. Columns of an array are called x0, x1 and so on.
        members: Networks whose mean answers; 1: a single network, for which 15 % of the rows choose the best step.
        additive: Whether the answer shall be a sum of curves, one a column, fitted in seconds by penalised least
            squares or Newton steps. Of the other parameters of network and fit it takes ``pairs``, ``grids`` and the
            seed.
        pairs: With ``additive``: the most terms of two columns beside the curves; those weaker than noise are left out.
        search: Whether the proposed plans compete by their out-of-fold answers; else the first one is followed.
        symbolic: Whether the network shall become a formula: few nodes, pruning, functions in place of splines. If
            none is found, the fit warns and says why.
        recipe: Further keys of the recipe by section, such as ``{"network": {"outside": "decay"}}``; None in place of a
            section leaves it out.
        random_state: The seed; None is 0, so that the same rows give the same model.
        warm_start: Whether the next fit goes on with the network of the one before: what the rows touch learns on by
            ``steps``, ``batch_rows``, ``learning_rate`` and ``random_state``, and 15 % of them, or eval_set, choose the
            best step. Columns, scaling, network and knots stay, and an additive model stays a sum of curves, which the
            optimizer moves. Scores, report and version then tell of the new rows.
        verbose: Whether a bar and a line a grid tell of the fit.
        callbacks: Called after each evaluation with its :class:`training.fitting.record.Record`.
    """

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        grids: Sequence[int] | None = None,
        steps: int | None = None,
        batch_rows: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        smoothness: float | None = None,
        monotone: Mapping[str, str] | None = None,
        members: int | None = None,
        additive: bool = False,
        pairs: int | None = None,
        search: bool = True,
        symbolic: bool = False,
        recipe: Mapping[str, Mapping[str, Any] | None] | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.hidden = hidden
        self.grids = grids
        self.steps = steps
        self.batch_rows = batch_rows
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.smoothness = smoothness
        self.monotone = monotone
        self.members = members
        self.additive = additive
        self.pairs = pairs
        self.search = search
        self.symbolic = symbolic
        self.recipe = recipe
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, eval_set: Any = None) -> Self:  # noqa: N803
        """Fit all rows; none is held out as a test row.

        Args:
            X: ``[10 or more rows, columns]``: a DataFrame of numbers, words and dates, an array, or lists. Every column
                is an input. Missing cells are allowed: the model is told of them.
            y: ``[rows]``; of a regression also ``[rows, targets]``.
            sample_weight: ``[rows]``, 0 or more: how much each row counts in the loss.
            groups: ``[rows]``: rows of one group stay together, in one fold or in one part.
            eval_set: ``(X, y)``, or a list of one such pair: the validation part, as of a recipe. Of a single network
                it chooses the best step. The members of an ensemble train on it too, each without a fold.

        Raises:
            ValueError: X, y or a parameter cannot be used. The message says what was wanted.
            TypeError: X is sparse.
        """
        before = dict(vars(self))
        try:
            self._fit_table(X, y, sample_weight, groups, eval_set)
        except BaseException:
            self.__dict__ = before
            raise
        if not (self.warm_start and "_fit" in before):
            warn_of_lack(self._fit, type(self).__name__)
        return self

    def _fit_table(self, x: Any, y: Any, sample_weight: Any, groups: Any, eval_set: Any) -> None:
        before = self._fit if self.warm_start and self.__sklearn_is_fitted__() else None
        inputs = read_inputs(self, x, names=None if before is None else self._names())
        names = tuple(inputs.cells)
        targets = self._read_target(y, inputs.rows, is_known=before is not None)
        named = target_names(y, len(targets), names) if before is None else before.dataset.targets
        if len(named) != len(targets):
            raise ValueError(f"y has {len(targets)} targets, but the fit before had {len(named)}")
        columns = dict(zip(named, targets, strict=True))
        roles, table = self._add_roles(with_columns(inputs, columns), names, named, sample_weight, groups)
        held = self._read_eval_set(eval_set, roles)
        table, held_rows = (table, 0) if held is None else (stack(table, held), held.rows)
        choices = Choices(
            self._keys(),
            is_searched=bool(self.search),
            is_symbolic=bool(self.symbolic),
            is_additive=bool(self.additive),
            sections={} if self.recipe is None else self.recipe,
        )
        name = type(self).__name__
        if before is None:
            recipes = choose_recipes(table, roles, choices, name)
            recipe, dataset = prepare_rows(recipes, table, roles, held_rows)
        else:
            recipe = recipe_to_learn_on(self._recipe, before.recipe, roles, choices, name)
            dataset = prepare_more_rows(recipe, table, roles, before.dataset, held_rows)
        dataset = replace(dataset, source=f"the rows given to {name}.fit")
        with watching(recipe, bool(self.verbose), self._callbacks()) as watcher:
            if before is None:
                self._fit, self._recipe = fit_rows(recipe, dataset, watcher), recipe
            else:
                self._fit = learn_on(before, recipe, dataset, watcher)

    def _add_roles(
        self, table: Table, inputs: tuple[str, ...], targets: tuple[str, ...], sample_weight: Any, groups: Any
    ) -> tuple[Roles, Table]:
        """The table with a column of weights and one of groups, where they are given."""
        weights = grouped = None
        if sample_weight is not None:
            weights = free_name("sample_weight", list(table.cells))
            table = with_columns(table, {weights: read_weights(sample_weight, table.rows)})
        if groups is not None:
            grouped = free_name("groups", list(table.cells))
            table = with_columns(table, {grouped: read_groups(groups, table.rows)})
        return Roles(self._task, inputs, targets, weights, grouped), table

    def _read_eval_set(self, eval_set: Any, roles: Roles) -> Table | None:
        """Its rows with all columns of the table: weights of 1, and each row a group of its own."""
        if eval_set is None:
            return None
        pairs = eval_set if isinstance(eval_set, list) else [eval_set]
        if len(pairs) != 1 or not isinstance(pairs[0], tuple) or len(pairs[0]) != 2:
            raise ValueError("eval_set: wanted (X, y), or a list of one such pair")
        x, y = pairs[0]
        with naming("eval_set"):
            table = read_inputs(self, x, names=roles.inputs)
            more = dict(zip(roles.targets, self._read_target(y, table.rows, is_known=True), strict=True))
        if roles.weights is not None:
            more[roles.weights] = np.ones(table.rows)
        if roles.groups is not None:
            more[roles.groups] = np.array([f"row {row} of eval_set" for row in range(table.rows)], dtype=object)
        return with_columns(table, more)

    def _keys(self) -> dict[str, Any]:
        """The keys of the recipe that the parameters ask for."""
        given = {key: getattr(self, key) for key in _KEYS}
        given["seed"] = seed_of(self.random_state)
        return {key: value for key, value in given.items() if value is not None}

    def _callbacks(self) -> list[Callback]:
        given = [] if self.callbacks is None else self.callbacks
        if not isinstance(given, list | tuple) or not all(map(callable, given)):
            raise ValueError(f"callbacks is {given!r}; wanted a list of functions, or None")
        return list(given)

    @property
    @abstractmethod
    def _task(self) -> Any:
        """What the recipe calls the task: regression or classification."""

    @abstractmethod
    def _read_target(self, y: Any, rows: int, *, is_known: bool) -> list[Cells]:
        """The cells of each target, as a table has them; with ``is_known`` a label that the fit had not is an error."""

    def _answer(self, x: Any) -> Numbers:
        """``[rows, outputs]``: probabilities, or answers in the unit of the targets.

        In float64, as the reference that graphs are verified against: so the answer to a row does not depend on the
        rows beside it, which decide how float32 sums are rounded.
        """
        trained, features = self._exact(), self._features(x)
        with torch_threads(1):
            return predict(trained, features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags
