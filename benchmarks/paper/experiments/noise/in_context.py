"""A formula from noisy rows as `[symbolic] choice = "in-context"` finds it: :mod:`training.formulas`."""

from collections.abc import Sequence

import torch

from benchmarks.paper.experiments.noise.kan import Found, described
from benchmarks.paper.experiments.noise.laws import ROWS, Values
from training.data.samples import Samples
from training.formulas import NoFormula, search_formula


def find_formula(rows: Values, values: Values, names: Sequence[str], seed: int, quick: bool = False) -> Found | None:
    """The formula of some rows; None if no shape becomes one.

    Args:
        rows: ``[rows, variables]``; the last 100 of 500 choose.
        values: ``[rows]``.
        names: Of the variables.
        seed: Of the networks' starts.
        quick: Few functions: the way is the same.
    """
    x, y = torch.from_numpy(rows), torch.from_numpy(values)[:, None]
    scale = float(y[:ROWS].std())
    train, validation = Samples(x[:ROWS], y[:ROWS] / scale), Samples(x[ROWS:], y[ROWS:] / scale)
    found = search_formula(train, validation, functions=("x", "x^2") if quick else None, seeds=(seed,))
    if isinstance(found, NoFormula):
        return None
    return described(found.kan, validation, names, str(list(found.shape)), scale)
