"""What inputs, nodes and edges contribute to a network's answers, on rows of data."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.analysis.edge_values import checked_rows, edge_values, first_flaw
from kan_model.network.network import KAN

Values = NDArray[np.float64]

# Numbers of one chunk of rows: 8 MiB of float64.
_CHUNK = 2**20
# What varies less than this, relative to its size, varies by rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class EdgeStatistics:
    """A layer's edges on rows of data, float64; masked edges are zero.

    Attributes:
        mean: ``[outputs, inputs]``, mean φ.
        l1: ``[outputs, inputs]``, mean |φ|: the paper's size of an edge.
        std: ``[outputs, inputs]``, standard deviation of φ: by how much (root mean square) its node moves where the
            edge's mean takes its place. Exactly 0 where φ varies by rounding only.
        node_std: ``[outputs]``, standard deviation of the node; likewise.
    """

    mean: Values
    l1: Values
    std: Values
    node_std: Values


@dataclass(frozen=True)
class Attribution:
    """Scores, float64, 0 or more; the larger, the more does the answer depend on it.

    Attributes:
        edges: ``[outputs, inputs]`` of each layer.
        nodes: ``[nodes]`` of each level: inputs first, outputs last.
    """

    edges: tuple[Values, ...]
    nodes: tuple[Values, ...]

    @property
    def inputs(self) -> Values:
        """``[inputs]``, the scores of the network's inputs."""
        return self.nodes[0]


def edge_statistics(kan: KAN, rows: Tensor) -> tuple[EdgeStatistics, ...]:
    """Mean, L1 and standard deviation of every edge, layer by layer, computed in float64.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``; memory is bounded whatever their number.

    Raises:
        ValueError: rows that :func:`kan_model.analysis.edge_values.checked_rows` refuses, or an edge that is not finite
            on them.
    """
    exact, rows = _exact(kan, rows, at_least=1)
    return _statistics(exact, rows)


def attribute(kan: KAN, rows: Tensor, *, output: int | None = None) -> Attribution:
    """Follow the contributions back from the outputs.

    All outputs share a score of 1 evenly, or one has it alone. An edge's score is its node's score times its share
    of the node's standard deviation, std(φ) / std(node); the score of a node that is read is the sum over the edges
    that read it. Nothing changes when outputs are scaled or shifted, each by its own numbers. Shares do not add up
    to 1: independent edges exceed it, edges that cancel each other exceed it by much. A node that is constant on the
    rows gives no score to its edges.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``.
        output: The output to explain; None: all.

    Raises:
        ValueError: as :func:`edge_statistics`, fewer than two rows, or no such output.

    Source: KAN 2.0, arXiv 2408.10205, section 4.1; pykan's ``attribute`` (there 1e-4 is added to std(node)).
    """
    outputs = kan.width[-1]
    if output is not None and not 0 <= output < outputs:
        raise ValueError(f"output is {output}; wanted 0 to {outputs - 1}")
    exact, rows = _exact(kan, rows, at_least=2)
    score = np.full(outputs, 1 / outputs) if output is None else np.eye(outputs)[output]
    nodes: list[Values] = [score]
    edges: list[Values] = []
    for layer in reversed(_statistics(exact, rows)):
        share = np.divide(score, layer.node_std, out=np.zeros_like(score), where=layer.node_std > 0)
        edges.insert(0, layer.std * share[:, None])
        score = edges[0].sum(axis=0)
        nodes.insert(0, score)
    return Attribution(tuple(edges), tuple(nodes))


