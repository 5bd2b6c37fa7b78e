"""Rows at which a formula has an answer by luck: rounding decides whether its argument is inside its domain.

Example: √(0.1·x − 0.1·low) at the row with x = low. The argument is 0, or a little above or below, by the order in
which numbers are rounded. Torch in float32, torch in float64 and the graph each have their own order, and one of them
answers NaN. The same holds next to a pole: 1/0 of one is 1/1e-9 of another.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from kan_model import FUNCTIONS, KAN
from kan_model.network.functions import Guard
from kan_model.network.layer import KANLayer

# A graph rounds several times on the way to an argument, each time by half a unit in the last place, 2^-24, at most.
_ROUNDING = 2.0**-22
# Numbers of a layer's edges in memory at once.
_MOST_NUMBERS = 2**20


def find_doubtful(kan: KAN, rows: Tensor) -> tuple[tuple[int, int, int], list[int]] | None:
    """The first edge that has an answer to some rows only by rounding, and these rows.

    Args:
        kan: The network; it has a finite answer to all rows.
        rows: ``[rows, inputs]``, imputed and scaled.

    Returns:
        Layer, output and input of the edge, and the numbers of the rows; None if there is none.
    """
    limited = [(index, layer) for index, layer in enumerate(kan.layers) if any(_limited_edges(layer))]
    if not limited:
        return None
    block = max(1, _MOST_NUMBERS // max(layer.edge_mask.numel() for layer in kan.layers))
    found: dict[tuple[int, int, int], list[int]] = {}
    with torch.no_grad():
        for start in range(0, len(rows), block):
            x = rows[start : start + block]
            size = x.abs()
            for index, layer in enumerate(kan.layers):
                for (output, input_), guard, (a, b) in _limited_edges(layer):
                    argument = a * x[:, input_] + b
                    error = _ROUNDING * (abs(a) * size[:, input_] + abs(b))
                    safe = guard(argument - error) & guard(argument + error) & ~_passes_pole(guard, argument, error)
                    if numbers := (~safe).nonzero()[:, 0].tolist():
                        found.setdefault((index, output, input_), []).extend(start + number for number in numbers)
                edges = layer.edge_outputs(x)
                sizes = edges.abs().sum(dim=2)
                if layer.bias is not None:
                    sizes = sizes + layer.bias.abs()
                size, x = layer.nodes_of(sizes), layer(x)
    return min(found.items()) if found else None


def _limited_edges(layer: KANLayer) -> Iterator[tuple[tuple[int, int], Guard, tuple[float, float]]]:
    """Place, guard and a, b of each symbolic edge whose function has no answer to some number."""
    for edge in layer.symbolic:
        guard = FUNCTIONS[edge.function].guard
        if not guard(torch.tensor([-2.0, 0.0, 2.0])).all():
            yield (edge.output, edge.input), guard, (edge.a, edge.b)


def _passes_pole(guard: Guard, argument: Tensor, error: Tensor) -> Tensor:
    """Whether 0, a pole inside the domain, lies within the error."""
    is_pole = not bool(guard(torch.tensor(0.0))) and bool(guard(torch.tensor(-1.0)))
    return (argument.abs() <= error) & is_pole
