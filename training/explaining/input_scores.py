"""How much the answers depend on the inputs of a network: the attribution that notes, manifest and report tell."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kan_model import KAN
from kan_model.analysis.dependence import dependence
from kan_model.network.transform import OutputTransform, Softmax

# Rows that tell it; more would change the second digit.
_ROWS = 1000


def score_inputs(
    kan: KAN, rows: Tensor, outputs: OutputTransform | None, groups: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """The dependence of the answers on each input, or on each group of inputs, as a share of their spread.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``, as the network reads them; 1000 of them count, evenly over all.
        outputs: What stands behind the network. Of classes the differences of their scores are the answers.
        groups: The group of each input, from 0.

    Raises:
        ValueError: as :func:`kan_model.analysis.dependence.dependence`.
    """
    some = rows[:: max(1, -(-len(rows) // _ROWS))]
    return dependence(kan, some, groups=groups, of_classes=isinstance(outputs, Softmax))


def group_by_column(input_columns: Sequence[str]) -> tuple[list[str], list[int]]:
    """The columns in order of their first input, and for each input the place of its column among them."""
    places = {name: place for place, name in enumerate(dict.fromkeys(input_columns))}
    return list(places), [places[name] for name in input_columns]