def interactions(kan: KAN, rows: Tensor, *, seed: int = 0) -> Values:
    """How much pairs of inputs act together: what of the answer is no sum of functions without one of the two.

    With each row x another row x' is drawn; the mixed second difference f(x) − f(x with x'_i) − f(x with x'_j)
    + f(x with both) is zero for every function that adds up from parts that read i or j but not both. A quarter of
    the mean of its square is the variance that the pair, alone or with others, brings about when inputs are
    independent and distributed as in the rows. It is given relative to the variance of the output on the rows; the
    mean over the outputs, of which constant ones count 0.

    Inputs that depend on each other are mixed all the same: rows come about that are not in the data. The network is
    computed inputs² / 2 times per row: a thousand rows are enough.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``.
        seed: Draws the other rows; the same gives the same.

    Returns:
        ``[inputs, inputs]``, symmetric, 0 on the diagonal.

    Raises:
        ValueError: rows that :func:`kan_model.analysis.edge_values.checked_rows` refuses, fewer than two, or a network
            that is not finite on them or on their mixtures.

    Source: Liu and Owen, Estimating mean dimensionality of ANOVA decompositions, 2006 (superset importance).
    """
    exact, rows = _exact(kan, rows, at_least=2)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).to(rows.device)
    others = torch.empty_like(rows)
    # Along a ring no row meets itself.
    others[order] = rows[order.roll(1)]
    inputs, outputs = kan.width[0], kan.width[-1]
    squares = torch.zeros(inputs, inputs, outputs, dtype=torch.float64, device=rows.device)
    answers = []
    # Edges of the first layer; then, for all inputs at once, what the other layers make of its nodes.
    bases = [layer.inputs * (layer.grid_size + layer.degree) for layer in exact.layers]
    numbers = inputs * exact.layers[0].outputs + bases[0] + inputs * max(bases[1:], default=outputs)
    for x, other in zip(_chunks(rows, numbers), _chunks(others, numbers), strict=True):
        answers.append(_add_second_differences(exact, x, other, squares))
    if not torch.isfinite(squares).all():
        mixed = "the network is not finite on rows with inputs of other rows; wanted edges defined there too"
        raise ValueError(first_flaw(exact, rows) or mixed)
    variance = torch.cat(answers).var(dim=0, correction=0)
    variance[variance.sqrt() <= _ROUNDING * torch.cat(answers).abs().mean(dim=0)] = torch.inf
    shares = (squares / (4 * len(rows)) / variance).mean(dim=2)
    result: Values = (shares + shares.T).cpu().numpy()
    return result


def _add_second_differences(kan: KAN, x: Tensor, other: Tensor, squares: Tensor) -> Tensor:
    """Add each pair's squared differences over these rows to ``squares`` [inputs, inputs, outputs], above its diagonal.

    Returns:
        The network's answers to ``x``.
    """
    first = kan.layers[0]

    def behind(nodes: Tensor) -> Tensor:
        """The network's answers to values of the first layer's nodes, [..., nodes]."""
        flat = nodes.flatten(0, -2)
        for layer in kan.layers[1:]:
            flat = layer(flat)
        return flat.view(*nodes.shape[:-1], -1)

    with torch.no_grad():
        nodes = first(x)
        # Nodes only add: another input moves them by the change of its own edges. [inputs, rows, nodes]
        moves = (first.edge_outputs(other) - first.edge_outputs(x)).permute(2, 0, 1)
        answers, moved = behind(nodes), behind(nodes + moves)
        for i in range(len(moves) - 1):
            both = behind(nodes + moves[i] + moves[i + 1 :])
            squares[i, i + 1 :] += (answers - moved[i] - moved[i + 1 :] + both).square().sum(dim=1)
    return answers


def _exact(kan: KAN, rows: Tensor, *, at_least: int) -> tuple[KAN, Tensor]:
    exact = copy.deepcopy(kan).double()
    return exact, checked_rows(kan, rows, at_least=at_least).detach().to(exact.layers[0].base_weight)


def _chunks(rows: Tensor, numbers: int) -> tuple[Tensor, ...]:
    """So many rows at a time that what is made of them, ``numbers`` of a row, stays small."""
    return torch.split(rows, max(1, _CHUNK // numbers))


def _statistics(kan: KAN, rows: Tensor) -> tuple[EdgeStatistics, ...]:
    """Over chunks of rows: means and squares are merged so that nothing cancels (Chan, Golub and LeVeque 1979)."""
    # Behind a layer's edges their sum, the node: [outputs, inputs + 1].
    shapes = [(layer.outputs, layer.inputs + 1) for layer in kan.layers]
    mean, l1, squares = ([rows.new_zeros(shape) for shape in shapes] for _ in range(3))
    numbers = max(layer.inputs * (layer.outputs + layer.grid_size + layer.degree) for layer in kan.layers)
    done = 0
    with torch.no_grad():
        for x in _chunks(rows, numbers):
            count, whole = len(x), done + len(x)
            for index, edges in enumerate(edge_values(kan, x)):
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
    # Of large edges that cancel each other, rounding is left.
    size[:, -1] = l1_[:, :-1].sum(axis=1)
    std[std <= _ROUNDING * size] = 0
    return EdgeStatistics(mean_[:, :-1], l1_[:, :-1], std[:, :-1], std[:, -1])
