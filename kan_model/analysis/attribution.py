"""How much inputs, nodes and edges contribute to a network's answers, on rows of data."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.analysis.edge_values import edge_values, first_flaw
from kan_model.analysis.groups import add_groups, check_groups
from kan_model.network.checks import check_rows
from kan_model.network.network import KAN

Values = NDArray[np.float64]

# Float64 numbers held for one chunk of rows: 8 MiB.
_CHUNK = 2**20
# A standard deviation below this share of the values' size is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class EdgeStatistics:
    """A layer's edges on rows of data, float64; masked edges are zero.

    Attributes:
        mean: ``[sums, inputs]``, mean φ.
        l1: ``[sums, inputs]``, mean |φ|: the paper's size of an edge.
        std: ``[sums, inputs]``, standard deviation of φ: the root mean square change of the sum if the edge is replaced
            by its mean. Exactly 0 if φ varies by rounding only.
        sum_std: ``[sums]``, standard deviation of the sum; exactly 0 if it varies by rounding only.
    """

    mean: Values
    l1: Values
    std: Values
    sum_std: Values


@dataclass(frozen=True)
class Attribution:
    """Scores, float64, 0 or more. The answer depends more on an edge or a node with a higher score.

    Attributes:
        edges: ``[sums, inputs]`` of each layer; in the first layer ``[sums, groups]`` if groups were given.
        nodes: ``[nodes]`` of each level: inputs (or groups) first, outputs last.
    """

    edges: tuple[Values, ...]
    nodes: tuple[Values, ...]

    @property
    def inputs(self) -> Values:
        """``[inputs]``, the scores of the network's inputs; ``[groups]`` if groups were given."""
        return self.nodes[0]


def edge_statistics(kan: KAN, rows: Tensor) -> tuple[EdgeStatistics, ...]:
    """Mean, L1 and standard deviation of every edge, layer by layer, computed in float64.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``; the memory used does not grow with their number.

    Raises:
        ValueError: rows that :func:`kan_model.network.checks.check_rows` refuses, or an edge that is not finite
            on them.
    """
    exact, rows = _to_float64(kan, rows, at_least=1)
    return _statistics(exact, rows)


def attribute(kan: KAN, rows: Tensor, *, output: int | None = None, groups: Sequence[int] | None = None) -> Attribution:
    """Score edges, nodes and inputs, from the outputs back to the inputs.

    The outputs share a score of 1 evenly; with ``output`` that one has it alone. An edge's score is the score of the
    sum that it feeds times std(φ) / std(sum). A sum has the score of its node: each factor of a product has all of it.
    The score of a node is the sum over the edges that read it. Scores do not change when an output is scaled or
    shifted.

    Example: y = φ1 + φ2 with independent edges of standard deviation 3 and 4. The sum's is 5, so the edges have 0.6
    and 0.8. Shares do not add up to 1: here 1.4, and much more if edges cancel each other. A sum that is constant on
    the rows gives its edges no score.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``.
        output: Index of the output to explain; None: all.
        groups: The group of each input, from 0. The edges of a group are added up in each row and scored as one, so
            0/1 inputs of one column of words that cancel have no score. Groups then take the place of inputs.

    Raises:
        ValueError: as :func:`edge_statistics`, fewer than two rows, no such output, or not a group for each input.

    Source: KAN 2.0, arXiv 2408.10205, section 4.1; pykan's ``attribute`` (there 1e-4 is added to std(node)).
    """
    outputs = kan.width[-1]
    if output is not None and not 0 <= output < outputs:
        raise ValueError(f"output is {output}; wanted 0 to {outputs - 1}")
    check_groups(kan, groups)
    exact, rows = _to_float64(kan, rows, at_least=2)
    score = np.full(outputs, 1 / outputs) if output is None else np.eye(outputs)[output]
    nodes: list[Values] = [score]
    edges: list[Values] = []
    for layer, found in zip(reversed(exact.layers), reversed(_statistics(exact, rows, groups)), strict=True):
        score = score if layer.products is None else score[layer.products.node_of]
        share = np.divide(score, found.sum_std, out=np.zeros_like(score), where=found.sum_std > 0)
        edges.insert(0, found.std * share[:, None])
        score = edges[0].sum(axis=0)
        nodes.insert(0, score)
    return Attribution(tuple(edges), tuple(nodes))


