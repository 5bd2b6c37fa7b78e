"""How much the answers of a network depend on each input: how far they move if the input alone is drawn anew.

    dependence of i = √( E[(f(x) − f(x with x'_i))²] / E[(f(x) − f(x'))²] )

x and x' are two rows. It is 0 for an input that no answer reads, and 1 for an input that determines all answers. For
independent inputs it is the square root of the total Sobol index. What cancels inside the network cancels here as well:
the shares of :func:`kan_model.analysis.attribution.attribute` are multiplied layer by layer, and do not.

Example: y = x₁ + x₁·x₂ of independent inputs, uniform on [−1, 1], has the variance 1/3 + 1/9. The product alone reads
x₂, so the index of x₂ is (1/9) / (4/9) and its dependence 1/2. All of y reads x₁: its dependence is 1.

Source: Jansen, Analysis of variance designs for model output, 1999; Saltelli et al., Variance based sensitivity
analysis of model output, 2010, table 2 (f). Outputs together: Lamboni et al., Multivariate sensitivity analysis, 2011.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.analysis.edge_values import first_flaw
from kan_model.analysis.groups import check_groups
from kan_model.network.checks import check_rows
from kan_model.network.connections import Indices, active_edges, edges_to_outputs, select_nodes
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.products import node_flags

Values = NDArray[np.float64]

# Multiplications of one call, a few seconds. The fewest pairs of rows know a dependence to about a tenth of it.
_MOST_WORK, _LEAST_PAIRS = 2**32, 64
# What the value of a basis function costs, in multiplications.
_BASIS_COST = 16
# Pairs that are answered at once.
_BLOCK = 4096
# A move below this share of the size of the answers is rounding.
_ROUNDING = 1e-12


def dependence(
    kan: KAN,
    rows: Tensor,
    *,
    groups: Sequence[int] | None = None,
    of_classes: bool = False,
    pairs: int = 4096,
    seed: int = 0,
) -> Values:
    """The dependence of the answers on each input, in float64: 0 or more.

    The rows are put into a random ring, and each is paired with the rows that follow it. Squares are added up over the
    outputs, so an output with a larger spread counts more. Mixed rows without a finite answer do not count.

    Inputs that depend on each other are mixed as if they did not: the network is asked on rows that the data lack, and
    the dependence may then exceed 1.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``.
        groups: The group of each input, from 0; the inputs of a group are drawn together. Groups then take the place of
            inputs.
        of_classes: The outputs are scores before a softmax. The mean over the classes is taken from them: what all
            classes gain alike changes no probability.
        pairs: Of rows, at most; fewer where the network is large, so that a call takes seconds.
        seed: Seed of the ring.

    Returns:
        ``[inputs]``, or ``[groups]`` if groups are given; zeros if all answers are alike.

    Raises:
        ValueError: rows that :func:`kan_model.network.checks.check_rows` refuses, fewer than two, or not a group for
            each input; a network that is not finite on the rows, or on none of their mixtures.
    """
    check_groups(kan, groups)
    exact = copy.deepcopy(kan).double()
    rows = check_rows(kan, rows, at_least=2).detach().to(exact.layers[0].base_weight)
    columns = _find_columns(exact, groups)
    affordable = max(_LEAST_PAIRS, _MOST_WORK // max(1, _count_work(exact, columns)))
    x, shifts = _pair_rows(rows, min(pairs, affordable), seed)
    with torch.no_grad():
        known = _Known.of(exact, x)
        if not torch.isfinite(known.answers).all():
            large = f"an answer is too large for {x.dtype}; wanted finite numbers"
            raise ValueError(first_flaw(exact, rows) or large)
        # In a unit whose squares are no larger than a number can be.
        unit = float(known.answers.abs().max())
        if not unit:
            return np.zeros(len(columns))
        rounding = _ROUNDING * float((known.answers / unit).abs().sum(dim=1).mean())
        between = (known.answers[each] / unit - known.answers / unit for each in _partners(len(x), shifts))
        whole = _move(between, of_classes)
        if whole <= rounding:
            return np.zeros(len(columns))
        moves = [_move((each / unit for each in known.differences(one, shifts)), of_classes) for one in columns]
    return np.array([move / whole if move > rounding else 0.0 for move in moves])


@dataclass(frozen=True)
class _Column:
    """Inputs that are drawn together, and the nodes of the first layer that read them and lead to an output."""

    inputs: Indices
    nodes: Indices


def _find_columns(kan: KAN, groups: Sequence[int] | None) -> list[_Column]:
    edges = edges_to_outputs(active_edges(kan.layers), kan.layers)[0]
    group_of = np.arange(kan.width[0]) if groups is None else np.array(groups)
    found = []
    for group in range(int(group_of.max()) + 1):
        inputs = np.flatnonzero(group_of == group)
        nodes = node_flags(kan.layers[0].products, np.any(edges[:, inputs], axis=1))
        found.append(_Column(inputs, np.flatnonzero(nodes)))
    return found


def _pair_rows(rows: Tensor, pairs: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows in random order, and by how many places partners lie behind a row."""
    count = max(2, min(len(rows), pairs))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:count]
    return rows[order.to(rows.device)], torch.arange(1, 1 + min(count - 1, -(-pairs // count)))


def _partners(rows: int, shifts: Tensor) -> list[Tensor]:
    """The partner of each row, ``[shifts, rows]``, some shifts at a time."""
    some = torch.split(shifts, max(1, _BLOCK // rows))
    return [(torch.arange(rows) + each[:, None]) % rows for each in some]


def _move(differences: Iterable[Tensor], of_classes: bool) -> float:
    """The root of the mean square of differences ``[shifts, rows, outputs]``, without those that are not finite.

    Raises:
        ValueError: none is finite.
    """
    total, count, is_any = 0.0, 0, False
    for each in differences:
        is_any = True
        centred = each - each.mean(dim=2, keepdim=True) if of_classes else each
        squares = centred.square().sum(dim=2)
        is_finite = torch.isfinite(squares)
        total, count = total + float(squares[is_finite].sum()), count + int(is_finite.sum())
    if is_any and not count:
        raise ValueError("no row with an input of another row has a finite answer; wanted edges defined there too")
    return float(np.sqrt(total / max(1, count)))


@dataclass(frozen=True)
class _Known:
    """What the network makes of the rows as they are: sums and nodes of the first layer, sums of the second, answers.

    A change of one input moves a sum by the change of that input's edges. So a drawn column costs its own edges of the
    first layer, and the layers behind it. Where few nodes read the column, as pixels of an image, the second layer too
    is computed for these nodes alone.
    """

    kan: KAN
    x: Tensor
    sums: Tensor
    nodes: Tensor
    second_sums: Tensor | None
    answers: Tensor

    @classmethod
    def of(cls, kan: KAN, x: Tensor) -> "_Known":
        """Of these rows ``[rows, inputs]``."""
        first, *behind = kan.layers
        sums = first.sums_of(x)
        nodes = first.nodes_of(sums)
        if not behind:
            return cls(kan, x, sums, nodes, None, nodes)
        second_sums = behind[0].sums_of(nodes)
        return cls(kan, x, sums, nodes, second_sums, _run(behind[1:], behind[0].nodes_of(second_sums)))

    def differences(self, column: _Column, shifts: Tensor) -> Iterator[Tensor]:
        """The answers with the partners' values of the column, minus the answers: ``[shifts, rows, outputs]`` each."""
        if not len(column.nodes):
            return
        first = self.kan.layers[0]
        part = select_nodes(first, column.inputs, column.nodes)
        places = column.nodes if first.products is None else first.products.sums_of(column.nodes)
        own, sums = part.sums_of(self.x[:, column.inputs]), self.sums[:, places]
        behind = self._behind(column)
        for partners in _partners(len(self.x), shifts):
            moved = part.nodes_of((sums + (own[partners] - own)).flatten(0, 1))
            yield behind(moved).reshape(*partners.shape, -1) - self.answers

    def _behind(self, column: _Column) -> Callable[[Tensor], Tensor]:
        """The answers for other values ``[shifts · rows, nodes]`` of the nodes that read the column."""
        layers, old = self.kan.layers[1:], self.nodes[:, column.nodes]

        def through_all(moved: Tensor) -> Tensor:
            nodes = self.nodes.repeat(len(moved) // len(old), 1)
            nodes[:, column.nodes] = moved
            return _run(layers, nodes)

        if self.second_sums is None or not _is_read_by_few(column, layers[0]):
            return through_all
        part = select_nodes(layers[0], column.nodes, np.arange(layers[0].outputs))
        kept = self.second_sums - part.sums_of(old)

        def through_few(moved: Tensor) -> Tensor:
            sums = part.sums_of(moved) + kept.repeat(len(moved) // len(old), 1)
            return _run(layers[1:], layers[0].nodes_of(sums))

        return through_few


def _run(layers: Sequence[KANLayer], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _is_read_by_few(column: _Column, second: KANLayer) -> bool:
    return 2 * len(column.nodes) <= second.inputs


def _count_work(kan: KAN, columns: Sequence[_Column]) -> int:
    """Multiplications for one pair of rows."""
    first, *behind = kan.layers
    work = sum(_layer_work(first, len(column.inputs), len(column.nodes)) for column in columns)
    if behind:
        counts = [len(each.nodes) if _is_read_by_few(each, behind[0]) else behind[0].inputs for each in columns]
        work += sum(_layer_work(behind[0], count, behind[0].sums) for count in counts)
    return work + len(columns) * sum(_layer_work(layer, layer.inputs, layer.sums) for layer in behind[1:])


def _layer_work(layer: KANLayer, inputs: int, sums: int) -> int:
    return inputs * (layer.grid_size + layer.degree) * (sums + _BASIS_COST)
