"""Regressors of scikit-learn that minimize the same loss as the network, so that a comparison is of models.

| objective | the constant | linear | boosted trees |
|---|---|---|---|
| squared_error | mean | Ridge | squared error |
| mae, quantile | that quantile | QuantileRegressor | absolute error, quantile |
| huber | the best one | HuberRegressor, with a threshold of its own | squared error: trees have no Huber loss |
| poisson, gamma | mean | PoissonRegressor, GammaRegressor | Poisson, gamma |

Ridge adds the squares of the weights to the sum of the errors, the generalized linear models to their mean. So the
latter get 1 / rows in place of 1.
"""

from typing import Any, Literal

import numpy as np
import torch
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import GammaRegressor, HuberRegressor, PoissonRegressor, QuantileRegressor, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.data.encoding import Numbers
from training.data.objective.loss import best_constant
from training.data.objective.loss_function import LossFunction

Kind = Literal["trivial", "linear", "boosted"]

# A quantile regression is a linear program: 1,000 rows of 20 features took 0.8 s, 5,000 rows 16 s.
MOST_QUANTILE_ROWS = 2000
_STEPS = 1000


def regressor(kind: Kind, function: LossFunction, y: Numbers, weights: Numbers | None) -> Any:
    """A model that is not fitted yet, of one or several targets.

    Args:
        kind: Which baseline.
        function: The loss that the network minimizes, in the unit of ``y``.
        y: ``[rows, targets]``, the targets that it will be fitted to.
        weights: ``[rows]``; None: all count alike.
    """
    if kind == "trivial":
        return _constant(function, y, weights)
    if kind == "linear":
        return make_pipeline(StandardScaler(), _linear(function, len(y)))
    # The trees learn one target each.
    return MultiOutputRegressor(HistGradientBoostingRegressor(random_state=0, **_loss_of_trees(function)))


def _constant(function: LossFunction, y: Numbers, weights: Numbers | None) -> Any:
    if function.name not in ("mae", "quantile", "huber"):
        return DummyRegressor()
    found = best_constant(function, torch.from_numpy(y), None if weights is None else torch.from_numpy(weights))
    return DummyRegressor(strategy="constant", constant=found.numpy())


def _linear(function: LossFunction, rows: int) -> Any:
    match function.name:
        case "mae" | "quantile":
            model: Any = QuantileRegressor(quantile=_quantile_of(function), alpha=0.0)
        case "huber":
            model = HuberRegressor(max_iter=_STEPS)
        case "poisson":
            model = PoissonRegressor(alpha=1 / rows, max_iter=_STEPS)
        case "gamma":
            model = GammaRegressor(alpha=1 / rows, max_iter=_STEPS)
        case _:
            return Ridge()
    return MultiOutputRegressor(model)


def _loss_of_trees(function: LossFunction) -> dict[str, Any]:
    match function.name:
        case "mae":
            return {"loss": "absolute_error"}
        case "quantile":
            return {"loss": "quantile", "quantile": function.quantile}
        case "poisson" | "gamma":
            return {"loss": function.name}
        case _:
            return {}


def _quantile_of(function: LossFunction) -> float:
    return 0.5 if function.name == "mae" else function.quantile


def is_linear_program(kind: Kind, function: LossFunction) -> bool:
    """Whether the fit takes long for many rows."""
    return kind == "linear" and function.name in ("mae", "quantile")


def target_unit(kind: Kind, function: LossFunction, y: Numbers) -> tuple[Numbers, Numbers]:
    """Center and scale ``[targets]`` of the targets that the model is fitted to; solvers expect numbers around 1.

    Only losses that follow a change of the unit have another one than 0 and 1.
    """
    if kind != "linear" or function.name not in ("mae", "quantile", "huber"):
        return np.zeros(y.shape[1]), np.ones(y.shape[1])
    deviation = y.std(axis=0)
    return y.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