def interactions(kan: KAN, rows: Tensor, *, seed: int = 0, groups: Sequence[int] | None = None) -> Values:
    """The share of the answer's variance that comes from each pair of inputs acting together.

    Example: in x1 + x2·x3 the pair (2, 3) interacts, the pairs (1, 2) and (1, 3) do not: their entries are 0.

    For each row x another row x' is drawn. The mixed second difference f(x) − f(x with x'_i) − f(x with x'_j)
    + f(x with both) is 0 for every sum of functions that each read i or j but not both. A quarter of the mean of its
    square is the variance due to the pair, alone or together with other inputs, if the inputs are independent. It is
    given relative to the variance of the output on the rows, as the mean over the outputs. A constant output counts 0.

    Inputs that depend on each other are mixed too, so the network is evaluated on combinations that the data lack. It
    is evaluated inputs² / 2 times per row: a thousand rows are enough.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``.
        seed: Seed of the drawn rows.
        groups: As for :func:`attribute`: the inputs of a group are drawn together.

    Returns:
        ``[inputs, inputs]``, or ``[groups, groups]`` if groups are given; symmetric, 0 on the diagonal.

    Raises:
        ValueError: rows that :func:`kan_model.network.checks.check_rows` refuses, fewer than two, or a network
            that is not finite on them or on their mixtures.

    Source: Liu and Owen, Estimating mean dimensionality of ANOVA decompositions, 2006 (superset importance).
    """
    check_groups(kan, groups)
    exact, rows = _to_float64(kan, rows, at_least=2)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).to(rows.device)
    others = torch.empty_like(rows)
    # Each row gets its neighbour in a random ring, so no row gets itself.
    others[order] = rows[order.roll(1)]
    ungrouped, outputs = kan.width[0], kan.width[-1]
    inputs = ungrouped if groups is None else max(groups) + 1
    squares = torch.zeros(inputs, inputs, outputs, dtype=torch.float64, device=rows.device)
    answers = []
    # Memory per row: the first layer's edges and basis, then for each input the widest basis of the other layers.
    bases = [layer.inputs * (layer.grid_size + layer.degree) for layer in exact.layers]
    numbers = ungrouped * exact.layers[0].sums + bases[0] + inputs * max(bases[1:], default=outputs)
    for x, other in zip(_chunks(rows, numbers), _chunks(others, numbers), strict=True):
        answers.append(_add_second_differences(exact, x, other, squares, groups))
    if not torch.isfinite(squares).all():
        mixed = "the network is not finite on rows with inputs of other rows; wanted edges defined there too"
        raise ValueError(first_flaw(exact, rows) or mixed)
    variance = torch.cat(answers).var(dim=0, correction=0)
    variance[variance.sqrt() <= _ROUNDING * torch.cat(answers).abs().mean(dim=0)] = torch.inf
    shares = (squares / (4 * len(rows)) / variance).mean(dim=2)
    result: Values = (shares + shares.T).cpu().numpy()
    return result


def _add_second_differences(
    kan: KAN, x: Tensor, other: Tensor, squares: Tensor, groups: Sequence[int] | None
) -> Tensor:
    """Add each pair's squared differences over these rows to ``squares`` [inputs, inputs, outputs], above its diagonal.

    Returns:
        The network's answers to ``x``.
    """
    first = kan.layers[0]

    def behind(sums: Tensor) -> Tensor:
        """The network's answers for given values of the first layer's sums, [..., sums]."""
        flat = first.nodes_of(sums.flatten(0, -2))
        for layer in kan.layers[1:]:
            flat = layer(flat)
        return flat.view(*sums.shape[:-1], -1)

    with torch.no_grad():
        sums = first.sums_of(x)
        # A change of one input moves a sum by the change of that input's edges. [inputs, rows, sums]
        moves = add_groups(first.edge_outputs(other) - first.edge_outputs(x), groups).permute(2, 0, 1)
        answers, moved = behind(sums), behind(sums + moves)
        for i in range(len(moves) - 1):
            both = behind(sums + moves[i] + moves[i + 1 :])
            squares[i, i + 1 :] += (answers - moved[i] - moved[i + 1 :] + both).square().sum(dim=1)
    return answers


def _to_float64(kan: KAN, rows: Tensor, *, at_least: int) -> tuple[KAN, Tensor]:
    exact = copy.deepcopy(kan).double()
    return exact, check_rows(kan, rows, at_least=at_least).detach().to(exact.layers[0].base_weight)


def _chunks(rows: Tensor, numbers: int) -> tuple[Tensor, ...]:
    """The rows in chunks, for computations that hold ``numbers`` values per row: at most 8 MiB a chunk."""
    return torch.split(rows, max(1, _CHUNK // numbers))


def _statistics(kan: KAN, rows: Tensor, groups: Sequence[int] | None = None) -> tuple[EdgeStatistics, ...]:
    """Statistics over chunks of rows, merged without cancellation (Chan, Golub and LeVeque 1979)."""
    # The last column is the sum of the edges: [sums, inputs + 1].
    shapes = [(layer.sums, layer.inputs + 1) for layer in kan.layers]
    if groups is not None:
        shapes[0] = (shapes[0][0], max(groups) + 2)
    mean, l1, squares = ([rows.new_zeros(shape) for shape in shapes] for _ in range(3))
    numbers = max(layer.inputs * (layer.sums + layer.grid_size + layer.degree) for layer in kan.layers)
    done = 0
    with torch.no_grad():
        for x in _chunks(rows, numbers):
            count, whole = len(x), done + len(x)
            for index, single in enumerate(edge_values(kan, x)):
                edges = single if index else add_groups(single, groups)
                values = torch.cat([edges, edges.sum(dim=2, keepdim=True)], dim=2)
                own = values.mean(dim=0)
                change = own - mean[index]
                squares[index] += (values - own).square().sum(dim=0) + change.square() * (done * count / whole)
                mean[index] += change * (count / whole)
                l1[index] += (values.abs().mean(dim=0) - l1[index]) * (count / whole)
            done = whole
    return tuple(_layer_statistics(*each, len(rows)) for each in zip(mean, l1, squares, strict=True))


def _layer_statistics(mean: Tensor, l1: Tensor, squares: Tensor, rows: int) -> EdgeStatistics:
    mean_, l1_, std = (each.cpu().numpy() for each in (mean, l1, (squares / rows).sqrt()))
    size = l1_.copy()
    # A sum whose large edges cancel each other keeps their rounding, so its size is the sum of their sizes.
    size[:, -1] = l1_[:, :-1].sum(axis=1)
    std[std <= _ROUNDING * size] = 0
    return EdgeStatistics(mean_[:, :-1], l1_[:, :-1], std[:, :-1], std[:, -1])
