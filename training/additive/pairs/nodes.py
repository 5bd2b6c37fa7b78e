"""Pairs as nodes that multiply two sums of curves: from the singular values of their coefficients."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.additive.terms import Pair, Terms


@dataclass(frozen=True)
class Factors:
    """The node u(a)·v(b) of two columns.

    Attributes:
        first: u, ``[raw columns of curves and lines]``.
        second: v, ``[raw columns of curves and lines]``.
    """

    first: Tensor
    second: Tensor


def factors_of(terms: Terms, coefficients: Tensor, least: float) -> list[Factors]:
    """The nodes whose sum is the sum of all pairs, but for nodes that hardly matter.

    Args:
        terms: The terms.
        coefficients: ``[coefficients]``, of one output of the fit.
        least: Nodes whose root of the mean square over the rows is smaller are left out, if the functions of a column
            are at right angles over the rows, and the columns independent.
    """
    numbers = terms.raw @ coefficients
    return [each for pair, own in _split(terms, numbers[terms.single :]) for each in _of_pair(terms, pair, own, least)]


def _split(terms: Terms, numbers: Tensor) -> Iterator[tuple[Pair, Tensor]]:
    """Each pair with the numbers of its products."""
    start = 0
    for pair in terms.pairs:
        stop = start + sum(pair.widths)
        yield pair, numbers[start:stop]
        start = stop


def _of_pair(terms: Terms, pair: Pair, numbers: Tensor, least: float) -> Iterator[Factors]:
    (first_places, second_places, factors), (ones, twos) = pair.products, (pair.first.functions, pair.second.functions)
    matrix = torch.zeros(len(ones), len(twos), dtype=torch.float64)
    matrix[first_places, second_places] = factors * numbers
    # In units of functions whose mean square over the rows is 1, so that a singular value is the size of its node.
    sizes = [torch.tensor(side.sizes, dtype=torch.float64).clamp(min=1e-300) for side in (pair.first, pair.second)]
    left, values, right = torch.linalg.svd(sizes[0][:, None] * matrix * sizes[1], full_matrices=False)
    for node in torch.nonzero(values > least).flatten().tolist():
        # Both factors have the same size.
        root = values[node].sqrt()
        first = terms.raw[: terms.single, list(ones)] @ (root * left[:, node] / sizes[0])
        second = terms.raw[: terms.single, list(twos)] @ (root * right[node] / sizes[1])
        yield Factors(first, second)
