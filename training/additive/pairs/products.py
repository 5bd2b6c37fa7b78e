"""Sums over the rows of the products of many pairs of columns, from a few matrix products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Numbers of a block of products of functions of one column: 64 MiB.
_BLOCK_NUMBERS = 2**23


@dataclass(frozen=True)
class ProductSums:
    """What the products of two columns are, summed over the rows of each fold, for each output.

    The products are scaled so that the sum of the squares of each over all rows is 1, without weights.

    Attributes:
        place: The number of the pair.
        grams: ``[outputs, folds, products, products]``, with weights.
        moments: ``[outputs, folds, products]``: weights, product and residual.
    """

    place: int
    grams: Tensor
    moments: Tensor


def sum_products(
    values: Sequence[Tensor], pairs: Sequence[tuple[int, int]], left: Sequence[tuple[Tensor, Tensor]], sizes: list[int]
) -> Iterator[ProductSums]:
    """The sums of all pairs.

    The sum over the rows of w·aₖ·bₘ·aₗ·b_q is an entry of PᵀWQ, where the columns of P are the products aₖ·aₗ of
    functions of the one column, and those of Q the products of the other. So one matrix product serves one column and
    many others, and no product of two columns is ever a column of numbers.

    Args:
        values: For each column its functions, ``[rows, functions]``. Rows of a fold are neighbours.
        pairs: The numbers of the two columns of each pair, the smaller one first.
        left: For each output the residuals and the weights, ``[rows]`` each.
        sizes: The number of rows of each fold.
    """
    places = {pair: place for place, pair in enumerate(pairs)}
    for others in _blocks(values):
        squares = torch.cat([_squares(values[other]) for other in others], dim=1)
        plain = torch.cat([values[other] for other in others], dim=1)
        for one in range(others[-1]):
            found = [(other, places[one, other]) for other in others if (one, other) in places]
            if not found:
                continue
            own = _squares(values[one])
            grams = torch.stack([_by_fold(own * weights[:, None], squares, sizes) for _, weights in left])
            moments = torch.stack(
                [_by_fold(values[one] * (weights * each)[:, None], plain, sizes) for each, weights in left]
            )
            sums_of_squares = values[one].square().T @ plain.square()
            for other, place in found:
                first = sum(_count(values[each]) for each in others if each < other)
                start = sum(values[each].shape[1] for each in others if each < other)
                columns = slice(start, start + values[other].shape[1])
                gram = grams[..., first : first + _count(values[other])]
                yield _scaled(
                    place,
                    gram[:, :, _places(values[one])][..., _places(values[other])],
                    moments[..., columns],
                    sums_of_squares[:, columns],
                )


def _scaled(place: int, gram: Tensor, moment: Tensor, squares: Tensor) -> ProductSums:
    """From ``[outputs, folds, k, l, m, q]``, ``[outputs, folds, k, m]`` and the sums of squares ``[k, m]``."""
    scale = torch.where(squares > 0, squares.rsqrt(), 0.0).flatten()
    count = len(scale)
    gram = gram.transpose(3, 4).reshape(*gram.shape[:2], count, count)
    return ProductSums(place, gram * scale[:, None] * scale, moment.reshape(*moment.shape[:2], count) * scale)


def _blocks(values: Sequence[Tensor]) -> Iterator[list[int]]:
    """Neighbouring columns whose products of two functions fit into a block."""
    block, numbers = list[int](), 0
    for place, each in enumerate(values):
        own = len(each) * _count(each)
        if block and numbers + own > _BLOCK_NUMBERS:
            yield block
            block, numbers = [], 0
        block.append(place)
        numbers += own
    if block:
        yield block


def _count(values: Tensor) -> int:
    """The number of products of two functions of a column."""
    functions = values.shape[1]
    return functions * (functions + 1) // 2


def _squares(values: Tensor) -> Tensor:
    """``[rows, products]``: the products of two functions of a column, each once."""
    ones, twos = torch.triu_indices(values.shape[1], values.shape[1])
    return values[:, ones] * values[:, twos]


def _places(values: Tensor) -> Tensor:
    """``[functions, functions]``: where the product of two functions is."""
    functions = values.shape[1]
    ones, twos = torch.triu_indices(functions, functions)
    found = torch.empty(functions, functions, dtype=torch.int64)
    found[ones, twos] = found[twos, ones] = torch.arange(len(ones))
    return found


def _by_fold(weighted: Tensor, others: Tensor, sizes: list[int]) -> Tensor:
    """``[folds, columns, other columns]``."""
    return torch.stack([one.T @ two for one, two in zip(split(weighted, sizes), split(others, sizes), strict=True)])


def split(rows: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    """Stretches of rows of these sizes."""
    return torch.split(rows, sizes)  # type: ignore[no-untyped-call, no-any-return, unused-ignore]
